"""The events of a module: what its URCs mean."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from agent.at.events import PortContention
from agent.modem.status_queries import Registration
from agent.modem.stored_message import Slot, StoredMessage
from pdu.record import Record


class MessageArrived(Record):
    """A message was stored. If the slot is `UNKNOWN_SLOT`, all stores must be read."""

    slot: Slot


class ReportArrived(Record):
    """A status report was stored."""

    slot: Slot


class DirectDelivery(Record):
    """A message or status report that the module delivered directly (+CMT, +CDS) and did not store."""

    message: StoredMessage
    acknowledge: Callable[[], Awaitable[None]]
    """Call it soon after the message is committed: modules wait 10 to 17 s. It does nothing if the module has
    acknowledged by itself (no +CSMS=1)."""


class SettingsLost(Record):
    """The module has lost its settings and must be initialised again."""

    reason: str
    """The line or the difference that shows it."""


class StoreFull(Record):
    """The network keeps further messages until slots are freed."""

    store: str = ""
    """Empty if the module does not name it."""


class RegistrationChanged(Record):
    """<stat> has changed in some domain."""

    registration: Registration


ModemEvent = (
    MessageArrived
    | ReportArrived
    | DirectDelivery
    | SettingsLost
    | StoreFull
    | RegistrationChanged
    | PortContention
)
