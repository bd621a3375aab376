"""From the journal to the handlers and back: each Command runs as often as its handler promises.

Commands of one handler run in the order of their arrival, different handlers side by side up to a limit.
That a run begins is committed before it begins, that it ended together with its reply. So a handler that
reboots the device finds its Command `running` at the next start, and it is not run again unless the handler
says that this does no harm.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random

from agent.handlers import builtin
from agent.handlers.api import Command
from agent.handlers.catalogue import Catalogue, Entry
from agent.handlers.outcome import Failed, Finished, Later, Outcome, TimedOut
from agent.handlers.runner import Runner
from agent.health import Health
from agent.journal.actions import Actions
from agent.journal.inbox import Inbox
from agent.journal.outbox import Outbox as Queue
from agent.journal.rows import ActionRow, CommandRow, Outgoing
from agent.journal.skin import Skin, insist
from agent.retry import Waits
from agent.service.compose import CannotCompose, ReplyRules, compose
from agent.service.profile import ServiceProfile
from agent.service.receive import ERROR_ANSWER
from agent.story import Step, Tell, Weight

ATTEMPTS = 3
"""Runs of a repeatable handler, at the most."""
LATER = Waits(first_s=10, cap_s=600, factor=4)
ERROR_ANSWERS_AN_HOUR = 10
ACT_AFTER_S = 60.0
"""An action waits no longer for its answer to leave."""
GRACE_S = 120.0
"""Beyond a handler's own time limit, before the watchdog worries: its process may have to be made anew."""


