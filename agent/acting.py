"""Answer, then act: what a handler asked to be done after its answer, begun at most once.

That an action begins is committed before it begins. What ends the agent is most likely the action itself, a
reboot say, so the next start takes it for done.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from agent.handlers.api import Command
from agent.handlers.catalogue import Catalogue
from agent.handlers.outcome import Failed, Finished, Later, NotStarted, Outcome, TimedOut
from agent.handlers.runner import Runner
from agent.health import Health
from agent.journal.actions import Actions
from agent.journal.rows import ActionRow, CommandRow
from agent.journal.skin import Skin, insist
from agent.scarcity import Scarcity
from agent.story import Step, Tell, Weight

ACT_AFTER_S = 60.0
"""An action waits no longer for its answer to leave."""
GRACE_S = 120.0
"""Beyond a handler's own time limit, before the watchdog worries: its process may have to be made anew."""


class Acting:
    """The dispatcher's room for actions."""

    def __init__(
        self,
        skin: Skin,
        actions: Actions,
        catalogue: Catalogue,
        runner: Runner,
        timeout_s: float,
        scarcity: Scarcity,
        wake: Callable[[], None],
        tell: Tell,
        health: Health,
    ) -> None:
        """`wake` has `begin` asked again."""
        self._skin = skin
        self._actions = actions
        self._catalogue = catalogue
        self._runner = runner
        self._timeout_s = timeout_s
        self._scarcity = scarcity
        self._wake = wake
        self._tell = tell
        self._health = health
        self._under_way: set[int] = set()
        self._stopping = False

    def stop(self) -> None:
        """Begin nothing more."""
        self._stopping = True

    async def settle(self) -> None:
        """Say what was under way when the agent ended; asked once, at start."""
        for action in await insist(self._skin, self._tell, self._actions.interrupted):
            reason = f"{action.action}: the agent ended while it acted; it is not repeated"
            self._say("acted", action.command, reason)

    async def begin(self, start: Callable[[Coroutine[Any, Any, None], str], None]) -> list[float]:
        """Start those that may start; returns how long others wait for their answer to leave."""
        pauses = []
        for action in await insist(self._skin, self._tell, self._actions.waiting):
            if action.id in self._under_way or self._stopping:
                continue
            left = 0.0 if action.settled else ACT_AFTER_S - action.age_s
            left = max(left, self._scarcity.left(("action", action.id), asyncio.get_running_loop().time()))
            if left > 0:
                pauses.append(left)
            else:
                self._under_way.add(action.id)
                start(self._act(action), f"action {action.id}")
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
        if isinstance(outcome, NotStarted) and await self._not_started(action, outcome.reason):
            return
        if self._stopping and not isinstance(outcome, Finished):
            return  # most likely it is what ends the agent; the next start says so
        if not isinstance(outcome, NotStarted):
            self._scarcity.started(("action", action.id))
        reason: str | None = None
        match outcome:
            case Failed(why) | Later(why) | NotStarted(why):
                reason = why
            case TimedOut():
                reason = "timed out"
        await insist(self._skin, self._tell, self._actions.finish, action.id, reason)
        self._under_way.discard(action.id)
        self._say("acted", row, reason or action.action)

    async def _not_started(self, action: ActionRow, reason: str) -> bool:
        """Whether it waits to be begun again: nothing of it has run."""
        now = asyncio.get_running_loop().time()
        if not self._stopping and not self._scarcity.met(("action", action.id), reason, now):
            return False
        await insist(self._skin, self._tell, self._actions.back, action.id, reason)
        self._under_way.discard(action.id)
        self._wake()
        return True

    async def _carry_on(self, action: ActionRow) -> Outcome:
        entry = self._catalogue.named(action.handler)
        if entry is None:
            return Failed(f"there is no handler {action.handler} any more")
        timeout = self._timeout_s if entry.timeout_s is None else entry.timeout_s
        self._health.within(f"action {action.id}", timeout + GRACE_S)
        return await self._runner.act(entry, action.action, handed(action.command), timeout)

    def _say(self, what: str, row: CommandRow, detail: str) -> None:
        self._tell(Step(what, detail, row.id, row.sid, weight=Weight.NORMAL))


def handed(row: CommandRow) -> Command:
    """What a handler gets to see of a Command."""
    return Command.of(
        row.body, sid=row.sid, sender=row.sender, timestamp=row.timestamp, attempt=row.attempt + 1
    )
