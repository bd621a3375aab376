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

from agent.at.client import AtClient
from agent.at.command import AtCommand, ResponsePattern
from agent.at.error_codes import SIM_ABSENT_ERRORS, SIM_ERRORS, SIM_FAILURE_ERRORS, WRONG_PIN_ERRORS
from agent.at.errors import CommandRefused, CommandTimedOut
from agent.at.parameters import parse_values
from agent.modem.at_commands import SETTING_TIMEOUT_S, read_command
from agent.modem.error import ModemUnusable
from agent.modem.negotiation import Negotiator
from agent.modem.status_queries import query_iccid
from hardware.blocking import run_in_thread
from hardware.profile import DriverProfile

SIM_DETECT_TIMEOUT_S = 15.0
"""A SIM that is reported as absent for so long is absent; while starting, modules say so of a good one."""
PIN_TIMEOUT_S = 30.0
"""Until the PIN is accepted; Quectel allows 5 s."""
SIM_READY_TIMEOUT_S = 30.0
"""SIM data may stay blocked for 20 s after the right PIN [Siemens' manuals]."""
MAX_PIN_TRIES = 3
"""Of a PIN that nobody has got wrong."""

_UNLOCKED_STATES = {"READY", ""}
"""A module that does not tell will say with the first command that needs the SIM."""
_NUMBER_RE = re.compile(r"\d+")
_PHONE_NUMBER_RE = re.compile(r"\+?[0-9]{3,20}")


@dataclass(frozen=True, slots=True)
class Pin:
    """The PIN of the SIM."""

    digits: str = field(repr=False)
    source: str
    """Where it stands, for people."""
    reload: Callable[[], Pin] | None = field(default=None, repr=False, compare=False)
    """Reads it anew, and may block; None where it changes only for another process.

    Raises ModemUnusable where it cannot be read any more.
    """

    @property
    def fix_hint(self) -> str:
        """What a person does about a wrong one."""
        if self.reload is None:
            return "write the right one there and restart the agent"
        return "write the right one there, which is tried within a minute"


class SimMemory(Protocol):
    """What is remembered of SIMs beyond a session. An ICCID is empty for a SIM that does not tell it."""

    async def reserve_pin_attempt(self, iccid: str, pin: str, *, no_tries_lost: bool) -> str:
        """Keep on disk that this PIN is about to be tried; empty if it may be.

        Else "refused" where it was tried before, or "trying" where nobody knows what became of that.
        `untouched`: the SIM shows that no try has been lost, so an attempt that was cut off cost none.
        Raises ModemUnusable where nothing can be kept.
        """

    async def record_pin_result(self, iccid: str, *, refused: bool) -> None:
        """What became of the attempt; a right PIN leaves no trace."""

    async def service_centre(self, iccid: str) -> str:
        """The service centre number that this SIM had last, empty where none is known."""

    async def record_sim_seen(self, iccid: str, service_centre: str) -> None:
        """It is in use now, with that service centre number."""


@dataclass(frozen=True, slots=True)
class SimConfig:
    """What is known beforehand of the SIM in the module."""

    memory: SimMemory | None = None
    pin: Pin | None = None
    service_centre: str = ""
    """To be used where the SIM has none; wins over what is remembered."""


async def sim_missing_reason(client: AtClient) -> str:
    """What the module says where it has no SIM any more; empty where it has one, or does not tell.

    Raises CommandTimedOut, ModemLost.
    """
    try:
        said = (await client.exchange(read_command("+CPIN"))).text
    except CommandRefused as error:
        return str(error) if error.is_one_of(SIM_ABSENT_ERRORS | SIM_FAILURE_ERRORS) else ""
    return said if said.upper().endswith(("NOT INSERTED", "NOT READY")) else ""


def is_sim_error(error: CommandRefused) -> bool:
    """Whether a command was refused for the SIM's sake: none, one that fails, one that is busy."""
    return error.is_one_of(SIM_ERRORS)


