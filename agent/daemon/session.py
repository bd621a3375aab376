"""One session: the tasks that live as long as one connection to the module."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from agent.at.errors import CommandRefused, CommandTimedOut, ModemLost
from agent.modem.modem import Modem
from agent.modem.status_queries import Identity, Registration, Signal
from agent.pipeline.receiver import Receiver
from agent.pipeline.sender import Sender

STATUS_INTERVAL_S = 300.0
"""Between two looks at registration and signal; in between the module tells of changes by itself."""
UNREGISTERED_STATUS_INTERVAL_S = 60.0
"""The same while nothing can be sent: some tell nothing, and something may have to be done."""
DIRECT_DELIVERY_NOTE = (
    "the module stores no message, it hands each over: of more than some 20 that come while an answer is sent"
    " some may be lost"
)
"""What direct delivery cannot promise (agent/README.md)."""
STATUS_SETTLE_S = 5.0
"""From a network that was found or lost to the look at it: one domain changes after the other."""


class Session:
    """Intake, outbox and watch over one modem. It may be run once."""

    def __init__(self, modem: Modem, receiver: Receiver, sender: Sender) -> None:
        self.modem = modem
        self._receiver = receiver
        self._sender = sender
        self.registration: Registration | None = None
        self.signal: Signal | None = None
        self.identity: Identity | None = None
        self._task_error: Exception | None = None

    def describe(self) -> dict[str, Any]:
        """What `status` tells of it."""
        condition = self.modem.status
        told: dict[str, Any] = {
            "module": " ".join(filter(None, (self.identity.manufacturer, self.identity.model)))
            if self.identity
            else None,
            "revision": self.identity.revision if self.identity else None,
            "imei": self.identity.imei if self.identity else None,
            "iccid": self.identity.iccid if self.identity else None,
            "registration": str(self.registration or condition.registration),
            "domains": _domain_states(self.registration or condition.registration),
            "signal_dbm": self.signal.dbm if self.signal else None,
            "profile": condition.profile,
            "store": condition.store or None,
            "stores": [f"{name} {used} of {total}" for name, used, total in condition.store_usage],
            "notifications": self.modem.is_notifying,
            "read_error": self.modem.read_error or None,
            "service_centre": condition.service_centre,
            "notes": [*condition.notes, *([DIRECT_DELIVERY_NOTE] if condition.has_direct_delivery else [])],
        }
        return told

    @property
    def sending_blocked_by(self) -> str:
        """Why nothing is sent now; empty where nothing is held."""
        return self._sender.blocked_by

    async def run(
        self, set_state: Callable[[str], None], on_status: Callable[[Registration], Awaitable[None]]
    ) -> None:
        """Until the modem is lost or closed. Its tasks return by themselves then; none is cancelled.

        `state` takes a line for people, `fares` each look at the registration, and may do something about it.
        Raises what one of them stumbled over, once the others have finished what they were at.
        """
        async with asyncio.TaskGroup() as group:
            group.create_task(self._run_task(self._receiver.run()), name="intake")
            group.create_task(self._run_task(self._sender.run()), name="outbox")
            group.create_task(self._run_task(self._poll_status(set_state, on_status)), name="watch")
        if self._task_error is not None:
            raise self._task_error

    async def _run_task(self, work: Coroutine[Any, Any, None]) -> None:
        """A mistake in one task ends the session like a lost line: no other is cancelled in a commit."""
        try:
            await work
        except Exception as error:  # noqa: BLE001  (raised again by `run`, for the supervisor)
            self._task_error = self._task_error or error
            self.modem.close()

    async def _poll_status(
        self, set_state: Callable[[str], None], on_status: Callable[[Registration], Awaitable[None]]
    ) -> None:
        """Keep registration and signal known, for people and for whoever looks after them."""
        never = asyncio.Event()
        try:
            while True:
                self.modem.status_changed.clear()
                try:
                    if self.identity is None:
                        self.identity = await self.modem.query_identity()
                    self.registration = await self.modem.query_registration()
                    self.signal = await self.modem.query_signal()
                    trouble = (
                        f", no message can be read: {refusal}" if (refusal := self.modem.read_error) else ""
                    )
                    set_state(
                        f"{self.identity.model or 'module'}, {self.registration}, {self.signal}{trouble}"
                    )
                except (CommandRefused, CommandTimedOut) as error:
                    set_state(str(error))
                registration = self.registration or self.modem.status.registration
                await on_status(registration)
                await self.modem.wait(
                    self.modem.status_changed,
                    STATUS_INTERVAL_S if registration.can_send else UNREGISTERED_STATUS_INTERVAL_S,
                )
                if self.modem.status_changed.is_set():
                    await self.modem.wait(never, STATUS_SETTLE_S)
        except ModemLost:
            return


def _domain_states(registration: Registration) -> dict[str, str]:
    """What each domain says: they may disagree, and one that can carry messages is enough."""
    states = {"circuit": registration.circuit, "packet": registration.packet, "eps": registration.eps}
    return {name: str(Registration(state)) for name, state in states.items() if state is not None}
