"""Unlock the SIM with its PIN, and find the number of its service centre.

A wrong PIN costs one of three tries, and a SIM without tries means a journey to a remote site. So the PIN is
written only if the SIM asks for it, never with the last try, and only once: the attempt is committed to disk
before the command is written. The agent never enters a PUK.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from enum import StrEnum
from typing import Protocol

from agent.at.client import AtClient, CommandExchange
from agent.at.command import AtCommand, ResponsePattern
from agent.at.error_codes import WRONG_PIN_ERRORS
from agent.at.errors import CommandRefused, CommandTimedOut
from agent.at.parameters import parse_values
from agent.modem.at_commands import SETTING_TIMEOUT_S
from agent.modem.error import SimUnusable
from agent.modem.setup_client import SetupClient
from agent.modem.sim_status import SimState, SimStatus, query_sim_status
from agent.modem.status_queries import query_iccid
from agent.modem.text_mode_codec import SERVICE_CENTRE_RE
from hardware.blocking import run_in_thread
from hardware.profile import DriverProfile
from pdu.record import Record

SIM_DETECT_TIMEOUT_S = 15.0
"""A SIM that is reported as absent for this time is absent; a module that starts may be wrong about it."""
PIN_TIMEOUT_S = 30.0
"""Timeout of the command that enters the PIN; Quectel allows 5 s."""
SIM_READY_TIMEOUT_S = 30.0
"""SIM data may stay blocked for 20 s after the right PIN [Siemens' manuals]."""
MAX_PIN_TRIES = 3
"""The tries of a PIN that was not entered wrongly."""

NO_PIN = (
    "the SIM asks for SIM PIN; configure it by [modem] pin_file in agent.toml or the systemd credential "
    "sim-pin, or switch it off in a phone (the PIN is never guessed)"
)
"""The sentence about a SIM that asks for its PIN where none is configured."""

_NUMBER_RE = re.compile(r"\d+")


class Pin:
    """The PIN of the SIM. Its representation does not show the digits."""

    def __init__(self, digits: str, source: str, reload: Callable[[], Pin] | None = None) -> None:
        self.digits = digits
        self.source = source
        """Where the PIN is configured, for error messages."""
        self.reload = reload
        """Reads the PIN again and may block; None if only a restart of the agent brings another one.

        Raises SimUnusable if it cannot be read any more.
        """

    @property
    def fix_hint(self) -> str:
        """The remedy for a wrong PIN, as a clause for the operator."""
        if self.reload is None:
            return "write the right one there and restart the agent"
        return "write the right one there, which is tried within a minute"


class PinReservation(StrEnum):
    """The result of a request to try a PIN. The values are those of the journal."""

    GRANTED = ""
    """The attempt is committed to disk; the PIN may be written now."""
    REFUSED = "refused"
    """This SIM has refused this PIN before."""
    UNRESOLVED = "trying"
    """An earlier attempt ended without a known result."""


class SimMemory(Protocol):
    """Persistent data about SIMs. An ICCID is empty if the module does not report it."""

    async def reserve_pin_attempt(self, iccid: str, pin: str, *, no_tries_lost: bool) -> PinReservation:
        """Commit to disk that this PIN is about to be tried, if it may be tried.

        `no_tries_lost`: the SIM shows all its tries, so that an interrupted attempt has cost none.
        Raises SimUnusable if nothing can be committed.
        """

    async def record_pin_result(self, iccid: str, *, refused: bool) -> None:
        """Record the result of the attempt. A right PIN leaves no record."""

    async def service_centre(self, iccid: str) -> str:
        """Return the last service centre number of this SIM, empty if none is known."""

    async def record_sim_seen(self, iccid: str, service_centre: str) -> None:
        """Record that this SIM is in use now, with this service centre number."""


class SimConfig(Record):
    """The configuration of the SIM, and the persistent data about SIMs."""

    memory: SimMemory | None = None
    pin: Pin | None = None
    service_centre: str = ""
    """The number to be used if the SIM has none; it takes precedence over the remembered one."""


class SimSetup:
    """Sets up the SIM during one initialisation."""

    def __init__(
        self, *, client: AtClient, setup_client: SetupClient, driver: DriverProfile, config: SimConfig
    ) -> None:
        self._client = client
        self._setup_client = setup_client
        self._driver = driver
        self._config = config
        self._loop = asyncio.get_running_loop()

    async def ensure_unlocked(self) -> None:
        """Make sure that the SIM needs no code, by its PIN if necessary. Raises SimUnusable."""
        status = await self._wait_for_sim()
        match status.state:
            case SimState.PIN_REQUIRED:
                await self._unlock_with_pin()
            case SimState.PUK_REQUIRED | SimState.OTHER_LOCK:
                raise SimUnusable(status.reason_unusable)

    async def _wait_for_sim(self) -> SimStatus:
        """Query the state until the SIM is neither absent nor being read. Raises SimUnusable."""
        attempt = 0
        until = self._loop.time() + SIM_DETECT_TIMEOUT_S
        while True:
            try:
                status = await query_sim_status(self._setup_client.exchange)
            except CommandTimedOut:
                self._setup_client.add_note("AT+CPIN? ignored")
                return SimStatus(SimState.UNKNOWN)
            match status.state:
                case SimState.FAILED:
                    raise SimUnusable(status.reason_unusable)
                case SimState.NOT_READY:
                    until = self._loop.time() + SIM_DETECT_TIMEOUT_S
                case SimState.ABSENT:
                    pass
                case _:
                    if status.refusal is not None:
                        self._setup_client.add_note(f"AT+CPIN? refused ({status.refusal.name or 'ERROR'})")
                    return status
            if self._loop.time() > until or not await self._setup_client.wait_before_retry(attempt):
                raise SimUnusable(SimStatus(SimState.ABSENT).reason_unusable)
            attempt += 1

    # The PIN

    async def _unlock_with_pin(self) -> None:
        pin, memory = self._config.pin, self._config.memory
        if pin is None or memory is None:
            raise SimUnusable(NO_PIN)
        if pin.reload is not None:  # the operator may have corrected it
            pin = await run_in_thread(pin.reload, "read PIN")
        iccid = await query_iccid(self._client, self._driver)
        tries = await query_pin_tries(self._client, self._driver)
        if tries is not None and tries < 2:
            raise SimUnusable(explain_last_try(tries))
        no_tries_lost = tries is not None and tries >= MAX_PIN_TRIES
        match await memory.reserve_pin_attempt(iccid, pin.digits, no_tries_lost=no_tries_lost):
            case PinReservation.REFUSED:
                raise SimUnusable(
                    f"the PIN of {pin.source} was refused by this SIM and is not tried again; {pin.fix_hint}"
                )
            case PinReservation.UNRESOLVED:
                raise SimUnusable(
                    f"the agent ended while it tried the PIN of {pin.source}, and the SIM does not show that "
                    f"this cost no try: enter the PIN in a phone, or, if it is wrong, {pin.fix_hint}"
                )
        await self._enter_pin(memory, iccid, pin, tries)
        await memory.record_pin_result(iccid, refused=False)
        await self._wait_sim_ready()

    async def _enter_pin(self, memory: SimMemory, iccid: str, pin: Pin, tries_before: int | None) -> None:
        """Write the PIN, once. Raises SimUnusable unless the SIM accepted it."""
        try:
            await self._client.exchange(AtCommand(f'AT+CPIN="{pin.digits}"', PIN_TIMEOUT_S, no_retry=True))
        except CommandRefused as error:
            if error.is_one_of(WRONG_PIN_ERRORS):
                await memory.record_pin_result(iccid, refused=True)
                raise _wrong_pin_error(pin, await query_pin_tries(self._client, self._driver)) from None
            await self._resolve_unknown_result(memory, iccid, pin, tries_before, str(error))
        except CommandTimedOut as error:
            await self._resolve_unknown_result(memory, iccid, pin, tries_before, str(error))

    async def _resolve_unknown_result(
        self, memory: SimMemory, iccid: str, pin: Pin, tries_before: int | None, error_text: str
    ) -> None:
        """Determine the result for a PIN that was neither accepted nor reported as wrong.

        Raises SimUnusable.
        """
        # UNKNOWN is not enough: a module that does not answer shows nothing about the PIN.
        if (await self._wait_for_sim()).state is SimState.READY:
            return
        tries_left = await query_pin_tries(self._client, self._driver)
        if tries_before is not None and tries_left == tries_before:
            await memory.record_pin_result(iccid, refused=False)
            raise SimUnusable(f"the SIM did not take the PIN now, and no try was lost: {error_text}")
        await memory.record_pin_result(iccid, refused=True)
        if tries_before is not None and tries_left is not None and tries_left < tries_before:
            raise _wrong_pin_error(pin, tries_left)
        raise SimUnusable(
            f"it is unknown whether the SIM refused the PIN of {pin.source}, so it is not tried again "
            f"({error_text}): enter it in a phone, or {pin.fix_hint}"
        )

    async def _wait_sim_ready(self) -> None:
        """Wait until the SIM has been read after its PIN was accepted. Raises SimUnusable."""
        until = self._loop.time() + SIM_READY_TIMEOUT_S
        attempt = 0
        while not (await self._wait_for_sim()).may_be_unlocked:
            if self._loop.time() > until or not await self._setup_client.wait_before_retry(attempt):
                raise SimUnusable("the SIM accepted its PIN and has not become ready since; is it damaged?")
            attempt += 1

    # The service centre

    async def find_service_centre(self) -> str:
        """Return the number to be used if the SIM has none; empty if none is known."""
        number = self._config.service_centre
        if not number and self._config.memory is not None:
            number = await self._config.memory.service_centre(await query_iccid(self._client, self._driver))
        return number if SERVICE_CENTRE_RE.fullmatch(number) else ""


async def query_pin_tries(client: CommandExchange, driver: DriverProfile) -> int | None:
    """Return the remaining tries of the PIN; None if the module does not report them.

    27.007 8.65 (+CPINR), else the command of the profile. Raises ModemLost.
    """
    query = AtCommand("AT+CPINR", SETTING_TIMEOUT_S, (ResponsePattern("+CPINR", may_repeat=True),))
    try:
        for line in (await client.exchange(query)).information:
            code, tries = (parse_values(line.text).get(at) for at in (0, 1))
            if code.canonical == "SIM PIN":
                return tries.number
    except (CommandRefused, CommandTimedOut):
        pass
    if driver.pin_tries_command is None:
        return None
    name = re.split(r"[=?]", driver.pin_tries_command.removeprefix("AT"))[0]
    command = AtCommand(driver.pin_tries_command, SETTING_TIMEOUT_S, (ResponsePattern(name),))
    try:
        found = _NUMBER_RE.search((await client.exchange(command)).text.partition(":")[2])
    except (CommandRefused, CommandTimedOut):
        return None
    return int(found[0]) if found else None


def explain_last_try(tries: int) -> str:
    """Return the sentence about a PIN that is not tried because at most one try is left."""
    return (
        f"the SIM asks for its PIN and has {tries} try left, which is not risked: enter the PIN in a phone, "
        "which gives all tries back"
    )


def _wrong_pin_error(pin: Pin, tries_left: int | None) -> SimUnusable:
    """Return the error for a wrong PIN, which has cost a try."""
    tries = "" if tries_left is None else f" (tries left: {tries_left})"
    return SimUnusable(
        f"the SIM refuses the PIN of {pin.source} as wrong{tries}; it is not tried again: {pin.fix_hint}"
    )