class SimSetup:
    """The SIM of one module while it is being initialised."""

    def __init__(
        self, client: AtClient, negotiator: Negotiator, driver: DriverProfile, config: SimConfig
    ) -> None:
        self._client = client
        self._negotiator = negotiator
        self._driver = driver
        self._config = config
        self._loop = asyncio.get_running_loop()

    async def ensure_unlocked(self) -> None:
        """+CPIN: a SIM that asks for nothing any more. Raises ModemUnusable."""
        state = await self._read_pin_state()
        if state == "SIM PIN":
            await self._unlock_with_pin()
        elif state.endswith("PUK"):
            raise ModemUnusable(
                f"the SIM asks for {state}: it is blocked until somebody enters its PUK in a phone; the "
                "agent never does"
            )
        elif state not in _UNLOCKED_STATES:
            raise ModemUnusable(f"the SIM asks for {state}; switch it off in a phone (it is never guessed)")

    async def _read_pin_state(self) -> str:
        """What the SIM asks for: READY for nothing, "" where the module does not tell.

        Waits for one that is being read.
        """
        attempt = 0
        until = self._loop.time() + SIM_DETECT_TIMEOUT_S
        while True:
            try:
                said = (await self._negotiator.exchange(read_command("+CPIN"))).text
            except CommandTimedOut:
                self._negotiator.add_note("AT+CPIN? ignored")
                return ""
            except CommandRefused as error:
                if error.is_one_of(SIM_FAILURE_ERRORS):
                    raise ModemUnusable(
                        "the SIM does not answer (SIM failure); is it in its holder, and sound?"
                    ) from None
                if not error.is_one_of(SIM_ABSENT_ERRORS):
                    self._negotiator.add_note(f"AT+CPIN? refused ({error.name or 'ERROR'})")
                    return ""
                said = "+CPIN: NOT INSERTED"
            state = said.partition(":")[2].strip().strip('"').upper()
            if state == "NOT READY":
                until = self._loop.time() + SIM_DETECT_TIMEOUT_S
            elif state != "NOT INSERTED":
                return state
            if self._loop.time() > until or not await self._negotiator.wait_before_retry(attempt):
                raise ModemUnusable("the module sees no SIM; is it in its holder?")
            attempt += 1

    # The PIN

    async def _unlock_with_pin(self) -> None:
        pin, memory = self._config.pin, self._config.memory
        if pin is None or memory is None:
            raise ModemUnusable(
                "the SIM asks for SIM PIN; give it by [modem] pin_file in agent.toml or the systemd "
                "credential sim-pin, or switch it off in a phone (the PIN is never guessed)"
            )
        if pin.reload is not None:  # somebody may have corrected it
            pin = await run_in_thread(pin.reload, "read PIN")
        iccid = await query_iccid(self._client, self._driver)
        tries = await self._read_remaining_tries()
        if tries is not None and tries < 2:
            raise ModemUnusable(
                f"the SIM asks for its PIN and has {tries} try left, which is not risked: enter the PIN in a "
                "phone, which gives all tries back"
            )
        untouched = tries is not None and tries >= MAX_PIN_TRIES
        match await memory.reserve_pin_attempt(iccid, pin.digits, no_tries_lost=untouched):
            case "refused":
                raise ModemUnusable(
                    f"the PIN of {pin.source} was refused by this SIM and is not tried again; {pin.fix_hint}"
                )
            case "trying":
                raise ModemUnusable(
                    f"the agent ended while it tried the PIN of {pin.source}, and the SIM does not show that "
                    f"this cost no try: enter the PIN in a phone, or, if it is wrong, {pin.fix_hint}"
                )
        await self._enter_pin(memory, iccid, pin, tries)
        await memory.record_pin_result(iccid, refused=False)
        await self._wait_sim_ready()

    async def _enter_pin(self, memory: SimMemory, iccid: str, pin: Pin, tries_before: int | None) -> None:
        """Write the PIN, once. Raises ModemUnusable unless the SIM took it."""
        try:
            await self._client.exchange(AtCommand(f'AT+CPIN="{pin.digits}"', PIN_TIMEOUT_S, no_retry=True))
        except CommandRefused as error:
            if not error.is_one_of(WRONG_PIN_ERRORS):
                return await self._resolve_unknown_result(memory, iccid, pin, tries_before, str(error))
        except CommandTimedOut as error:
            return await self._resolve_unknown_result(memory, iccid, pin, tries_before, str(error))
        else:
            return None
        await memory.record_pin_result(iccid, refused=True)
        raise _wrong_pin_error(pin, await self._read_remaining_tries())

    async def _resolve_unknown_result(
        self, memory: SimMemory, iccid: str, pin: Pin, tries_before: int | None, error_text: str
    ) -> None:
        """Neither taken nor called wrong: the SIM's state and its tries tell what happened."""
        if (
            await self._read_pin_state() == "READY"
        ):  # in so many words: silence here says nothing about the PIN
            return
        left = await self._read_remaining_tries()
        if tries_before is not None and left == tries_before:
            await memory.record_pin_result(iccid, refused=False)
            raise ModemUnusable(f"the SIM did not take the PIN now, and no try was lost: {error_text}")
        await memory.record_pin_result(iccid, refused=True)
        if tries_before is not None and left is not None and left < tries_before:
            raise _wrong_pin_error(pin, left)
        raise ModemUnusable(
            f"nobody knows whether the SIM refused the PIN of {pin.source}, so it is not tried again "
            f"({error_text}): enter it in a phone, or {pin.fix_hint}"
        )

    async def _read_remaining_tries(self) -> int | None:
        """Remaining tries of the PIN; None where the module does not tell (27.007 8.65, makers' own)."""
        many = AtCommand("AT+CPINR", SETTING_TIMEOUT_S, (ResponsePattern("+CPINR", may_repeat=True),))
        try:
            for line in (await self._client.exchange(many)).information:
                if line.text.upper().startswith("+CPINR: SIM PIN,"):
                    return parse_values(line.text).get(1).number
        except (CommandRefused, CommandTimedOut):
            pass
        if self._driver.pin_tries_command is None:
            return None
        name = re.split(r"[=?]", self._driver.pin_tries_command.removeprefix("AT"))[0]
        command = AtCommand(self._driver.pin_tries_command, SETTING_TIMEOUT_S, (ResponsePattern(name),))
        try:
            found = _NUMBER_RE.search((await self._client.exchange(command)).text.partition(":")[2])
        except (CommandRefused, CommandTimedOut):
            return None
        return int(found[0]) if found else None

    async def _wait_sim_ready(self) -> None:
        """The right PIN was given; the SIM is read now."""
        until = self._loop.time() + SIM_READY_TIMEOUT_S
        attempt = 0
        while await self._read_pin_state() not in _UNLOCKED_STATES:
            if self._loop.time() > until or not await self._negotiator.wait_before_retry(attempt):
                raise ModemUnusable("the SIM took its PIN and is not ready since; is it damaged?")
            attempt += 1

    # The service centre

    async def find_service_centre(self) -> str:
        """The number to be used where the SIM has none; empty where nobody knows one."""
        number = self._config.service_centre
        if not number and self._config.memory is not None:
            number = await self._config.memory.service_centre(await query_iccid(self._client, self._driver))
        return number if _PHONE_NUMBER_RE.fullmatch(number) else ""


def _wrong_pin_error(pin: Pin, tries_left: int | None) -> ModemUnusable:
    """It has cost a try."""
    tries = "" if tries_left is None else f" (tries left: {tries_left})"
    return ModemUnusable(
        f"the SIM refuses the PIN of {pin.source} as wrong{tries}; it is not tried again: {pin.fix_hint}"
    )
