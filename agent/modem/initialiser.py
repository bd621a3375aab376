"""Getting a module ready for work: read what stands, write only what differs, read back what matters.

Some modules save each setting to flash, and some refuse or ignore what others demand. Fatal is only what the
work cannot do without: a SIM that is open, and the message format. Sources of the fall-backs: modules.md 0.
"""

from __future__ import annotations

import asyncio
import itertools

from agent.at.client import AtClient
from agent.at.command import AtCommand, ResponsePattern
from agent.at.errors import CommandRefused, CommandTimedOut
from agent.at.parameters import parse_ranges, parse_values
from agent.modem.at_commands import SETTING_TIMEOUT_S, read_command, set_command
from agent.modem.cnmi import NotificationSetup
from agent.modem.cpms import StoreSelection
from agent.modem.error import ModemUnusable
from agent.modem.message_format import MessageFormat, RequiredSetting
from agent.modem.negotiation import Negotiator
from agent.modem.settings import ModemSettings
from agent.modem.sim import SimConfig, SimSetup
from agent.modem.status_queries import REGISTRATION_DOMAINS, parse_registration, registration_command
from agent.modem.urc_handler import UrcHandler
from hardware.quirks import Quirk, describe_quirk

CFUN_TIMEOUT_S = 30.0
"""+CFUN=1 was seen to take 14 s; Quectel allows 15 s."""
MAX_CFUN_TRIES = 3
EARLY_BOOT_CODE, FINAL_BOOT_CODE, FINAL_BOOT_CODE_TIMEOUT_S = "RDY", "APP RDY", 10.0
"""A BG95 says the first before it takes commands, and the other when it does [ZEPHYR-57110]."""
SMS_READY_TIMEOUT_S = 30.0
"""From the boot codes to the message service: modules read their SIM for 5 to 30 s."""
_UNRELIABLE_BOOT_CODE_QUIRKS = {Quirk.BOOT_URCS_OPTIONAL, Quirk.NO_URCS_WHILE_AUTOBAUDING}
"""Habits by which a code that is awaited may never come."""


