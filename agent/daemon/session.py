"""One session: the tasks that run for as long as one connection to the module lasts.

Three tasks share the modem: the receiver, the sender, and one that queries registration and signal. When the
connection is lost, each command fails with `ModemLost` and the tasks return; none of them is cancelled in the
middle of a commit.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from functools import partial
from math import inf
from typing import Any

from agent.at.errors import CommandRefused, CommandTimedOut, ModemLost
from agent.daemon.signal_history import SignalHistory
from agent.modem.modem import Modem
from agent.modem.network_operator import NetworkOperator
from agent.modem.signal_quality import SignalQuality
from agent.modem.status_queries import Identity, Registration, Signal
from agent.pipeline.receiver import Receiver
from agent.pipeline.sender import Sender

STATUS_INTERVAL_S = 300.0
"""Interval between queries of registration and signal; unsolicited result codes report changes in between."""
UNREGISTERED_STATUS_INTERVAL_S = 60.0
"""Interval while no message can be sent: some modules report no changes, and recovery may be due."""
DIRECT_DELIVERY_NOTE = (
    "the module stores no messages but delivers them directly: if more than about 20 arrive while a reply is "
    "being sent, some may be lost"
)
"""The limit of direct delivery, shown by `status` (agent/README.md)."""
STATUS_SETTLE_S = 5.0
"""Pause between a change of registration and the next query: the domains change one after the other."""


class Session:
    """Receiver, sender and status polling on one modem. `run` may be called once."""

    def __init__(
        self, modem: Modem, receiver: Receiver, sender: Sender, signal_history: SignalHistory | None = None
    ) -> None:
        """`signal_history` gets each value of the signal strength."""
        self.modem = modem
        self._receiver = receiver
        self._sender = sender
        self.registration: Registration | None = None
        self.signal: Signal | None = None
        self.identity: Identity | None = None
        self.operator = NetworkOperator()
        self._signal_history = signal_history or SignalHistory()
        self._known_registration: Registration | None = None
        """The registration since `_registered_at`, whose operator was queried."""
        self._registered_at: float | None = None
        """By the clock of the event loop."""
        self._polled_at = -inf
        self._task_error: Exception | None = None

    def describe(self) -> dict[str, Any]:
        """Return what `modem-agent status` shows of the module and its connection, as JSON values."""
        status, now = self.modem.status, asyncio.get_running_loop().time()
        return {
            "module": " ".join(filter(None, (self.identity.manufacturer, self.identity.model)))
            if self.identity
            else None,
            "revision": self.identity.revision if self.identity else None,
            "imei": self.identity.imei if self.identity else None,
            "iccid": self.identity.iccid if self.identity else None,
            "operator": self.operator.name or None,
            "access_technology": self.operator.access_technology or None,
            "registration": str(self.registration or status.registration),
            "registration_for_s": None if self._registered_at is None else round(now - self._registered_at),
            "domains": _domain_states(self.registration or status.registration),
            "signal_dbm": self.signal.dbm if self.signal else None,
            "profile": status.profile,
            "store": status.store or None,
            "stores": [f"{name} {used} of {total}" for name, used, total in status.store_usage],
            "notifications": self.modem.is_notifying,
            "read_error": self.modem.read_error or None,
            "sending": self.awaited_result or None,
            "service_centre": status.service_centre,
            "notes": [*status.notes, *([DIRECT_DELIVERY_NOTE] if status.has_direct_delivery else [])],
        }

    def refresh_status(self, max_age_s: float) -> None:
        """Let registration and signal be queried soon, unless this was done in the last `max_age_s`."""
        if asyncio.get_running_loop().time() - self._polled_at >= max_age_s:
            self.modem.status_changed.set()

    async def measure_signal(self) -> SignalQuality:
        """Query all that the module reports about its reception. Raises CommandTimedOut, ModemLost."""
        quality = await self.modem.query_signal_quality()
        self._set_signal(Signal(quality.dbm))
        return quality

    def _set_signal(self, signal: Signal) -> None:
        self.signal = signal
        self._signal_history.record(signal.dbm, asyncio.get_running_loop().time())

    @property
    def has_swept(self) -> bool:
        """True once the messages that the module held were read."""
        return self._receiver.has_swept

    @property
    def awaited_result(self) -> str:
        """The message that waits for its result, with the time, as readable text; empty if there is none."""
        return self._sender.awaited_result

    @property
    def sending_blocked_by(self) -> str:
        """The reason why nothing is sent now, empty if nothing waits."""
        return self._sender.blocked_by

    async def run(
        self, set_state: Callable[[str], None], on_status: Callable[[Registration], Awaitable[None]]
    ) -> None:
        """Run until the modem is lost or closed.

        `set_state` receives a line for the operator, `on_status` the registration after each query; it may
        take a recovery action. An exception of one task is raised after the others have returned.
        """
        async with asyncio.TaskGroup() as group:
            poll_status = partial(self._poll_status, set_state, on_status)
            group.create_task(self._run_task(self._receiver.run), name="receiver")
            group.create_task(self._run_task(self._sender.run), name="sender")
            group.create_task(self._run_task(poll_status), name="status polling")
        if self._task_error is not None:
            raise self._task_error

    async def _run_task(self, work: Callable[[], Awaitable[None]]) -> None:
        """Run one task. Its exception closes the modem, so the other tasks return without being cancelled."""
        try:
            await work()
        except Exception as error:  # noqa: BLE001  (raised again by `run`, for the supervisor)
            self._task_error = self._task_error or error
            self.modem.close()

    async def _poll_status(
        self, set_state: Callable[[str], None], on_status: Callable[[Registration], Awaitable[None]]
    ) -> None:
        """Query registration and signal at intervals and after each change."""
        never, loop = asyncio.Event(), asyncio.get_running_loop()
        try:
            while True:
                self.modem.status_changed.clear()
                try:
                    if self.identity is None:
                        self.identity = await self.modem.query_identity()
                    await self.modem.query_radio()
                    self.registration = await self.modem.query_registration()
                    self._set_signal(await self.modem.query_signal())
                    self._polled_at = loop.time()
                    state = f"{self.identity.model or 'module'}, {self.registration}, {self.signal}"
                    if self.modem.read_error:
                        state += f", messages cannot be read: {self.modem.read_error}"
                    set_state(state)
                    if self.registration != self._known_registration:
                        self._known_registration, self._registered_at = self.registration, loop.time()
                        await self._query_operator()
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

    async def _query_operator(self) -> None:
        """Query the operator once for each change of the registration; it is for the operator's eyes only."""
        self.operator = NetworkOperator()
        if self.registration is not None and self.registration.can_send:
            with contextlib.suppress(CommandTimedOut):
                self.operator = await self.modem.query_operator()


def _domain_states(registration: Registration) -> dict[str, str]:
    """Return the registration in each domain. They may differ; one that carries SMS is enough to send."""
    states = {"circuit": registration.circuit, "packet": registration.packet, "eps": registration.eps}
    return {name: str(Registration(state)) for name, state in states.items() if state is not None}
