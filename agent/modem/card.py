"""The SIM: open, with its PIN if need be, and with the number of its service centre.

A wrong PIN costs one of three tries, and a SIM without tries is a journey to a remote site. So a PIN is tried
only when the SIM asks for it, never with the last try, and once: that it is about to be tried is on disk
before the command is written. Nothing here knows a PUK.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from agent.at.channel import Channel
from agent.at.command import Answer, AtCommand
from agent.at.error import CommandRefused, CommandTimedOut
from agent.at.parameters import values
from agent.modem.commands import SETTING_S, read
from agent.modem.error import ModemUnusable
from agent.modem.negotiation import Negotiation
from agent.modem.state import read_iccid
from hardware.profile import DriverProfile
from hardware.thread import in_thread

SIM_S = 15.0
"""A SIM that is reported as absent for so long is absent; while starting, modules say so of a good one."""
ENTER_S = 30.0
"""Until the PIN is accepted; Quectel allows 5 s."""
READY_S = 30.0
"""SIM data may stay blocked for 20 s after the right PIN [Siemens' manuals]."""
TRIES = 3
"""Of a PIN that nobody has got wrong."""

_WRONG = {("cme", 16), ("cme", 12), ("cms", 316)}
"""Incorrect password; PUK required, which is what a wrong last try is answered by."""
_ABSENT = {("cme", 10), ("cms", 310)}
_FAILURE = {("cme", 13), ("cms", 313)}
"""SIM failure; of a SIM that is being read, too."""
_BUSY = {("cme", 14), ("cms", 314)}
_OPEN = {"READY", ""}
"""A module that does not tell will say with the first command that needs the SIM."""
_NUMBERS = re.compile(r"\d+")
_ADDRESS = re.compile(r"\+?[0-9]{3,20}")


@dataclass(frozen=True, slots=True)
class Pin:
    """The PIN of the SIM."""

    digits: str = field(repr=False)
    source: str
    """Where it stands, for people."""
    again: Callable[[], Pin] | None = field(default=None, repr=False, compare=False)
    """Reads it anew, and may block; None where it changes only for another process.

    Raises ModemUnusable where it cannot be read any more.
    """

    @property
    def correct(self) -> str:
        """What a person does about a wrong one."""
        if self.again is None:
            return "write the right one there and restart the agent"
        return "write the right one there, which is tried within a minute"


class CardMemory(Protocol):
    """What is remembered of SIMs beyond a session. An ICCID is empty for a SIM that does not tell it."""

    async def attempt(self, iccid: str, pin: str, *, untouched: bool) -> str:
        """Keep on disk that this PIN is about to be tried; empty if it may be.

        Else "refused" where it was tried before, or "trying" where nobody knows what became of that.
        `untouched`: the SIM shows that no try has been lost, so an attempt that was cut off cost none.
        Raises ModemUnusable where nothing can be kept.
        """

    async def settle(self, iccid: str, *, refused: bool) -> None:
        """What became of the attempt; a right PIN leaves no trace."""

    async def service_centre(self, iccid: str) -> str:
        """The service centre number that this SIM had last, empty where none is known."""

    async def met(self, iccid: str, service_centre: str) -> None:
        """It is in use now, with that service centre number."""


@dataclass(frozen=True, slots=True)
class Holder:
    """What is known beforehand of the SIM in the module."""

    memory: CardMemory | None = None
    pin: Pin | None = None
    service_centre: str = ""
    """To be used where the SIM has none; wins over what is remembered."""


async def missing(channel: Channel) -> str:
    """What the module says where it has no SIM any more; empty where it has one, or does not tell.

    Raises CommandTimedOut, ModemLost.
    """
    try:
        said = (await channel.exchange(read("+CPIN"))).text
    except CommandRefused as error:
        return str(error) if (error.kind, error.code) in _ABSENT | _FAILURE else ""
    return said if said.upper().endswith(("NOT INSERTED", "NOT READY")) else ""


def blames(error: CommandRefused) -> bool:
    """Whether a command was refused for the SIM's sake: none, one that fails, one that is busy."""
    return (error.kind, error.code) in _ABSENT | _FAILURE | _BUSY


class Card:
    """The SIM of one module while it is being initialised."""

    def __init__(self, channel: Channel, talk: Negotiation, driver: DriverProfile, holder: Holder) -> None:
        self._channel = channel
        self._talk = talk
        self._driver = driver
        self._holder = holder
        self._loop = asyncio.get_running_loop()

    async def open(self) -> None:
        """+CPIN: a SIM that asks for nothing any more. Raises ModemUnusable."""
        state = await self._state()
        if state == "SIM PIN":
            await self._unlock()
        elif state.endswith("PUK"):
            raise ModemUnusable(
                f"the SIM asks for {state}: it is blocked until somebody enters its PUK in a phone; the "
                "agent never does"
            )
        elif state not in _OPEN:
            raise ModemUnusable(f"the SIM asks for {state}; switch it off in a phone (it is never guessed)")

    async def _state(self) -> str:
        """What the SIM asks for: READY for nothing, "" where the module does not tell.

        Waits for one that is being read.
        """
        attempt = 0
        until = self._loop.time() + SIM_S
        while True:
            try:
                said = (await self._talk.ask(read("+CPIN"))).text
            except CommandTimedOut:
                self._talk.note("AT+CPIN? ignored")
                return ""
            except CommandRefused as error:
                if (error.kind, error.code) in _FAILURE:
                    raise ModemUnusable(
                        "the SIM does not answer (SIM failure); is it in its holder, and sound?"
                    ) from None
                if (error.kind, error.code) not in _ABSENT:
                    self._talk.note(f"AT+CPIN? refused ({error.name or 'ERROR'})")
                    return ""
                said = "+CPIN: NOT INSERTED"
            state = said.partition(":")[2].strip().strip('"').upper()
            if state == "NOT READY":
                until = self._loop.time() + SIM_S
            elif state != "NOT INSERTED":
                return state
            if self._loop.time() > until or not await self._talk.wait(attempt):
                raise ModemUnusable("the module sees no SIM; is it in its holder?")
            attempt += 1

    # The PIN

    async def _unlock(self) -> None:
        pin, memory = self._holder.pin, self._holder.memory
        if pin is None or memory is None:
            raise ModemUnusable(
                "the SIM asks for SIM PIN; give it by [modem] pin_file in agent.toml or the systemd "
                "credential sim-pin, or switch it off in a phone (the PIN is never guessed)"
            )
        if pin.again is not None:  # somebody may have corrected it
            pin = await in_thread(pin.again, "read PIN")
        iccid = await read_iccid(self._channel, self._driver)
        tries = await self._tries()
        if tries is not None and tries < 2:
            raise ModemUnusable(
                f"the SIM asks for its PIN and has {tries} try left, which is not risked: enter the PIN in a "
                "phone, which gives all tries back"
            )
        untouched = tries is not None and tries >= TRIES
        match await memory.attempt(iccid, pin.digits, untouched=untouched):
            case "refused":
                raise ModemUnusable(
                    f"the PIN of {pin.source} was refused by this SIM and is not tried again; {pin.correct}"
                )
            case "trying":
                raise ModemUnusable(
                    f"the agent ended while it tried the PIN of {pin.source}, and the SIM does not show that "
                    f"this cost no try: enter the PIN in a phone, or, if it is wrong, {pin.correct}"
                )
        await self._enter(memory, iccid, pin, tries)
        await memory.settle(iccid, refused=False)
        await self._wait_until_ready()

    async def _enter(self, memory: CardMemory, iccid: str, pin: Pin, tries: int | None) -> None:
        """Write the PIN, once. Raises ModemUnusable unless the SIM took it."""
        try:
            await self._channel.exchange(AtCommand(f'AT+CPIN="{pin.digits}"', ENTER_S, once=True))
        except CommandRefused as error:
            if (error.kind, error.code) not in _WRONG:
                return await self._clear_up(memory, iccid, pin, tries, str(error))
        except CommandTimedOut as error:
            return await self._clear_up(memory, iccid, pin, tries, str(error))
        else:
            return None
        await memory.settle(iccid, refused=True)
        raise _wrong(pin, await self._tries())

    async def _clear_up(self, memory: CardMemory, iccid: str, pin: Pin, tries: int | None, said: str) -> None:
        """Neither taken nor called wrong: the SIM's state and its tries tell what happened."""
        if await self._state() == "READY":  # in so many words: silence here says nothing about the PIN
            return
        left = await self._tries()
        if tries is not None and left == tries:
            await memory.settle(iccid, refused=False)
            raise ModemUnusable(f"the SIM did not take the PIN now, and no try was lost: {said}")
        await memory.settle(iccid, refused=True)
        if tries is not None and left is not None and left < tries:
            raise _wrong(pin, left)
        raise ModemUnusable(
            f"nobody knows whether the SIM refused the PIN of {pin.source}, so it is not tried again "
            f"({said}): enter it in a phone, or {pin.correct}"
        )

    async def _tries(self) -> int | None:
        """Remaining tries of the PIN; None where the module does not tell (27.007 8.65, makers' own)."""
        many = AtCommand("AT+CPINR", SETTING_S, (Answer("+CPINR", many=True),))
        try:
            for line in (await self._channel.exchange(many)).information:
                if line.text.upper().startswith("+CPINR: SIM PIN,"):
                    return values(line.text).at(1).number
        except (CommandRefused, CommandTimedOut):
            pass
        if self._driver.pin_tries_command is None:
            return None
        name = re.split(r"[=?]", self._driver.pin_tries_command.removeprefix("AT"))[0]
        command = AtCommand(self._driver.pin_tries_command, SETTING_S, (Answer(name),))
        try:
            found = _NUMBERS.search((await self._channel.exchange(command)).text.partition(":")[2])
        except (CommandRefused, CommandTimedOut):
            return None
        return int(found[0]) if found else None

    async def _wait_until_ready(self) -> None:
        """The right PIN was given; the SIM is read now."""
        until = self._loop.time() + READY_S
        attempt = 0
        while await self._state() not in _OPEN:
            if self._loop.time() > until or not await self._talk.wait(attempt):
                raise ModemUnusable("the SIM took its PIN and is not ready since; is it damaged?")
            attempt += 1

    # The service centre

    async def restore_service_centre(self) -> str:
        """The number to be used where the SIM has none; empty where nobody knows one."""
        number = self._holder.service_centre
        if not number and self._holder.memory is not None:
            number = await self._holder.memory.service_centre(await read_iccid(self._channel, self._driver))
        return number if _ADDRESS.fullmatch(number) else ""


def _wrong(pin: Pin, left: int | None) -> ModemUnusable:
    """It has cost a try."""
    tries = "" if left is None else f" (tries left: {left})"
    return ModemUnusable(
        f"the SIM refuses the PIN of {pin.source} as wrong{tries}; it is not tried again: {pin.correct}"
    )