class Initialiser:
    """One walk through all settings of a module that answers."""

    def __init__(
        self,
        client: AtClient,
        settings: ModemSettings,
        message_format: MessageFormat,
        urc_handler: UrcHandler,
        sim_config: SimConfig,
    ) -> None:
        self._settings = settings
        self._format = message_format
        self._urc_handler = urc_handler
        self._negotiator = Negotiator(client, settings.notes)
        self._sim_setup = SimSetup(client, self._negotiator, settings.driver, sim_config)
        self.store_selection = StoreSelection(self._negotiator, settings, message_format)

    async def run(self) -> None:
        """Raises ModemUnusable where it cannot be used, CommandTimedOut where it stops answering."""
        await self._handle_boot_quirks()
        await self._set_result_format()
        await self._switch_radio_on()
        await self._sim_setup.ensure_unlocked()
        await self._wait_for_sms_ready()
        await self._set_message_format()
        await self._negotiate_required_settings()
        await self._select_message_service()
        await self.store_selection.negotiate()
        await NotificationSetup(self._negotiator, self._settings).negotiate()
        await self._enable_registration_urcs()
        await self.ensure_service_centre()
        self._settings.is_echo_on = self._negotiator.echoed

    async def _handle_boot_quirks(self) -> None:
        """Habits that are older than the first setting."""
        quirks = self._settings.driver.quirks
        early = Quirk.EARLY_BOOT_URC in quirks and self._urc_handler.last_boot_code == EARLY_BOOT_CODE
        if early and self._urc_handler.is_booting:
            await self._urc_handler.wait_for_urc(FINAL_BOOT_CODE, FINAL_BOOT_CODE_TIMEOUT_S)
        if Quirk.WANTS_FLOW_CONTROL in quirks:
            self._negotiator.add_note(f"{describe_quirk(Quirk.WANTS_FLOW_CONTROL)}, which is not used")

    async def _set_result_format(self) -> None:
        """No echo, results in words, errors in numbers."""
        if await self._negotiator.try_command(set_command("ATE0V1Q0")) is None:
            await self._negotiator.try_command(set_command("ATE0"))
        await self._negotiator.try_command(set_command("AT+CMEE=1"))

    async def _switch_radio_on(self) -> None:
        """+CFUN: with the radio off everything works except the network."""
        setup = self._settings
        response = await self._negotiator.try_command(read_command("+CFUN"))
        setup.cfun = None if response is None else parse_values(response.text).get(0).number
        if setup.cfun == 1:
            return
        before = setup.cfun
        if before is not None:
            self._negotiator.add_note(f"the radio was off (+CFUN: {before})")
        # Not for long: whoever counts attempts goes on from here, and messages that are stored can be read.
        if (
            await self._negotiator.try_command(
                set_command("AT+CFUN=1", CFUN_TIMEOUT_S), max_tries=MAX_CFUN_TRIES
            )
            is None
            or before is None
        ):
            return
        response = await self._negotiator.try_command(read_command("+CFUN"))
        setup.cfun = 1 if response is None else parse_values(response.text).get(0).number
        if setup.cfun != 1:
            self._negotiator.add_note("the radio stays off")

    async def _wait_for_sms_ready(self) -> None:
        """Wait for the message service of a module that starts, by the way its profile knows.

        A code may be switched off, or have come before we listened; then what is refused is asked again.
        """
        driver = self._settings.driver
        if driver.ready_command is not None and driver.ready_mask is not None:
            await self._poll_sms_ready(driver.ready_command, driver.ready_mask)
        elif (
            driver.ready_urc is not None
            and self._urc_handler.is_booting
            and not _UNRELIABLE_BOOT_CODE_QUIRKS & {*driver.quirks}
        ):
            await self._urc_handler.wait_for_sms_ready(SMS_READY_TIMEOUT_S)

    async def _poll_sms_ready(self, line: str, mask: int) -> None:
        name = line.removeprefix("AT").rstrip("?")
        until = asyncio.get_running_loop().time() + SMS_READY_TIMEOUT_S
        for attempt in itertools.count():
            response = await self._negotiator.try_command(
                AtCommand(line, SETTING_TIMEOUT_S, (ResponsePattern(name),)), note_failure=False
            )
            state = parse_values(response.text).get(0).number if response is not None else None
            if state is None or state & mask:
                break
            if asyncio.get_running_loop().time() >= until or not await self._negotiator.wait_before_retry(
                attempt
            ):
                self._negotiator.add_note(f"{line} says that messages are not ready ({name}: {state})")
                break

    async def _set_message_format(self) -> None:
        """+CMGF: the one setting without which nothing can be read. Also the sign that SMS is ready."""
        wanted = self._format.cmgf
        response = await self._negotiator.try_command(read_command("+CMGF"))
        if response is not None and parse_values(response.text).get(0).number == wanted:
            return
        self._settings.has_volatile_format = response is not None
        try:
            await self._negotiator.retry_until_accepted(set_command(f"AT+CMGF={wanted}"))
        except CommandRefused as error:
            why = ""
            if self._settings.driver.text_mode is False and wanted == 1:
                why = '; this module has no text mode, write [modem] message_format = "pdu"'
            elif Quirk.SOME_VARIANTS_WITHOUT_SMS in self._settings.driver.quirks:
                why = f"; {describe_quirk(Quirk.SOME_VARIANTS_WITHOUT_SMS)}"
            raise ModemUnusable(f"the module does not take messages in this format: {error}{why}") from error

    async def _negotiate_required_settings(self) -> None:
        """What the format needs beyond +CMGF: text mode its lengths and a character set."""
        self._format.negotiated.clear()
        for choice in self._format.required_settings:
            standing = await self._read_setting(choice.name)
            offered: tuple[frozenset[str], ...] = ()
            if standing != choice.allowed_values[0]:
                response = await self._negotiator.try_command(
                    read_command(choice.name, "=?"), note_failure=False
                )
                offered = parse_ranges(response.text) if response is not None else ()
            for value in choice.allowed_values:
                if value == standing or await self._set_and_verify(choice, value, offered):
                    self._format.negotiated[choice.name] = value
                    break
            else:
                raise ModemUnusable(f"{choice.reason} (AT{choice.name} stays {standing or 'unknown'})")
            if value != choice.allowed_values[0]:
                self._negotiator.add_note(
                    f"{choice.name} is {value}: the module does not take {choice.allowed_values[0]}"
                )
            self._settings.has_volatile_format = True  # after a restart a body would be read in another way

    async def _read_setting(self, name: str) -> str:
        """A setting as it is; empty where the module does not tell. UCS2 may be told in its own way."""
        response = await self._negotiator.try_command(read_command(name), note_failure=False)
        return (
            ""
            if response is None
            else self._format.decode_string(parse_values(response.text).get(0).text).upper()
        )

    async def _set_and_verify(
        self, required: RequiredSetting, value: str, offered: tuple[frozenset[str], ...]
    ) -> bool:
        """Set it and read it back: some modules accept what they then ignore."""
        if offered and value not in offered[0] and offered[0] - {""}:
            return False
        shown = value if value.isdigit() else f'"{value}"'
        if (
            await self._negotiator.try_command(set_command(f"AT{required.name}={shown}"), note_failure=False)
            is None
        ):
            return False
        return await self._read_setting(required.name) in {value, ""}

    async def _select_message_service(self) -> None:
        """+CSMS=1: what is handed over directly waits for our acknowledgement."""
        response = await self._negotiator.try_command(read_command("+CSMS"))
        self._settings.message_service = (
            (parse_values(response.text).get(0).number or 0) if response is not None else 0
        )
        if self._settings.message_service == 0:
            accepted = await self._negotiator.try_command(set_command("AT+CSMS=1"), note_failure=False)
            self._settings.message_service = 1 if accepted is not None else 0
        if self._settings.message_service == 0:
            self._negotiator.add_note(
                "AT+CSMS=1 refused: a message that is handed over directly has no second copy"
            )

    # The network

    async def _enable_registration_urcs(self) -> None:
        """+CREG and its kin: let the module tell of changes, in each domain that it knows."""
        known = []
        for domain in self._settings.driver.registration or REGISTRATION_DOMAINS:
            try:
                response = await self._negotiator.exchange(registration_command(domain))
            except (CommandRefused, CommandTimedOut):
                continue
            number, state = parse_registration(response.text)
            known.append(domain)
            if state is not None:
                self._settings.registration = self._settings.registration.with_state(domain, state)
            if number == 0:
                await self._negotiator.try_command(set_command(f"AT{domain}=1"))
        self._settings.registration_domains = tuple(known)

    async def ensure_service_centre(self) -> bool:
        """+CSCA: without its number nothing can be sent. True where it was lost and could be written again.

        Also for a module that refuses a message because of it. Raises ModemLost.
        """
        number = await self._read_service_centre()
        if number is None:
            return False
        lost = not number
        if lost and (wanted := await self._sim_setup.find_service_centre()):
            kind = 145 if wanted.startswith("+") else 129
            await self._negotiator.try_command(
                set_command(f'AT+CSCA="{self._format.encode_number(wanted)}",{kind}')
            )
            number = await self._read_service_centre()
            if number:
                self._negotiator.add_note(
                    f"the SIM had lost its service centre number: {number} was written (+CSCA)"
                )
        if not number:
            self._negotiator.add_note(
                "the SIM knows no service centre number (+CSCA), so sending will be refused with 330: write "
                "service_centre into [modem] of agent.toml"
            )
        return lost and bool(number)

    async def _read_service_centre(self) -> str | None:
        """As it stands; None where the module does not tell."""
        try:
            response = await self._negotiator.exchange(read_command("+CSCA"))
        except (CommandRefused, CommandTimedOut):
            return None
        self._settings.service_centre = self._format.decode_string(parse_values(response.text).get(0).text)
        return self._settings.service_centre if response.text else None
