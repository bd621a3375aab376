"""From the journal to the handlers and back: each Command runs as often as its handler promises.

Commands of one handler run in the order of their arrival, different handlers side by side up to a limit.
That a run begins is committed before it begins, that it ended together with its reply. So a handler that
reboots the device finds its Command `running` at the next start, and it is not run again unless the handler
says that this does no harm.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from functools import partial
from random import Random
from typing import Any

from agent.acting import GRACE_S, Acting, handed
from agent.clock import TrustedClock
from agent.handlers import builtin
from agent.handlers.api import Command
from agent.handlers.catalogue import Catalogue, Entry
from agent.handlers.outcome import Failed, Finished, Later, NotStarted, TimedOut
from agent.handlers.runner import Runner
from agent.health import Health
from agent.journal.actions import Actions
from agent.journal.inbox import Inbox
from agent.journal.outbox import Outbox as Queue
from agent.journal.rows import CommandRow, Outgoing
from agent.journal.skin import Skin, insist
from agent.lanes import Lanes, Place
from agent.retry import Waits
from agent.scarcity import Scarcity, afford
from agent.service.compose import CannotCompose, ReplyRules, compose
from agent.service.profile import ServiceProfile
from agent.service.receive import ERROR_ANSWER
from agent.story import Step, Tell, Weight, masked

ATTEMPTS = 3
"""Runs of a repeatable handler, at the most."""
LATER = Waits(first_s=10, cap_s=600, factor=4)
ERROR_ANSWERS_AN_HOUR = 10
AT_A_TIME = 100
"""Waiting Commands that are read in one go."""


@dataclass(frozen=True, slots=True)
class RunningRules:
    """Keys of ``[handlers]``."""

    timeout_s: float
    max_age_s: float | None
    at_once: int


class Dispatcher:
    """The task that runs Commands; it lives longer than any session."""

    def __init__(
        self,
        skin: Skin,
        inbox: Inbox,
        queue: Queue,
        actions: Actions,
        catalogue: Catalogue,
        runner: Runner,
        service: ServiceProfile,
        rules: RunningRules,
        reply_rules: ReplyRules,
        wall: Callable[[], float],
        random: Random,
        tell: Tell,
        health: Health,
        queued: Callable[[], None],
        status: Callable[[], str],
    ) -> None:
        """`queued` is called after each commit that queued a reply; `wall` gives seconds since 1970.

        `status` says in a line how the agent is, for the built-in handler of that name.
        """
        self._skin = skin
        self._inbox = inbox
        self._queue = queue
        self._catalogue = catalogue
        self._runner = runner
        self._service = service
        self._rules = rules
        self._reply_rules = reply_rules
        self._wall = wall
        self._clock = TrustedClock()
        self._random = random
        self._tell = tell
        self._health = health
        self._queued = queued
        self._status = status
        self._work = asyncio.Event()
        self._busy: dict[str, int] = {}
        """Lanes that are taken, and the Command that takes each."""
        self._lanes = Lanes()
        self._tasks: dict[asyncio.Task[None], None] = {}
        """What is at work, in the order of beginning."""
        self._later: dict[str, float] = {}
        """Handlers that asked for a later attempt, and when it is time for it."""
        self._stopping = False
        self._scarcity = Scarcity(random, tell)
        self._acting = Acting(
            skin, actions, catalogue, runner, rules.timeout_s, self._scarcity, self.wake, tell, health
        )

    def wake(self) -> None:
        """There may be something to run."""
        self._work.set()

    def stop(self) -> None:
        """Begin nothing more; `run` returns when what runs has ended."""
        self._stopping = True
        self._acting.stop()
        self._work.set()

    @property
    def running(self) -> list[str]:
        """What is at work."""
        return list(self._busy)

    async def run(self) -> None:
        """Settle what the last start left, then run Commands until `stop`."""
        await self._settle()
        async with asyncio.TaskGroup() as group:
            try:
                while not self._stopping:
                    self._work.clear()
                    pause = await self._begin(group)
                    with contextlib.suppress(TimeoutError):
                        async with asyncio.timeout(pause):
                            await self._work.wait()
            except asyncio.CancelledError:
                for task in tuple(self._tasks):  # the group keeps a set and would end them in any order
                    task.cancel()
                raise

    async def _settle(self) -> None:
        """What was under way when the agent ended: run again only where the handler allows it."""
        for row in await insist(self._skin, self._tell, self._inbox.interrupted):
            if row.repeatable and row.attempt < ATTEMPTS:
                await insist(self._skin, self._tell, self._inbox.again, row.id, "interrupted")
                self._say("interrupted", row, "its handler may run again")
            else:
                await self._fail(row, "interrupted")
        await self._acting.settle()

    async def _begin(self, group: asyncio.TaskGroup) -> float | None:
        """Start all that may start now; returns when to look again, None for: when woken."""
        pauses = []
        await self._sort()
        for place, number in self._lanes.first():
            if self._stopping or len(self._busy) >= self._rules.at_once:
                break
            if place[0] not in self._busy and (left := await self._begin_one(place, number, group)):
                pauses.append(left)
        return min(pauses + await self._acting.begin(partial(self._start, group)), default=None)

    async def _sort(self) -> None:
        """Put what has come since the last time into its lane: nothing is read twice, however much waits."""
        while rows := await insist(
            self._skin, self._tell, self._inbox.waiting, self._lanes.newest, AT_A_TIME
        ):
            for row in rows:
                if self._stopping:
                    return
                self._lanes.newest = row.id
                try:
                    entry = self._catalogue.choose(handed(row))
                except Exception as error:  # noqa: BLE001  (whatever it was, it ends this Command and no other)
                    await self._fail(row, "failed", detail=f"{type(error).__name__}: {error}")
                else:
                    self._lanes.put(_place(entry), row.id)

    async def _begin_one(self, place: Place, number: int, group: asyncio.TaskGroup) -> float:
        """Start a Command; returns how long its handler asked to wait yet, 0 for not at all."""
        now = asyncio.get_running_loop().time()
        left = max(self._later.get(place[1], 0.0) - now, self._scarcity.left(number, now))
        if left > 0:
            return left
        row = await insist(self._skin, self._tell, self._inbox.command, number)
        if self._stopping:
            return 0.0
        self._lanes.pop(place)
        if row is not None:
            command = handed(row)
            self._busy[place[0]] = number
            work = self._carry_out(row, command, self._catalogue.choose(command), place[0])
            self._start(group, work, f"command {number}")
        return 0.0

    def _start(self, group: asyncio.TaskGroup, work: Coroutine[Any, Any, None], name: str) -> None:
        task = group.create_task(work, name=name)
        self._tasks[task] = None
        task.add_done_callback(self._tasks.pop)

    async def _carry_out(self, row: CommandRow, command: Command, entry: Entry | None, lane: str) -> None:
        """One Command from `received` to its end."""
        try:
            if self._expired(row, entry):
                reason = "older than max_age_s allows"
                await insist(self._skin, self._tell, self._inbox.finish, row.id, "expired", reason)
                self._say("expired", row, reason, weight=Weight.WARNING)
            elif entry is None:
                await self._unknown(row, command)
            else:
                await self._runs(row, command, entry)
        except Exception as error:  # noqa: BLE001  (whatever it was, it ends this Command and no other)
            await self._fail(row, "failed", detail=f"{type(error).__name__}: {error}")
        finally:
            del self._busy[lane]
            self._health.ended(f"command {row.id}")
            self._work.set()

    def _expired(self, row: CommandRow, entry: Entry | None) -> bool:
        """By a clock that is trusted; one that cannot tell judges nothing."""
        if row.timestamp is None:
            return False
        stamped, running = row.timestamp.timestamp(), asyncio.get_running_loop().time()
        age = self._clock.age(stamped, self._inbox.newest_timestamp, self._wall(), running)
        limit = self._rules.max_age_s if entry is None or entry.max_age_s is None else entry.max_age_s
        return age is not None and limit is not None and age > limit

    async def _unknown(self, row: CommandRow, command: Command) -> None:
        if not command.words and command.mode == "text":
            await insist(self._skin, self._tell, self._inbox.finish, row.id, "done", "empty, nothing to do")
            self._say("done", row, "an empty Command, no handler for it")
        else:
            word = command.words[0] if command.words else "binary"
            await self._fail(row, f"unknown {word[:20]}", detail="no handler")

    async def _runs(self, row: CommandRow, command: Command, entry: Entry) -> None:
        attempt = command.attempt
        await insist(
            self._skin, self._tell, self._inbox.begin, row.id, entry.name, repeatable=entry.repeatable
        )
        self._say("running", row, f"handler {entry.name}" + (f", attempt {attempt}" if attempt > 1 else ""))
        if entry.kind == "builtin":
            names = self._catalogue.names
            await self._done(row, entry, builtin.answer(entry, command, names, self._status), None)
            return
        timeout = self._rules.timeout_s if entry.timeout_s is None else entry.timeout_s
        self._health.within(f"command {row.id}", timeout + GRACE_S)
        outcome = await self._runner.run(entry, command, timeout)
        self._health.ended(f"command {row.id}")
        if isinstance(outcome, NotStarted):
            await self._not_started(row, entry, outcome.reason)
            return
        if self._stopping and not isinstance(outcome, Finished):
            return  # what is still running is left to the next start
        self._scarcity.started(row.id)
        match outcome:
            case Finished(reply, then):
                await self._done(row, entry, reply, then)
            case Later(reason) if attempt < ATTEMPTS and entry.repeatable:
                await insist(self._skin, self._tell, self._inbox.again, row.id, reason)
                self._lanes.put_back(_place(entry), row.id)
                pause = LATER.after(attempt, self._random)
                self._later[entry.name] = asyncio.get_running_loop().time() + pause
                self._say("later", row, f"{reason}; again in {pause:.0f} s")
            case Later(reason):
                await self._fail(row, "failed", detail=f"{reason}; not tried again")
            case Failed(reason):
                await self._fail(row, "failed", detail=reason)
            case TimedOut():
                await self._fail(row, "timed out", detail=f"ended after {timeout:g} s")

    async def _not_started(self, row: CommandRow, entry: Entry, reason: str) -> None:
        """Nothing of it has run, so this was no attempt: back to those that wait."""
        now = asyncio.get_running_loop().time()
        if not self._stopping and not self._scarcity.met(row.id, reason, now):
            await self._fail(row, "failed", detail=f"{reason}; given up")
            return
        await insist(self._skin, self._tell, self._inbox.again, row.id, reason, begun=False)
        self._lanes.put_back(_place(entry), row.id)
        self._say("not started", row, reason, weight=Weight.DETAIL)

    async def _done(
        self, row: CommandRow, entry: Entry, content: str | bytes | None, then: str | None
    ) -> None:
        replies: Sequence[Outgoing] = ()
        if content and row.answerable:
            try:
                replies = await afford(self._random, self._tell, self._compose, row, content, entry.reply_to)
            except CannotCompose as error:
                await self._fail(row, "answer", detail=str(error))
                return
        action = None if then is None else (entry.name, then)
        await insist(self._skin, self._tell, self._inbox.finish, row.id, "done", None, replies, action)
        self._say("done", row, "" if replies else "no answer")
        self._say_queued(row, replies)

    async def _fail(self, row: CommandRow, answer: str, detail: str = "") -> None:
        """The Command ends as `failed`; it is answered unless that could loop or happens too often."""
        reason = detail or answer
        replies: Sequence[Outgoing] = ()
        answers = await insist(self._skin, self._tell, self._queue.error_answers_within, 3600)
        if row.answerable and answers < ERROR_ANSWERS_AN_HOUR:
            replies = await afford(
                self._random,
                self._tell,
                self._compose,
                row,
                f"{ERROR_ANSWER}{answer}",
                None,
                error_answer=True,
            )
        await insist(self._skin, self._tell, self._inbox.finish, row.id, "failed", reason, replies)
        self._say("failed", row, reason, weight=Weight.WARNING)
        self._say_queued(row, replies)

    def _compose(
        self, row: CommandRow, content: str | bytes, reply_to: str | None, *, error_answer: bool = False
    ) -> list[Outgoing]:
        parts = compose(content, row.sid, self._service, self._reply_rules, row.id & 0xFF)
        destination = reply_to or self._service.number
        return [
            Outgoing(destination, part, number, len(parts), error_answer)
            for number, part in enumerate(parts, 1)
        ]

    def _say_queued(self, row: CommandRow, replies: Sequence[Outgoing]) -> None:
        if replies:
            texts = [each.user_data.text or "" for each in replies]
            self._say("queued", row, f"answer to {masked(replies[0].destination)}", "".join(texts) or None)
            self._queued()

    def _say(
        self,
        what: str,
        row: CommandRow,
        detail: str,
        content: str | bytes | None = None,
        weight: Weight = Weight.NORMAL,
    ) -> None:
        self._tell(Step(what, detail, row.id, row.sid, content=content, weight=weight))


def _place(entry: Entry | None) -> Place:
    return ("", "") if entry is None else (entry.lane, entry.name)
