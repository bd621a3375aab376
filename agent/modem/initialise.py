"""Getting a module ready for work: read what stands, write only what differs, read back what matters.

Some modules save each setting to flash, and some refuse or ignore what others demand. Fatal is only what the
work cannot do without: a SIM that is open, and the message format. Sources of the fall-backs: modules.md 0.
"""

from __future__ import annotations

import asyncio
import itertools

from agent.at.channel import Channel
from agent.at.command import Answer, AtCommand
from agent.at.error import CommandRefused, CommandTimedOut
from agent.at.parameters import ranges, values
from agent.modem.card import Card, Holder
from agent.modem.commands import SETTING_S, read, write
from agent.modem.error import ModemUnusable
from agent.modem.formats import Choice, MessageFormat
from agent.modem.hearing import Hearing
from agent.modem.negotiation import Negotiation
from agent.modem.routing import Routing
from agent.modem.setup import Setup
from agent.modem.state import DOMAINS, query, read_state
from agent.modem.stores import Stores
from hardware.quirks import Quirk, describe

RADIO_S = 30.0
"""+CFUN=1 was seen to take 14 s; Quectel allows 15 s."""
RADIO_TRIES = 3
EARLY, TRUE_START, TRUE_START_S = "RDY", "APP RDY", 10.0
"""A BG95 says the first before it takes commands, and the other when it does [ZEPHYR-57110]."""
READY_S = 30.0
"""From the boot codes to the message service: modules read their SIM for 5 to 30 s."""
_MUTE = {Quirk.BOOT_CODES_OPTIONAL, Quirk.NO_CODES_WHILE_AUTOBAUDING}
"""Habits by which a code that is awaited may never come."""


