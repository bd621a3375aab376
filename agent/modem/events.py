"""What a module tells by itself, as this work understands it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from agent.at.events import PortContention
from agent.modem.status_queries import Registration
from agent.modem.stored_message import Slot, StoredMessage


@dataclass(frozen=True, slots=True)
class MessageArrived:
    """A message was stored. The slot may be `NOWHERE`: then only a sweep finds it."""

    slot: Slot


@dataclass(frozen=True, slots=True)
class ReportArrived:
    """A status report was stored."""

    slot: Slot


@dataclass(frozen=True, slots=True)
class DirectDelivery:
    """A message or report that the module has handed over instead of storing it."""

    message: StoredMessage
    acknowledge: Callable[[], Awaitable[None]]
    """To be called once the message is safe, and soon: modules wait 10 to 17 s. Does nothing where the
    module has acknowledged it by itself (no +CSMS=1)."""


@dataclass(frozen=True, slots=True)
class SettingsLost:
    """The module has lost its settings; `initialise` again."""

    reason: str


@dataclass(frozen=True, slots=True)
class StoreFull:
    """The network keeps further messages until slots are freed."""

    store: str = ""


@dataclass(frozen=True, slots=True)
class RegistrationChanged:
    """Another <stat> in some domain."""

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
