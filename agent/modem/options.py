"""The options with which a module is used."""

from __future__ import annotations

from dataclasses import dataclass, field

from agent.modem.init_commands import InitCommands
from agent.modem.message_format import SEND_TIMEOUT_S
from agent.modem.notification_check import NotificationMemory
from agent.modem.silent_slots import SilentSlots
from agent.modem.sim import SimConfig
from hardware.identify import GENERIC, PortInfo


@dataclass(frozen=True, slots=True, kw_only=True)
class ModemOptions:
    """The options of a `Modem`, from the configuration and the port."""

    message_format: str = "pdu"
    """ "pdu" or "text"."""
    status_reports: bool = False
    """True if status reports are requested and received."""
    send_timeout_s: float = SEND_TIMEOUT_S
    """Timeout from the body of +CMGS to its result, for a module whose profile has none."""
    profile: str = GENERIC
    """The name of the profile that drives the module, or "auto" to identify it."""
    port_info: PortInfo = field(default_factory=PortInfo)
    """The module's identity, as far as the port shows it."""
    silent_slots: SilentSlots = field(default_factory=SilentSlots)
    """The slots that the module does not answer for, from earlier sessions."""
    sim_config: SimConfig = field(default_factory=SimConfig)
    init_commands: InitCommands = field(default_factory=InitCommands)
    """Commands of the operator, sent after each initialisation."""
    notification_memory: NotificationMemory = field(default_factory=NotificationMemory)
    """The state of the module's notifications in earlier sessions."""
