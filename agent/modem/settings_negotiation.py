"""One pass through all settings of a module: read each, write only what differs, read back what matters.

Some modules save each setting to flash, and some refuse or ignore settings that others need. Only two
failures end the pass: a SIM that cannot be used, and a message format that is not accepted.
"""

from __future__ import annotations

import asyncio
import itertools

from agent.at.client import AtClient
from agent.at.command import AtCommand, ResponsePattern
from agent.at.errors import CommandRefused, CommandTimedOut
from agent.at.parameters import ParameterValue, parse_ranges, parse_values
from agent.modem.at_commands import CFUN_TIMEOUT_S, SETTING_TIMEOUT_S, read_command, set_command
from agent.modem.cnmi import NotificationSetup
from agent.modem.cpms import StoreSelection
from agent.modem.error import ModemUnusable
from agent.modem.init_commands import InitCommands
from agent.modem.message_format import MessageFormat, RequiredSetting
from agent.modem.settings import SettingsHolder
from agent.modem.setup_client import SetupClient
from agent.modem.sim import SimConfig, SimSetup
from agent.modem.status_queries import REGISTRATION_DOMAINS, parse_registration, registration_command
from agent.modem.text_mode_codec import decode_number, decode_setting, encode_string
from agent.modem.urc_handler import UrcHandler
from hardware.quirks import Quirk

MAX_CFUN_TRIES = 3
EARLY_BOOT_CODE, FINAL_BOOT_CODE, FINAL_BOOT_CODE_TIMEOUT_S = "RDY", "APP RDY", 10.0
"""A BG95 prints the first before it accepts commands, and the second when it does [ZEPHYR-57110]."""
SMS_READY_TIMEOUT_S = 30.0
"""Timeout from the boot URCs to the message service: modules read their SIM for 5 to 30 s."""
NO_SERVICE_CENTRE = (
    "the SIM has no service centre number (+CSCA), so sending will be refused with 330: write "
    "service_centre into [modem] of agent.toml"
)
_UNRELIABLE_BOOT_CODE_QUIRKS = {Quirk.BOOT_URCS_OPTIONAL, Quirk.NO_URCS_WHILE_AUTOBAUDING}
"""With these quirks an expected boot URC may never come."""


