"""Carries out what the ladder says: asks for leave and budget first, commits, then acts, one line for each.

Owned by the supervisor, which is the only one that ends sessions; in a session its watch asks here.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from agent.at.channel import Channel
from agent.at.error import AtError, CommandRefused, ModemLost
from agent.at.holder import holders
from agent.at.port import PortOpener
from agent.at.wire import Opener, PortUnavailable
from agent.health import Health
from agent.journal.resets import Resets, Used
from agent.journal.skin import Skin
from agent.modem.modem import Modem
from agent.modem.remedies import cycle_radio, restart
from agent.modem.state import DENIED, Registration
from agent.recovery import Ladder, Plan, Remedy, Trouble
from agent.story import Step, Tell, Weight
from hardware.power import Power, PowerUnusable, Usb
from hardware.profile import DriverProfile

BLIND_S = 5.0
"""For a command that is written to a module which does not answer: so long it may take to leave."""
REMEDY_S = 420.0
"""Longest time of a remedy: +COPS=0 alone may take three minutes, and some refuse before they obey."""
AFTER_S = 200.0
"""Whoever waited for the line meanwhile has its own work still before it."""
_SIM: dict[tuple[str, int | None], Trouble] = {
    **dict.fromkeys((("cme", 10), ("cme", 13), ("cms", 310), ("cms", 313)), Trouble.NO_SIM),
    **dict.fromkeys((("cme", 14), ("cms", 314)), Trouble.SIM_BUSY),
}
"""Errors that mean: no SIM, one that does not answer, one that is busy (27.005 3.2.5, 27.007 9.2.1)."""


@dataclass(frozen=True, slots=True)
class Means:
    """What recovery may use."""

    power: Power | None = None
    may_drop_data: bool = False
    in_use: Callable[[], str] = lambda: ""
    """Who else uses the module, as part of a sentence; may block."""


class Neighbours:
    """Who else uses the module. Its methods may block."""

    def __init__(self, opener: Opener) -> None:
        """Of a socket nothing is known."""
        self._opener = opener if isinstance(opener, PortOpener) else None

    def port(self) -> Path | None:
        """The device path on which the module is, or was last."""
        return None if self._opener is None else self._opener.node

    def user(self) -> str:
        """Part of a sentence, empty for nobody."""
        from hardware.neighbours import in_use  # noqa: PLC0415  (only where a module is in trouble)

        if self._opener is None or self._opener.node is None:
            return ""
        if self._opener.memory.in_data_mode:
            return f"something else has dialled on {self._opener.node}, which is in data mode"
        return in_use(self._opener.node, os.getpid(), holders)


class Mender:
    """The ladder's hands."""

    def __init__(
        self,
        ladder: Ladder,
        means: Means,
        resets: Resets,
        skin: Skin,
        opener: Opener,
        tell: Tell,
        health: Health,
    ) -> None:
        self.ladder = ladder
        self._means = means
        self._resets = resets
        self._skin = skin
        self._opener = opener
        self._tell = tell
        self._health = health
        self._driver = DriverProfile()
        self._said = ""
        self.ended_session = False
        """Whether the last session was ended by a remedy: that is no failure. Whoever looks clears it."""
        self.used = Used(0, 0)
        """Resets in the last hour and day, as they stood when last looked at."""

    def met(self, modem: Modem) -> None:
        """A session stands. How this module is driven is remembered for when it no longer answers."""
        self._driver = modem.driver
        self._said = ""
        self.ladder.worked(self._now())

    def failed(self, trouble: Trouble, worked_s: float) -> Plan:
        """What comes after a session that ended, or could not be had."""
        return self.ladder.failed(trouble, self._now(), worked_s)

    async def put_right(self) -> None:
        """Give back what an agent that was killed in the middle of a remedy has left without power."""
        if not isinstance(power := self._means.power, Usb):
            return  # of a GPIO line the kernel lets go
        try:
            place = await power.put_right()
        except PowerUnusable as error:
            self._tell(Step("recovery", f"the module may be switched off: {error}", weight=Weight.WARNING))
            return
        if place:
            text = f"USB device {place} is switched on again; an agent that was killed had switched it off"
            self._tell(Step("recovery", text, weight=Weight.WARNING))

    async def card(self, modem: Modem) -> Trouble | None:
        """What is wrong with the SIM, None if nothing is or nobody can tell."""
        try:
            said = " ".join(await modem.at("AT+CPIN?")).upper()
        except CommandRefused as error:
            return _SIM.get((error.kind, error.code))
        except AtError:
            return None
        if "NOT INSERTED" in said or "NOT READY" in said:
            return Trouble.NO_SIM
        return Trouble.LOCKED if " PIN" in said or " PUK" in said else None

    async def fares(self, modem: Modem, registration: Registration) -> None:
        """Look after network, card and store in a session: a remedy beyond +COPS=0 ends it."""
        trouble = card = None
        if not registration.can_send:
            trouble = Trouble.DENIED if DENIED in registration.states else Trouble.SEARCHING
            card = await self.card(modem)
            if card is Trouble.NO_SIM:
                # Setting it up again tells whether it really is gone, and waits for it.
                modem.close("the module sees no SIM")
                return
        busy = modem.card_refuses or card is Trouble.SIM_BUSY
        if remedy := self.ladder.sim(self._now(), busy=busy):
            await self.mend(remedy, Trouble.SIM_BUSY, modem)
            return
        if remedy := self.ladder.store(self._now(), refuses=bool(modem.store_refuses)):
            if remedy is Remedy.ANEW:
                self._begin_anew(modem)
            else:
                await self.mend(remedy, Trouble.UNREADABLE, modem)
            return
        remedy = self.ladder.fares(trouble, self._now())
        if remedy is not None and trouble is not None:
            await self.mend(remedy, trouble, modem)

    async def mend(self, remedy: Remedy, trouble: Trouble, modem: Modem | None = None) -> bool:
        """Carry out a remedy on the modem of a session, or without one; whether it was begun.

        Not begun: something else uses the module, the port cannot be opened, the budget is used up, or the
        journal cannot commit. Each is said once.
        """
        async with contextlib.AsyncExitStack() as stack:
            try:
                if not self._means.may_drop_data and (user := await self._skin.run(self._means.in_use)):
                    return self._not(remedy, trouble, f"{user}; recovery.may_drop_data = true allows it")
                channel = None
                if modem is None and remedy in {Remedy.RADIO, Remedy.RESTART}:
                    channel = await self._open(stack)
                refusal = await self._skin.run(
                    self._resets.reserve,
                    remedy.step,
                    trouble.value,
                    hourly=trouble is Trouble.DENIED,
                    spare=self._spare(remedy),
                )
            except PortUnavailable as error:
                return self._not(remedy, trouble, str(error))
            except sqlite3.Error as error:
                return self._not(remedy, trouble, f"the journal cannot note it: {error}")
            if refusal:
                return self._not(remedy, trouble, refusal)
            await self.look()
            self.ladder.done(remedy, trouble, self._now())
            self._said = ""
            used = f"{self.used.hour} of {self._resets.budget.per_hour} resets this hour"
            self._tell(Step("recovery", f"{trouble.value}: {remedy.value}; {used}", weight=Weight.WARNING))
            self._health.within("recovery", REMEDY_S + AFTER_S)
            self._health.excuse(REMEDY_S)
            try:
                await self._carry_out(remedy, trouble, modem, channel)
            except (TimeoutError, ModemLost):
                # A mute module says nothing to it, one that restarts may vanish with its port, and the agent
                # may be about to end: whether it helped, the next session tells.
                pass
            except (AtError, PowerUnusable) as error:
                self._tell(Step("recovery", f"it did not succeed: {error}", weight=Weight.WARNING))
            finally:
                self._health.excuse(AFTER_S)
                self._health.ended("recovery")
            if remedy is not Remedy.RESELECT and modem is not None:
                self.ended_session = True
                modem.close("the module is to be set up again")
        return True

    def _begin_anew(self, modem: Modem) -> None:
        """Another session, which costs no reset, for messages that cannot be read."""
        trouble, remedy = Trouble.UNREADABLE, Remedy.ANEW
        self.ladder.done(remedy, trouble, self._now())
        what = f"{trouble.value} ({modem.store_refuses}): {remedy.value}"
        self._tell(Step("recovery", what, weight=Weight.WARNING))
        self.ended_session = True
        modem.close(trouble.value)

    async def look(self) -> None:
        """Look again how much of the budget is used."""
        with contextlib.suppress(sqlite3.Error):  # a figure for people only
            self.used = await self._skin.run(self._resets.used)

    async def _carry_out(
        self, remedy: Remedy, trouble: Trouble, modem: Modem | None, channel: Channel | None
    ) -> None:
        power, driver, card = self._means.power, self._driver, trouble in {Trouble.NO_SIM, Trouble.SIM_BUSY}
        async with asyncio.timeout(BLIND_S if trouble is Trouble.SILENT and channel else REMEDY_S):
            match remedy:
                case Remedy.RESELECT if modem is not None:
                    await modem.reselect()
                case Remedy.RADIO if modem is not None:
                    await modem.cycle_radio(card=card)
                case Remedy.RADIO if channel is not None:
                    await cycle_radio(channel, driver, card=card)
                case Remedy.RESTART if modem is not None:
                    await modem.restart()
                case Remedy.RESTART if channel is not None:
                    await restart(channel, driver)
                case Remedy.POWER if power is not None:
                    await power.cycle(driver)
                    self._pulsed(power)
                case Remedy.PRESS if power is not None:
                    await power.press(driver)
                    self._pulsed(power)

    def _spare(self, remedy: Remedy) -> int:
        """A key may switch off for good what it was to start anew: then it has to be pressed once more."""
        power = self._means.power
        return 1 if remedy is Remedy.POWER and power is not None and power.is_key else 0

    def _pulsed(self, power: Power) -> None:
        if power.is_key:
            self.ladder.pulsed(self._now())

    async def _open(self, stack: contextlib.AsyncExitStack) -> Channel:
        """A line to a module that nobody has set up, to tell it one thing."""
        channel = await Channel.open(self._opener)
        stack.push_async_callback(channel.closed)
        stack.callback(channel.close)
        channel.expect_echo(True)
        return channel

    def _not(self, remedy: Remedy, trouble: Trouble, why: str) -> bool:
        """Said once; while it lasts it only stands in the log's details."""
        self.ladder.held(trouble, self._now())
        weight = Weight.DETAIL if why == self._said else Weight.WARNING
        self._said = why
        self._tell(Step("recovery", f"{trouble.value}, but not done: {remedy.value}: {why}", weight=weight))
        return False

    def _now(self) -> float:
        return asyncio.get_running_loop().time()
