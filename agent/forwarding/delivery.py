"""A target that Commands are forwarded to, and the outcomes of one delivery."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol

from agent.common.events import Condition
from agent.handlers.spec import HandlerSpec
from pdu.record import Record


class Accepted(Record):
    """The target has the Command. `answer` is the reply; None if there is none, or if it may come later."""

    answer: str | bytes | None = None


class Rejected(Record):
    """The target will never take this Command, so it fails. `reason` is one clause."""

    reason: str


class Postponed(Record):
    """The target does not have the Command, or it is not known whether it has; the Command waits."""

    reason: str
    min_delay_s: float = 0.0
    """The target asked for no attempt within this time."""


Delivery = Accepted | Rejected | Postponed


class TargetListener(Record):
    """The functions that a target calls."""

    on_connected: Callable[[str], None]
    """Takes a clause about the connection. Commands that wait may be delivered now."""
    on_disconnected: Callable[[str], None]
    """Takes the reason as a clause."""
    on_note: Callable[[str], None]
    """Takes a sentence for the operator about something that does not work."""
    on_answer: Callable[[str, str | bytes], Awaitable[None]]
    """Takes the id of a delivery, and its answer. Returns when the answer is committed, or not wanted."""


class DeliveryTarget(Protocol):
    """Delivers Commands to one broker or server."""

    @property
    def spec(self) -> HandlerSpec:
        """The Commands that are forwarded, as those of a handler."""

    @property
    def gateway(self) -> str:
        """The name of this gateway at the target."""

    @property
    def condition(self) -> Condition:
        """The condition that lasts while the target does not take Commands."""

    @property
    def answer_timeout_s(self) -> float:
        """The time in which an answer after the delivery is accepted."""

    @property
    def delivery_timeout_s(self) -> float:
        """The longest time that `deliver` takes."""

    async def run(self, listener: TargetListener) -> None:
        """Work until cancelled."""

    async def deliver(self, message: Mapping[str, Any]) -> Delivery:
        """Deliver the fields of a message. Failures are results, not exceptions."""

    def publish_state(self, state: Mapping[str, Any]) -> None:
        """Publish the state of the gateway if it has changed, and if that is configured."""
