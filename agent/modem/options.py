"""The options with which a module is used."""

from __future__ import annotations

from agent.modem.init_commands import InitCommands
from agent.modem.message_format import SEND_TIMEOUT_S
from agent.modem.notification_check import NotificationMemory
from agent.modem.silent_slots import SilentSlots
from agent.modem.sim import SimConfig
from hardware.identify import GENERIC, PortInfo
from pdu.record import Record, fresh


class ModemOptions(Record, kw_only=True):
    """The options of a `Modem`, from the configuration and the port."""

    message_format: str = "pdu"
    """ "pdu" or "text"."""
    status_reports: bool = False
    """True if status reports are requested and received."""
    send_timeout_s: float = SEND_TIMEOUT_S
    """Timeout from the body of +CMGS to its result, for a module whose profile has none."""
    profile: str = GENERIC
    """The name of the profile that drives the module, or "auto" to identify it."""
    port_info: PortInfo = PortInfo()
    """The module's identity, as far as the port shows it."""
    silent_slots: SilentSlots = fresh(SilentSlots)
    """The slots that the module does not answer for, from earlier sessions."""
    sim_config: SimConfig = SimConfig()
    init_commands: InitCommands = fresh(InitCommands)
    """Commands of the operator, sent after each initialisation."""
    notification_memory: NotificationMemory = fresh(NotificationMemory)
    """The state of the module's notifications in earlier sessions."""