class SettingsNegotiation:
    """One pass through all settings of a module that answers."""

    def __init__(
        self,
        *,
        client: AtClient,
        settings: SettingsHolder,
        message_format: MessageFormat,
        urc_handler: UrcHandler,
        sim_config: SimConfig,
        init_commands: InitCommands,
    ) -> None:
        self._settings = settings
        self._format = message_format
        self._urc_handler = urc_handler
        self._init_commands = init_commands
        self._loop = asyncio.get_running_loop()
        self._client = SetupClient(client=client, add_note=settings.add_note)
        self._sim_setup = SimSetup(
            client=client, setup_client=self._client, driver=settings.current.driver, config=sim_config
        )
        self.store_selection = StoreSelection(
            client=self._client, settings=settings, message_format=message_format
        )

    async def run(self) -> None:
        """Negotiate everything. Raises ModemUnusable, CommandTimedOut if it stops answering, ModemLost."""
        await self._handle_boot_quirks()
        await self._set_result_format()
        await self._switch_radio_on()
        await self._sim_setup.ensure_unlocked()
        await self._wait_for_sms_ready()
        await self._set_message_format()
        await self._negotiate_required_settings()
        await self._select_message_service()
        await self.store_selection.negotiate()
        await NotificationSetup(client=self._client, settings=self._settings).negotiate()
        await self._enable_registration_urcs()
        await self.ensure_service_centre()
        self._settings.set_echo_on(self._client.echo_seen)
        await self._init_commands.run(self._client, lambda: self._urc_handler.has_lost_settings)

    async def _handle_boot_quirks(self) -> None:
        """Handle the quirks that matter before the first setting."""
        quirks = self._settings.current.driver.quirks
        early = Quirk.EARLY_BOOT_URC in quirks and self._urc_handler.last_boot_code == EARLY_BOOT_CODE
        if early and self._urc_handler.is_booting:
            await self._urc_handler.wait_for_urc(FINAL_BOOT_CODE, FINAL_BOOT_CODE_TIMEOUT_S)
        if Quirk.WANTS_FLOW_CONTROL in quirks:
            self._settings.add_note("the maker strongly recommends RTS/CTS flow control, which is not used")

    async def _set_result_format(self) -> None:
        """Set no echo, verbose result codes and numeric errors."""
        if await self._client.try_command(set_command("ATE0V1Q0")) is None:
            await self._client.try_command(set_command("ATE0"))
        await self._client.try_command(set_command("AT+CMEE=1"))

    async def _switch_radio_on(self) -> None:
        """Set +CFUN=1. With the radio off everything works except the network."""
        before = await self._read_cfun()
        self._settings.set_cfun(before)
        if before == 1:
            return
        if before is not None:
            self._settings.add_note(f"the radio was off (+CFUN: {before})")
        # Few tries: the recovery policy counts attempts and continues from here, and stored messages can be
        # read.
        accepted = await self._client.try_command(
            set_command("AT+CFUN=1", CFUN_TIMEOUT_S), max_tries=MAX_CFUN_TRIES
        )
        if accepted is None or before is None:
            return
        response = await self._client.try_command(read_command("+CFUN"))
        now = 1 if response is None else parse_values(response.text).get(0).number
        self._settings.set_cfun(now)
        if now != 1:
            self._settings.add_note("the radio stays off")

    async def _read_cfun(self) -> int | None:
        response = await self._client.try_command(read_command("+CFUN"))
        return None if response is None else parse_values(response.text).get(0).number

    async def _wait_for_sms_ready(self) -> None:
        """Wait for the message service of a module that boots, in the way that its profile names.

        The URC may be switched off, or may have come before the port was open. Then later commands are
        retried.
        """
        driver = self._settings.current.driver
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
        until = self._loop.time() + SMS_READY_TIMEOUT_S
        for attempt in itertools.count():
            response = await self._client.try_command(
                AtCommand(line, SETTING_TIMEOUT_S, (ResponsePattern(name),)), note_failure=False
            )
            state = parse_values(response.text).get(0).number if response is not None else None
            if state is None or state & mask:
                break
            if self._loop.time() >= until or not await self._client.wait_before_retry(attempt):
                self._settings.add_note(f"{line} reports that messages are not ready ({name}: {state})")
                break

    async def _set_message_format(self) -> None:
        """Set +CMGF, without which nothing can be read. A module that accepts it is ready for messages."""
        wanted = self._format.cmgf
        response = await self._client.try_command(read_command("+CMGF"))
        if response is not None and parse_values(response.text).get(0).number == wanted:
            return
        self._settings.set_volatile_format(response is not None)
        try:
            await self._client.retry_until_accepted(set_command(f"AT+CMGF={wanted}"))
        except CommandRefused as error:
            hint = ""
            driver = self._settings.current.driver
            if driver.text_mode is False and wanted == 1:
                hint = '; this module has no text mode, write [modem] message_format = "pdu"'
            elif Quirk.SOME_VARIANTS_WITHOUT_SMS in driver.quirks:
                hint = "; variants of this module have no SMS at all"
            raise ModemUnusable(f"the module does not accept this message format: {error}{hint}") from error

    async def _negotiate_required_settings(self) -> None:
        """Set what the format needs beside +CMGF: in text mode the lengths and a character set."""
        self._format.negotiated.clear()
        for required in self._format.required_settings:
            best = required.allowed_values[0]
            current = await self._read_setting(required.name)
            offered: tuple[frozenset[str], ...] = ()
            if current != best:
                response = await self._client.try_command(
                    read_command(required.name, "=?"), note_failure=False
                )
                offered = parse_ranges(response.text) if response is not None else ()
            for value in required.allowed_values:
                if value == current or await self._set_and_verify(required, value, offered):
                    self._format.negotiated[required.name] = value
                    break
            else:
                raise ModemUnusable(f"{required.reason} (AT{required.name} stays {current or 'unknown'})")
            if value != best:
                self._settings.add_note(f"{required.name} is {value}: the module does not accept {best}")
            self._settings.set_volatile_format(True)  # after a restart a body would be read in another way

    async def _read_setting(self, name: str) -> str:
        """Return the value of a setting; empty if it cannot be read."""
        response = await self._client.try_command(read_command(name), note_failure=False)
        if response is None:
            return ""
        value = parse_values(response.text).get(0)
        return ParameterValue(decode_setting(value.text, self._settings.current.charset)).canonical

    async def _set_and_verify(
        self, required: RequiredSetting, value: str, offered: tuple[frozenset[str], ...]
    ) -> bool:
        """Set a value and read it back: some modules accept what they then ignore.

        Return True if it is set.
        """
        if offered and value not in offered[0] and offered[0] - {""}:
            return False
        shown = value if value.isdigit() else f'"{value}"'
        accepted = await self._client.try_command(
            set_command(f"AT{required.name}={shown}"), note_failure=False
        )
        return accepted is not None and await self._read_setting(required.name) in {value, ""}

    async def _select_message_service(self) -> None:
        """Set +CSMS=1, so that direct delivery waits for +CNMA."""
        response = await self._client.try_command(read_command("+CSMS"))
        service = (parse_values(response.text).get(0).number or 0) if response is not None else 0
        if service == 0:
            accepted = await self._client.try_command(set_command("AT+CSMS=1"), note_failure=False)
            service = 1 if accepted is not None else 0
        self._settings.set_message_service(service)
        if service == 0:
            self._settings.add_note("AT+CSMS=1 refused: a message by direct delivery has no second copy")

    # The network

    async def _enable_registration_urcs(self) -> None:
        """Enable the URCs of +CREG, +CGREG and +CEREG, as far as the module supports them."""
        supported = []
        for domain in self._settings.current.driver.registration or REGISTRATION_DOMAINS:
            try:
                response = await self._client.exchange(registration_command(domain))
            except (CommandRefused, CommandTimedOut):
                continue
            number, state = parse_registration(response.text)
            supported.append(domain)
            if state is not None:
                self._settings.set_registration(self._settings.current.registration.with_state(domain, state))
            if not number:
                await self._client.try_command(set_command(f"AT{domain}=1"))
        self._settings.set_registration_domains(tuple(supported))

    async def ensure_service_centre(self, *, is_missed: bool = False) -> bool:
        """Write the number of +CSCA if the SIM has lost it. Return True if it was lost and is there again.

        `is_missed`: a module has refused a message for the lack of it, so that a text that is not a
        number, or an unreadable one, counts as lost, too. Raises ModemLost.
        """
        self._settings.set_charset(await self._read_setting("+CSCS"))
        number = await self._read_service_centre()
        if number is None and not is_missed:
            return False
        lost = not number
        if lost and (wanted := await self._sim_setup.find_service_centre()):
            number = await self._write_service_centre(wanted)
            if number:
                self._settings.add_note(
                    f"the SIM had lost its service centre number: {number} was written (+CSCA)"
                )
        if not number:
            self._settings.add_note(NO_SERVICE_CENTRE)
        return lost and bool(number)

    async def _write_service_centre(self, number: str) -> str | None:
        """Set +CSCA and return what is read back. Some modules take only a plain number, with every +CSCS."""
        type_of_address = 145 if number.startswith("+") else 129
        read_back: str | None = None
        for shown in dict.fromkeys((encode_string(number, self._settings.current.charset), number)):
            await self._client.try_command(set_command(f'AT+CSCA="{shown}",{type_of_address}'))
            if read_back := await self._read_service_centre():
                break
        return read_back

    async def _read_service_centre(self) -> str | None:
        """Read +CSCA; None if the module does not report it, or reports what cannot be a number."""
        try:
            response = await self._client.exchange(read_command("+CSCA"))
        except (CommandRefused, CommandTimedOut):
            return None
        shown, type_of_address = (parse_values(response.text).get(at) for at in (0, 1))
        number = decode_number(shown.text, type_of_address.number, self._settings.current.charset)
        if shown.text.strip() and not number:
            self._settings.add_note(f'+CSCA shows "{shown.text}", which is not a number')
            return None
        self._settings.set_service_centre(number)
        return number if response.text else None