@dataclass(frozen=True, slots=True)
class RunningRules:
    """Keys of ``[handlers]``."""

    timeout_s: float = 30.0
    max_age_s: float | None = None
    at_once: int = 4


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
        self._actions = actions
        self._catalogue = catalogue
        self._runner = runner
        self._service = service
        self._rules = rules
        self._reply_rules = reply_rules
        self._wall = wall
        self._random = random
        self._tell = tell
        self._health = health
        self._queued = queued
        self._status = status
        self._work = asyncio.Event()
        self._busy: dict[str, int] = {}
        """Lanes that are taken, and the Command that takes each."""
        self._later: dict[str, float] = {}
        """Handlers that asked for a later attempt, and when it is time for it."""
        self._stopping = False
        self._acting: set[int] = set()

    def wake(self) -> None:
        """There may be something to run."""
        self._work.set()

    def stop(self) -> None:
        """Begin nothing more; `run` returns when what runs has ended."""
        self._stopping = True
        self._work.set()

    @property
    def running(self) -> list[str]:
        """What is at work."""
        return list(self._busy)

    async def run(self) -> None:
        """Settle what the last start left, then run Commands until `stop`."""
        await self._settle()
        async with asyncio.TaskGroup() as group:
            while not self._stopping:
                self._work.clear()
                pause = await self._begin(group)
                try:
                    async with asyncio.timeout(pause):
                        await self._work.wait()
                except TimeoutError:
                    continue

    async def _settle(self) -> None:
        """What was under way when the agent ended: run again only where the handler allows it."""
        for row in await insist(self._skin, self._tell, self._inbox.interrupted):
            if row.repeatable and row.attempt < ATTEMPTS:
                await insist(self._skin, self._tell, self._inbox.again, row.id, "interrupted")
                self._say("interrupted", row, "its handler may run again")
            else:
                await self._fail(row, "interrupted")
        if await insist(self._skin, self._tell, self._actions.interrupted):
            self._tell(Step("action", "the agent ended while it acted; it is not repeated"))

    async def _begin(self, group: asyncio.TaskGroup) -> float | None:
        """Start all that may start now; returns when to look again, None for: when woken."""
        now = asyncio.get_running_loop().time()
        pauses = []
        for row in await insist(self._skin, self._tell, self._inbox.waiting):
            if self._stopping or len(self._busy) >= self._rules.at_once:
                break
            try:
                command = _command(row)
                entry = self._catalogue.choose(command)
            except Exception as error:  # noqa: BLE001  (whatever it was, it ends this Command and no other)
                await self._fail(row, "failed", detail=f"{type(error).__name__}: {error}")
                continue
            lane = "" if entry is None else entry.lane
            if lane in self._busy:
                continue
            if entry is not None and (left := self._later.get(entry.name, now) - now) > 0:
                pauses.append(left)
                continue
            self._busy[lane] = row.id
            group.create_task(self._carry_out(row, command, entry, lane), name=f"command {row.id}")
        return min(pauses + await self._begin_actions(group), default=None)

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
        """By a clock that is trusted: one behind the network's own time stamps judges nothing."""
        limit = self._rules.max_age_s if entry is None or entry.max_age_s is None else entry.max_age_s
        if limit is None or row.timestamp is None:
            return False
        now = self._wall()
        return now >= self._inbox.newest_timestamp and now - row.timestamp.timestamp() > limit

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
        if self._stopping and not isinstance(outcome, Finished):
            return  # what is still running is left to the next start
        match outcome:
            case Finished(reply, then):
                await self._done(row, entry, reply, then)
            case Later(reason) if attempt < ATTEMPTS and entry.repeatable:
                await insist(self._skin, self._tell, self._inbox.again, row.id, reason)
                pause = LATER.after(attempt, self._random)
                self._later[entry.name] = asyncio.get_running_loop().time() + pause
                self._say("later", row, f"{reason}; again in {pause:.0f} s")
            case Later(reason):
                await self._fail(row, "failed", detail=f"{reason}; not tried again")
            case Failed(reason):
                await self._fail(row, "failed", detail=reason)
            case TimedOut():
                await self._fail(row, "timed out", detail=f"ended after {timeout:g} s")

    async def _done(
        self, row: CommandRow, entry: Entry, content: str | bytes | None, then: str | None
    ) -> None:
        replies: Sequence[Outgoing] = ()
        if content and row.answerable:
            try:
                replies = self._compose(row, content, entry.reply_to)
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
            replies = self._compose(row, f"{ERROR_ANSWER}{answer}", None, error_answer=True)
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

    # Answer, then act

    async def _begin_actions(self, group: asyncio.TaskGroup) -> list[float]:
        """Start those that may start; returns how long others wait for their answer to leave."""
        pauses = []
        for action in await insist(self._skin, self._tell, self._actions.waiting):
            if action.id in self._acting or self._stopping:
                continue
            left = 0.0 if action.settled else ACT_AFTER_S - action.age_s
            if left > 0:
                pauses.append(left)
            else:
                self._acting.add(action.id)
                group.create_task(self._act(action), name=f"action {action.id}")
        return pauses

    async def _act(self, action: ActionRow) -> None:
        row = action.command
        await insist(self._skin, self._tell, self._actions.begin, action.id)
        self._say("acting", row, f"{action.handler}, then {action.action}")
        try:
            outcome = await self._carry_on(action)
        except Exception as error:  # noqa: BLE001  (whatever it was, it ends this action and no other)
            outcome = Failed(f"{type(error).__name__}: {error}")
        self._health.ended(f"action {action.id}")
        if self._stopping and not isinstance(outcome, Finished):
            return  # most likely it is what ends the agent; the next start says so
        reason: str | None = None
        match outcome:
            case Failed(why) | Later(why):
                reason = why
            case TimedOut():
                reason = "timed out"
        await insist(self._skin, self._tell, self._actions.finish, action.id, reason)
        self._acting.discard(action.id)
        self._say("acted", row, reason or action.action)

    async def _carry_on(self, action: ActionRow) -> Outcome:
        entry = self._catalogue.named(action.handler)
        if entry is None:
            return Failed(f"there is no handler {action.handler} any more")
        timeout = self._rules.timeout_s if entry.timeout_s is None else entry.timeout_s
        self._health.within(f"action {action.id}", timeout + GRACE_S)
        return await self._runner.act(entry, action.action, _command(action.command), timeout)

    def _say_queued(self, row: CommandRow, replies: Sequence[Outgoing]) -> None:
        if replies:
            texts = [each.user_data.text or "" for each in replies]
            self._say("queued", row, f"answer to {replies[0].destination}", "".join(texts) or None)
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


def _command(row: CommandRow) -> Command:
    """What a handler gets to see."""
    return Command.of(
        row.body, sid=row.sid, sender=row.sender, timestamp=row.timestamp, attempt=row.attempt + 1
    )
