"""Delivers Commands to brokers and web servers until these have them, and takes their answers.

A Command is done only when its target has it. Until then it stays `received` in the journal, whatever ends
meanwhile, and is delivered again with the same id: the target may get it twice and recognises it by the id.
An attempt therefore needs no commit. The number of attempts is not limited; `max_age_s` ends the waiting.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

from agent.common.backoff import Backoff
from agent.common.events import Event, EventKind, Severity
from agent.common.runtime import Runtime
from agent.forwarding.delivery import Accepted, Delivery, DeliveryTarget, Postponed, Rejected, TargetListener
from agent.forwarding.message import make_delivery_id, make_message, parse_command_number
from agent.handlers.results import Finished
from agent.handlers.spec import HandlerSpec
from agent.journal.executor import retry_until_committed
from agent.journal.inbox import CommandStore
from agent.journal.models import CommandRow, CommandState
from agent.pipeline.command_finisher import CommandFinisher

FORWARD_BACKOFF = Backoff(initial_s=1, max_s=300, factor=2)
"""Delay before the next delivery, after failures in a row."""


class CommandForwarder:
    """Forwards Commands, one at a time to each target."""

    def __init__(
        self,
        *,
        runtime: Runtime,
        command_store: CommandStore,
        finisher: CommandFinisher,
        targets: Iterable[DeliveryTarget],
        retry_now: Callable[[str], None],
    ) -> None:
        """`retry_now` is called with the name of a target that may take Commands again."""
        self._runtime = runtime
        self._command_store = command_store
        self._finisher = finisher
        self.targets = {target.spec.name: target for target in targets}
        self.names = frozenset(self.targets)
        self._retry_now = retry_now
        self._failures = dict.fromkeys(self.targets, 0)
        """Failed deliveries in a row, by target."""
        self._noted: dict[str, tuple[int, str]] = {}
        """Id of the Command that waits at the head, and the reason that the journal has, by target."""
        self._answerable_until: dict[int, float] = {}
        """End of the time for an answer, by the id of a Command that this process has delivered."""
        self._in_delivery: dict[int, asyncio.Event] = {}
        """Is set when a Command has ended, by its id. An answer may overtake the end of its delivery."""
        self._unusable: set[str] = set()
        self._started_at = 0.0

    def delivery_timeout_s(self, spec: HandlerSpec) -> float:
        """Return the longest time that `deliver` takes."""
        return self.targets[spec.name].delivery_timeout_s

    async def run(self) -> None:
        """Keep the targets working until cancelled."""
        self._started_at = asyncio.get_running_loop().time()
        async with asyncio.TaskGroup() as group:
            for name, target in self.targets.items():
                listener = TargetListener(
                    on_connected=partial(self._on_connected, target),
                    on_disconnected=partial(self._on_unusable, target),
                    on_note=self._on_note,
                    on_answer=partial(self._on_answer, target),
                )
                group.create_task(target.run(listener), name=f"forwarding {name}")

    async def deliver(self, row: CommandRow, spec: HandlerSpec) -> Delivery:
        """Deliver a Command once; `record` commits the outcome."""
        target = self.targets[spec.name]
        self._in_delivery.setdefault(row.id, asyncio.Event())
        return await target.deliver(_to_message(row, target))

    async def record(self, row: CommandRow, spec: HandlerSpec, outcome: Delivery) -> float | None:
        """Commit the outcome of a delivery. Return the seconds until the next attempt, if any."""
        target = self.targets[spec.name]
        match outcome:
            case Accepted(answer):
                self._on_usable(target)
                self._set_answer_deadline(row.id, target)
                await self._finisher.finish_done(row, spec, Finished(answer))
            case Rejected(reason):
                self._on_usable(target)
                await self._finisher.finish_failed(row, "failed", detail=reason)
            case Postponed(reason, min_delay_s):
                return await self._postpone(row, target, reason, min_delay_s)
        self.end(row)
        return None

    def end(self, row: CommandRow) -> None:
        """Record that a Command has ended, delivered or not."""
        if (ended := self._in_delivery.pop(row.id, None)) is not None:
            ended.set()

    async def _postpone(
        self, row: CommandRow, target: DeliveryTarget, reason: str, min_delay_s: float
    ) -> float:
        name = target.spec.name
        self._failures[name] += 1
        delay = FORWARD_BACKOFF.delay(self._failures[name], self._runtime.random)
        self._on_unusable(target, reason)
        if self._noted.get(name) != (row.id, reason):
            self._noted[name] = (row.id, reason)
            await retry_until_committed(
                self._runtime, self._command_store.note_waiting, row.id, name, f"waits for {name}: {reason}"
            )
            self._finisher.log(EventKind.RETRY_LATER, row, f"{name} {reason}; it waits")
        return max(delay, min_delay_s)

    # Called by the targets

    def _on_connected(self, target: DeliveryTarget, detail: str) -> None:
        self._on_usable(target, detail)
        self._retry_now(target.spec.name)

    def _on_usable(self, target: DeliveryTarget, detail: str = "") -> None:
        """Record that a target works; log it if it did not, or with `detail`."""
        name = target.spec.name
        if detail or name in self._unusable:
            text = f"{name} {detail or 'takes Commands again'}"
            self._runtime.emit(Event(EventKind.FORWARDING, text, resolves=target.condition))
        self._unusable.discard(name)
        self._failures[name] = 0
        self._noted.pop(name, None)

    def _on_unusable(self, target: DeliveryTarget, reason: str) -> None:
        self._unusable.add(target.spec.name)
        self._runtime.emit(
            Event(
                EventKind.FORWARDING,
                f"{target.spec.name} {reason}; Commands for it wait",
                severity=Severity.WARNING,
                condition=target.condition,
            )
        )

    def _on_note(self, text: str) -> None:
        self._runtime.emit(Event(EventKind.FORWARDING, text, severity=Severity.WARNING))

    async def _on_answer(self, target: DeliveryTarget, delivery_id: str, answer: str | bytes) -> None:
        """Queue the answer to a Command that was delivered a short time ago."""
        name = target.spec.name
        waiting = await self._find(CommandState.RECEIVED, delivery_id)
        if waiting is not None and delivery_id == _make_id(waiting, target):
            ended = self._in_delivery.setdefault(waiting.id, asyncio.Event())
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(target.answer_timeout_s):
                    await ended.wait()
        row = await self._find(CommandState.DONE, delivery_id)
        if row is None or row.handler != name or delivery_id != _make_id(row, target):
            self._on_note(f"{name} answers {delivery_id}, which was not forwarded by this gateway")
        elif _now() > self._answerable_until.get(row.id, self._started_at + target.answer_timeout_s):
            reason = "the answer came after reply_timeout_s; it is not sent"
            self._finisher.log(EventKind.FORWARDING, row, reason, severity=Severity.WARNING)
        elif answer:
            await self._finisher.queue_answer(row, answer)

    async def _find(self, state: CommandState, delivery_id: str) -> CommandRow | None:
        number = parse_command_number(delivery_id)
        return await retry_until_committed(
            self._runtime, self._command_store.find, state, delivery_id, number
        )

    def _set_answer_deadline(self, command_id: int, target: DeliveryTarget) -> None:
        now = _now()
        self._answerable_until = {number: end for number, end in self._answerable_until.items() if end > now}
        self._answerable_until[command_id] = now + target.answer_timeout_s


def _make_id(row: CommandRow, target: DeliveryTarget) -> str:
    return make_delivery_id(target.gateway, row.id, row.sid, row.body, row.timestamp)


def _to_message(row: CommandRow, target: DeliveryTarget) -> dict[str, Any]:
    return make_message(
        _make_id(row, target),
        target.gateway,
        sid=row.sid,
        sender=row.sender,
        body=row.body,
        timestamp=row.timestamp,
        port=row.port,
    )


def _now() -> float:
    return asyncio.get_running_loop().time()