class Initialisation:
    """One walk through all settings of a module that answers."""

    def __init__(
        self, channel: Channel, setup: Setup, message_format: MessageFormat, hearing: Hearing, holder: Holder
    ) -> None:
        self._setup = setup
        self._format = message_format
        self._hearing = hearing
        self._talk = Negotiation(channel, setup.notes)
        self._card = Card(channel, self._talk, setup.driver, holder)
        self.stores = Stores(self._talk, setup, message_format)

    async def run(self) -> None:
        """Raises ModemUnusable where it cannot be used, CommandTimedOut where it stops answering."""
        await self._start()
        await self._speak()
        await self._radio()
        await self._card.open()
        await self._messages_ready()
        await self._message_format()
        await self._format_settings()
        await self._service()
        await self.stores.agree()
        await Routing(self._talk, self._setup).agree()
        await self._registration()
        await self.service_centre()
        self._setup.echo = self._talk.echoed

    async def _start(self) -> None:
        """Habits that are older than the first setting."""
        quirks = self._setup.driver.quirks
        early = Quirk.EARLY_BOOT_CODE in quirks and self._hearing.boot_code == EARLY
        if early and self._hearing.starting:
            await self._hearing.wait_for(TRUE_START, TRUE_START_S)
        if Quirk.WANTS_FLOW_CONTROL in quirks:
            self._talk.note(f"{describe(Quirk.WANTS_FLOW_CONTROL)}, which is not used")

    async def _speak(self) -> None:
        """No echo, results in words, errors in numbers."""
        if await self._talk.try_out(write("ATE0V1Q0")) is None:
            await self._talk.try_out(write("ATE0"))
        await self._talk.try_out(write("AT+CMEE=1"))

    async def _radio(self) -> None:
        """+CFUN: with the radio off everything works except the network."""
        setup = self._setup
        response = await self._talk.try_out(read("+CFUN"))
        setup.radio = None if response is None else values(response.text).at(0).number
        if setup.radio == 1:
            return
        before = setup.radio
        if before is not None:
            self._talk.note(f"the radio was off (+CFUN: {before})")
        # Not for long: whoever counts attempts goes on from here, and messages that are stored can be read.
        if await self._talk.try_out(write("AT+CFUN=1", RADIO_S), tries=RADIO_TRIES) is None or before is None:
            return
        response = await self._talk.try_out(read("+CFUN"))
        setup.radio = 1 if response is None else values(response.text).at(0).number
        if setup.radio != 1:
            self._talk.note("the radio stays off")

    async def _messages_ready(self) -> None:
        """Wait for the message service of a module that starts, by the way its profile knows.

        A code may be switched off, or have come before we listened; then what is refused is asked again.
        """
        driver = self._setup.driver
        if driver.ready_command is not None and driver.ready_mask is not None:
            await self._ready_by_asking(driver.ready_command, driver.ready_mask)
        elif driver.ready_code is not None and self._hearing.starting and not _MUTE & {*driver.quirks}:
            await self._hearing.wait_for_messages(READY_S)

    async def _ready_by_asking(self, line: str, mask: int) -> None:
        name = line.removeprefix("AT").rstrip("?")
        until = asyncio.get_running_loop().time() + READY_S
        for attempt in itertools.count():
            response = await self._talk.try_out(AtCommand(line, SETTING_S, (Answer(name),)), tell=False)
            state = values(response.text).at(0).number if response is not None else None
            if state is None or state & mask:
                break
            if asyncio.get_running_loop().time() >= until or not await self._talk.wait(attempt):
                self._talk.note(f"{line} says that messages are not ready ({name}: {state})")
                break

    async def _message_format(self) -> None:
        """+CMGF: the one setting without which nothing can be read. Also the sign that SMS is ready."""
        wanted = self._format.code
        response = await self._talk.try_out(read("+CMGF"))
        if response is not None and values(response.text).at(0).number == wanted:
            return
        self._setup.format_drifts = response is not None
        try:
            await self._talk.insist(write(f"AT+CMGF={wanted}"))
        except CommandRefused as error:
            why = ""
            if self._setup.driver.text_mode is False and wanted == 1:
                why = '; this module has no text mode, write [modem] message_format = "pdu"'
            elif Quirk.SOME_VARIANTS_WITHOUT_SMS in self._setup.driver.quirks:
                why = f"; {describe(Quirk.SOME_VARIANTS_WITHOUT_SMS)}"
            raise ModemUnusable(f"the module does not take messages in this format: {error}{why}") from error

    async def _format_settings(self) -> None:
        """What the format needs beyond +CMGF: text mode its lengths and a character set."""
        self._format.agreed.clear()
        for choice in self._format.choices:
            standing = await self._standing(choice.name)
            offered: tuple[frozenset[str], ...] = ()
            if standing != choice.values[0]:
                response = await self._talk.try_out(read(choice.name, "=?"), tell=False)
                offered = ranges(response.text) if response is not None else ()
            for value in choice.values:
                if value == standing or await self._set(choice, value, offered):
                    self._format.agreed[choice.name] = value
                    break
            else:
                raise ModemUnusable(f"{choice.reason} (AT{choice.name} stays {standing or 'unknown'})")
            if value != choice.values[0]:
                self._talk.note(f"{choice.name} is {value}: the module does not take {choice.values[0]}")
            self._setup.format_drifts = True  # after a restart a body would be read in another way

    async def _standing(self, name: str) -> str:
        """A setting as it is; empty where the module does not tell. UCS2 may be told in its own way."""
        response = await self._talk.try_out(read(name), tell=False)
        return "" if response is None else self._format.string(values(response.text).at(0).text).upper()

    async def _set(self, choice: Choice, value: str, offered: tuple[frozenset[str], ...]) -> bool:
        """Set it and read it back: some modules accept what they then ignore."""
        if offered and value not in offered[0] and offered[0] - {""}:
            return False
        shown = value if value.isdigit() else f'"{value}"'
        if await self._talk.try_out(write(f"AT{choice.name}={shown}"), tell=False) is None:
            return False
        return await self._standing(choice.name) in {value, ""}

    async def _service(self) -> None:
        """+CSMS=1: what is handed over directly waits for our acknowledgement."""
        response = await self._talk.try_out(read("+CSMS"))
        self._setup.service = (values(response.text).at(0).number or 0) if response is not None else 0
        if self._setup.service == 0:
            accepted = await self._talk.try_out(write("AT+CSMS=1"), tell=False)
            self._setup.service = 1 if accepted is not None else 0
        if self._setup.service == 0:
            self._talk.note("AT+CSMS=1 refused: a message that is handed over directly has no second copy")

    # The network

    async def _registration(self) -> None:
        """+CREG and its kin: let the module tell of changes, in each domain that it knows."""
        known = []
        for domain in self._setup.driver.registration or DOMAINS:
            try:
                response = await self._talk.ask(query(domain))
            except (CommandRefused, CommandTimedOut):
                continue
            number, state = read_state(response.text)
            known.append(domain)
            if state is not None:
                self._setup.registration = self._setup.registration.changed(domain, state)
            if number == 0:
                await self._talk.try_out(write(f"AT{domain}=1"))
        self._setup.domains = tuple(known)

    async def service_centre(self) -> bool:
        """+CSCA: without its number nothing can be sent. True where it was lost and could be written again.

        Also for a module that refuses a message because of it. Raises ModemLost.
        """
        number = await self._standing_centre()
        if number is None:
            return False
        lost = not number
        if lost and (wanted := await self._card.restore_service_centre()):
            kind = 145 if wanted.startswith("+") else 129
            await self._talk.try_out(write(f'AT+CSCA="{self._format.number(wanted)}",{kind}'))
            number = await self._standing_centre()
            if number:
                self._talk.note(f"the SIM had lost its service centre number: {number} was written (+CSCA)")
        if not number:
            self._talk.note(
                "the SIM knows no service centre number (+CSCA), so sending will be refused with 330: write "
                "service_centre into [modem] of agent.toml"
            )
        return lost and bool(number)

    async def _standing_centre(self) -> str | None:
        """As it stands; None where the module does not tell."""
        try:
            response = await self._talk.ask(read("+CSCA"))
        except (CommandRefused, CommandTimedOut):
            return None
        self._setup.service_centre = self._format.string(values(response.text).at(0).text)
        return self._setup.service_centre if response.text else None
