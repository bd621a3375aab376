"""The life of the connection: open the port, make a session, wait, make the next one.

A session is never repaired. It ends through the wire: the channel fails what is under way and what comes
later with `ModemLost`, the session's tasks finish their commit and return. The supervisor is the one place
that catches everything, says it in one line and tries again after a wait that grows. What else may be done
about a module that does not work the ladder decides (`agent.recovery`) and the mender does, when told here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from math import inf

from agent.at.channel import Channel
from agent.at.error import AtError
from agent.at.trace import Trace
from agent.at.wire import Opener, PortUnavailable
from agent.health import Health
from agent.mending import Mender
from agent.modem.error import ModemUnusable
from agent.modem.modem import Modem
from agent.recovery import RESTING_S, Remedy, SendPause, Trouble
from agent.session import Session
from agent.stopping import unless_stopped
from agent.story import Step, Tell, Weight

OPEN_S, INITIALISE_S = 60.0, 300.0
"""Longest times before the watchdog worries; a SIM alone may keep a module busy for a minute."""


@dataclass(slots=True)
class Connection:
    """What is known of the connection, for `status`."""

    state: str = "starting"
    sessions: int = 0
    session: Session | None = None


class Supervisor:
    """Keeps one session after the other going until it is told to stop."""

    def __init__(
        self,
        opener: Opener,
        adopt: Callable[[Channel], Modem],
        begin: Callable[[Modem], Session],
        mender: Mender,
        sending: SendPause,
        give_up: Callable[[str], None],
        tell: Tell,
        status: Callable[[str], None],
        health: Health,
        trace: Trace | None = None,
    ) -> None:
        """`adopt` makes a modem of an open channel, `begin` a session of the initialised modem.

        `give_up` is told why another process should go on; `status` takes the line that systemd shows.
        """
        self._opener = opener
        self._adopt = adopt
        self._begin = begin
        self._mender = mender
        self._sending = sending
        self._give_up = give_up
        self._tell = tell
        self._status = status
        self._health = health
        self._trace = trace
        self._stopping = asyncio.Event()
        self._modem: Modem | None = None
        self._said = ""
        self._working_since = inf
        self.connection = Connection()

    def stop(self) -> None:
        """End the session and begin no other."""
        self._stopping.set()
        if self._modem is not None:
            self._modem.close()

    async def run(self) -> None:
        """One session after the other until `stop`, or until nothing has helped for long."""
        loop = asyncio.get_running_loop()
        await self._mender.put_right()
        while not self._stopping.is_set():
            self._working_since = inf
            try:
                trouble = await self._session()
            except PortUnavailable as error:
                trouble = Trouble.ABSENT
                self._say("port", str(error))
            except AtError as error:
                trouble = Trouble.SILENT if self._working_since == inf else Trouble.LOST
                if not self._stopping.is_set():
                    self._say("module", str(error))
            except ModemUnusable as error:
                trouble = Trouble.MISTAKE
                self._say("module", str(error))
            except Exception as error:  # noqa: BLE001  (the one place that catches everything)
                trouble = Trouble.MISTAKE
                self._mistake("session failed", error)
            finally:
                self._modem = None
                self.connection.session = None
                self._health.ended("supervisor")
            if not self._stopping.is_set():
                await self._next(trouble, max(0.0, loop.time() - self._working_since))

    async def _session(self) -> Trouble:
        """Open, set up, work until the end; what ended it."""
        self._health.within("supervisor", OPEN_S)
        channel = await Channel.open(self._opener, self._trace)
        try:
            modem = self._modem = self._adopt(channel)
            if self._stopping.is_set():
                return Trouble.LOST
            self._health.within("supervisor", INITIALISE_S)
            self._state("initialising the module")
            try:
                condition = await modem.initialise()
            except ModemUnusable as error:
                if self._stopping.is_set():
                    return Trouble.LOST
                self._say("module", str(error))
                return await self._mender.card(modem) or Trouble.UNUSABLE
            self._health.ended("supervisor")
            self._said = ""
            self._working_since = asyncio.get_running_loop().time()
            self._mender.met(modem)
            self.connection.sessions += 1
            session = self._begin(modem)
            self.connection.session = session
            self._tell(Step("session", str(condition)))
            await session.run(self._state, partial(self._mender.fares, modem))
            if not self._stopping.is_set():
                self._state(modem.loss)
                self._tell(Step("session ended", modem.loss, weight=Weight.WARNING))
            return Trouble.LOST
        finally:
            channel.close()
            await channel.closed()

    async def _next(self, trouble: Trouble, worked_s: float) -> None:
        """What is to be done before the next session, and the wait for it."""
        if self._mender.ended_session:
            self._mender.ended_session = False
            await self._pause(RESTING_S)
            return
        rest = None if self._working_since == inf else self._sending.lost(asyncio.get_running_loop().time())
        if rest is not None:
            text = (
                "the module was lost right after a message left, twice or more in a row: look at its power "
                f"supply (it takes 2 A for moments; cable, hub, HAT). Sending rests for {rest / 60:.0f} min, "
                "receiving goes on"
            )
            self._tell(Step("power", text, weight=Weight.WARNING))
        plan = self._mender.failed(trouble, worked_s)
        pause = plan.pause_s
        if plan.remedy is Remedy.END:
            self._give_up(f"{trouble.value}, and nothing has helped for an hour: {self.connection.state}")
            await self._stopping.wait()
            return
        try:
            if plan.remedy is not None and await unless_stopped(
                self._stopping, self._mender.mend(plan.remedy, trouble)
            ):
                self._state(f"{trouble.value}; done: {plan.remedy.value}")
                pause = max(pause, RESTING_S)
        except Exception as error:  # noqa: BLE001  (the same place: what helps must not end the agent)
            self._mistake("recovery failed", error)
        await self._pause(pause)

    async def _pause(self, seconds: float) -> None:
        """At once over when it is told to stop."""
        try:
            async with asyncio.timeout(seconds):
                await self._stopping.wait()
        except TimeoutError:
            return

    def _mistake(self, what: str, error: Exception) -> None:
        self._state(f"{type(error).__name__}: {error}")
        self._tell(Step(what, self.connection.state, weight=Weight.ERROR))

    def _say(self, what: str, text: str) -> None:
        """A trouble is said once; while it lasts it only stands in the status."""
        self._state(text)
        weight = Weight.DETAIL if text == self._said else Weight.WARNING
        self._said = text
        self._tell(Step(what, text, weight=weight))

    def _state(self, text: str) -> None:
        self.connection.state = text
        self._status(text)
