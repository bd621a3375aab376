"""The seam between the agent and the user's code, `Runner`, and the one that runs it in processes."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Protocol

from agent.handlers import exchange
from agent.handlers.api import Command
from agent.handlers.entry import Entry
from agent.handlers.frames import Frame
from agent.handlers.link import KeeperGone, Link, NoKeeper
from agent.handlers.outcome import (
    CannotLoad,
    Declared,
    Failed,
    Finished,
    HostExhausted,
    Later,
    NotStarted,
    Outcome,
    TimedOut,
)
from agent.story import Step, Tell

__all__ = [
    "CannotLoad",
    "Declared",
    "Failed",
    "Finished",
    "HostExhausted",
    "Later",
    "NotStarted",
    "Outcome",
    "ProcessRunner",
    "Runner",
    "TimedOut",
]

LOAD_LIMIT_S = 60.0
"""For a Python file and what it imports; a big library takes seconds on a small board."""
ACTION_LIMIT_S = 30.0
MEMORY = 256 * 1024 * 1024
"""Octets of data a handler's process may have unless it raises its own limit (RLIMIT_DATA)."""
LATE_S = 10.0
"""What the keeper gets beyond a time limit. After that it is stuck itself and is replaced."""


class Runner(Protocol):
    """Where handlers run; another one stands here in a simulation."""

    async def declare(self, file: Path) -> list[Declared]:
        """What a Python file declares. Raises CannotLoad, HostExhausted."""

    async def run(self, entry: Entry, command: Command, timeout_s: float) -> Outcome:
        """Carry out a Command. Never raises on account of the handler; cancelling ends the run."""

    async def act(
        self, entry: Entry, action: str, command: Command, timeout_s: float = ACTION_LIMIT_S
    ) -> Outcome:
        """Do what a handler asked to be done after its answer."""

    async def close(self) -> None:
        """End all that runs, within 3 s; runs end as Failed."""


class ProcessRunner:
    """Runs handlers in processes below a keeper, which is started when it is first needed."""

    def __init__(
        self,
        tell: Tell,
        environment: Mapping[str, str] = os.environ,
        *,
        load_limit_s: float = LOAD_LIMIT_S,
        memory: int = MEMORY,
    ) -> None:
        """`tell` hears what handlers write to standard error; `environment` is the agent's own."""
        self._tell = tell
        self._environment = exchange.clean(environment)
        self._load_limit_s = load_limit_s
        self._memory = memory
        self._link: Link | None = None
        self._starting = asyncio.Lock()
        self._turns: dict[str, asyncio.Lock] = {}
        self._closed = False

    async def declare(self, file: Path) -> list[Declared]:
        """Load the file into a worker, which stays for its Commands. Raises CannotLoad, HostExhausted."""
        declared: list[Declared] = []
        request = exchange.load(os.fsencode(file), self._load_limit_s)
        try:
            answer = await self._ask(
                request, self._load_limit_s, lambda frame: declared.append(exchange.declared(frame))
            )
        except NoKeeper as error:  # also while the agent stops, when nobody looks at it any more
            raise HostExhausted(f"{file}: {error}") from None
        except (KeeperGone, TimeoutError) as error:
            raise CannotLoad(f"{file}: {str(error) or 'its process does not answer'}") from None
        match answer["verb"]:
            case b"loaded":
                return declared
            case b"broken":
                raise CannotLoad(answer["sentence"].decode())
            case b"overdue":
                raise CannotLoad(f"{file} was still loading after {self._load_limit_s:g} s")
            case _ if exchange.exhausted(answer):
                raise HostExhausted(f"{file}: its process {exchange.ending(answer)}")
            case _:
                raise CannotLoad(f"{file} cannot be loaded: {exchange.ending(answer)}")

    async def run(self, entry: Entry, command: Command, timeout_s: float) -> Outcome:
        """Carry out a Command. Cancelling ends the run."""
        return await self._carry_out(entry, None, command, timeout_s)

    async def act(
        self, entry: Entry, action: str, command: Command, timeout_s: float = ACTION_LIMIT_S
    ) -> Outcome:
        """Do what a handler asked to be done after its answer."""
        outcome = await self._carry_out(entry, action, command, timeout_s)
        return Finished(None) if isinstance(outcome, Finished) else outcome

    async def close(self) -> None:
        """End all that runs: told by SIGTERM, a second later killed. Takes less than 3 s."""
        self._closed = True
        async with self._starting:
            if self._link is not None:
                await self._link.close()

    async def _carry_out(
        self, entry: Entry, action: str | None, command: Command, timeout_s: float
    ) -> Outcome:
        try:
            if entry.kind == "python":
                # One Command at a time: the functions of a file share its process.
                async with self._turns.setdefault(entry.lane, asyncio.Lock()):
                    request = exchange.call(entry, action, command, timeout_s, self._load_limit_s)
                    answer = await self._ask(request, timeout_s + self._load_limit_s)
            else:
                answer = await self._ask(exchange.program(entry, action, command, timeout_s), timeout_s)
        except NoKeeper as error:
            return NotStarted(str(error))
        except (KeeperGone, exchange.CannotPass) as error:
            return Failed(str(error))
        except TimeoutError:
            return TimedOut()
        return exchange.outcome(entry, answer)

    async def _ask(
        self, request: Frame, limit_s: float, also: Callable[[Frame], None] = lambda _: None
    ) -> Frame:
        """Raises KeeperGone, and TimeoutError when the keeper does not answer even after its own time."""
        async with self._starting:
            if self._closed:
                raise NoKeeper("the agent is stopping")
            if self._link is None or self._link.gone:
                self._link = await Link.open(self._environment, self._memory, self._heard_line)
            link = self._link
        try:
            async with asyncio.timeout(limit_s + LATE_S):
                return await link.ask(request, also)
        except TimeoutError:
            link.kill()
            raise

    def _heard_line(self, name: str, line: str) -> None:
        self._tell(Step("handler", f"{name}: {line}"))
