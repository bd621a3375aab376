"""The life of the connection: open the port, make a session, wait, make the next one.

A session is never repaired. It ends through the wire: the channel fails what is under way and what comes
later with `ModemLost`, the session's tasks finish their commit and return. The supervisor is the one place
that catches everything, says it in one line and tries again after a wait that grows.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from math import inf
from random import Random

from agent.at.channel import Channel
from agent.at.error import AtError
from agent.at.trace import Trace
from agent.at.wire import Opener, PortUnavailable
from agent.health import Health
from agent.modem.error import ModemUnusable
from agent.modem.modem import Modem
from agent.retry import Waits
from agent.session import Session
from agent.story import Step, Tell, Weight

PORT_WAITS = Waits(first_s=1, cap_s=30)
"""A USB module needs seconds to come back, ModemManager lets go after 30 s at the most."""
SESSION_WAITS = Waits(first_s=2, cap_s=120)
STEADY_S = 60.0
"""A session that worked for so long was none of the failures in a row. Opening and initialising may take as
long and fail all the same."""
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
        random: Random,
        tell: Tell,
        status: Callable[[str], None],
        health: Health,
        trace: Trace | None = None,
    ) -> None:
        """`adopt` makes a modem of an open channel, `begin` a session of the initialised modem.

        `status` takes the line that systemd shows.
        """
        self._opener = opener
        self._adopt = adopt
        self._begin = begin
        self._random = random
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
        """One session after the other until `stop`."""
        loop = asyncio.get_running_loop()
        failures = 0
        while not self._stopping.is_set():
            waits = SESSION_WAITS
            self._working_since = inf
            try:
                await self._session()
            except PortUnavailable as error:
                waits = PORT_WAITS
                self._say("port", str(error))
            except (AtError, ModemUnusable) as error:
                if not self._stopping.is_set():
                    self._say("module", str(error))
            except Exception as error:  # noqa: BLE001  (the one place that catches everything)
                self._state(f"{type(error).__name__}: {error}")
                self._tell(Step("session failed", self.connection.state, weight=Weight.ERROR))
            finally:
                self._modem = None
                self.connection.session = None
                self._health.ended("supervisor")
            failures = 1 if loop.time() - self._working_since > STEADY_S else failures + 1
            await self._pause(waits.after(failures, self._random))

    async def _session(self) -> None:
        self._health.within("supervisor", OPEN_S)
        channel = await Channel.open(self._opener, self._trace)
        try:
            modem = self._modem = self._adopt(channel)
            if self._stopping.is_set():
                return
            self._health.within("supervisor", INITIALISE_S)
            self._state("initialising the module")
            condition = await modem.initialise()
            self._health.ended("supervisor")
            self._said = ""
            self._working_since = asyncio.get_running_loop().time()
            self.connection.sessions += 1
            session = self._begin(modem)
            self.connection.session = session
            self._tell(Step("session", str(condition)))
            await session.run(self._state)
            if not self._stopping.is_set():
                self._state(modem.loss)
                self._tell(Step("session ended", modem.loss, weight=Weight.WARNING))
        finally:
            channel.close()
            await channel.closed()

    async def _pause(self, seconds: float) -> None:
        """At once over when it is told to stop."""
        try:
            async with asyncio.timeout(seconds):
                await self._stopping.wait()
        except TimeoutError:
            return

    def _say(self, what: str, text: str) -> None:
        """A trouble is said once; while it lasts it only stands in the status."""
        self._state(text)
        weight = Weight.DETAIL if text == self._said else Weight.WARNING
        self._said = text
        self._tell(Step(what, text, weight=weight))

    def _state(self, text: str) -> None:
        self.connection.state = text
        self._status(text)
