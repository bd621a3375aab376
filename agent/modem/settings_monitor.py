"""Check that the module still has the settings that were negotiated: a silent restart loses them."""

from __future__ import annotations

import asyncio
from functools import partial
from math import inf

from agent.at.client import AtClient
from agent.at.error_codes import SIM_ERRORS
from agent.at.errors import CommandRefused
from agent.at.parameters import ParameterValue, ParameterValues, parse_values
from agent.modem.at_commands import cnmi_command, read_command
from agent.modem.message_format import MessageFormat
from agent.modem.settings import ModemSettings, SettingsHolder
from agent.modem.sim_status import query_sim_status
from agent.modem.stored_message import StoredMessage, Undecodable
from agent.modem.text_mode_codec import decode_setting
from agent.modem.urc_handler import UrcHandler

CHECK_INTERVAL_S = 240.0
"""A sweep does not check settings again that were checked within this time. Sweeps come every 300 s."""


class SettingsMonitor:
    """Checks the settings when a check is due, and reports lost settings as an event, once."""

    def __init__(
        self,
        *,
        client: AtClient,
        settings: SettingsHolder,
        message_format: MessageFormat,
        urc_handler: UrcHandler,
    ) -> None:
        self._client = client
        self._settings = settings
        self._format = message_format
        self._urc_handler = urc_handler
        self._loop = asyncio.get_running_loop()
        self._checked_at = 0.0
        self.is_sim_blocking_reads = False
        """True if the last sweep was refused because of a SIM that is not missing."""
        self.read_error = ""
        """Why the last sweep was refused for another reason than the SIM; empty if it was not."""

    def mark_checked(self) -> None:
        """Record that the settings have just been negotiated."""
        self._checked_at = self._loop.time()

    def invalidate(self) -> None:
        """Make the next sweep check the settings, because something may have changed them."""
        self._checked_at -= CHECK_INTERVAL_S

    async def verify(self, max_age_s: float) -> bool:
        """Check the settings if the last check is older than `max_age_s`. Return False if they are lost.

        Raises CommandTimedOut, ModemLost.
        """
        now = self._loop.time()
        if not self._urc_handler.has_lost_settings and now - self._checked_at >= max_age_s:
            self._checked_at = now
            if difference := await find_drift(self._client, self._settings, self._format):
                self._urc_handler.report_settings_lost(difference)
        return not self._urc_handler.has_lost_settings

    async def verify_if_undecodable(self, messages: list[StoredMessage]) -> bool:
        """Check the settings at once if a message cannot be decoded. Return False if they are lost.

        In the other message format no message could be decoded. Raises CommandTimedOut, ModemLost.
        """
        any_undecodable = any(isinstance(message.message, Undecodable) for message in messages)
        return await self.verify(0 if any_undecodable else inf)

    async def check_sim_missing(self) -> bool:
        """Query the SIM and return True if it is missing.

        A missing SIM is reported as lost settings, because initialisation waits for the SIM. Raises
        CommandTimedOut, ModemLost.
        """
        status = await query_sim_status(self._client.exchange)
        if status.is_missing:
            self._urc_handler.report_settings_lost(status.evidence)
        return status.is_missing

    def record_read_refused(self, error: CommandRefused) -> None:
        """Record that a sweep was refused although the SIM is present."""
        self._update_read_state(is_sim_error=error.is_one_of(SIM_ERRORS), reason=str(error))

    def record_read_success(self) -> None:
        """Record that a sweep was answered."""
        self._update_read_state(is_sim_error=False, reason="")

    def _update_read_state(self, *, is_sim_error: bool, reason: str) -> None:
        """Set `status_changed` when the state changes, and with every error of a busy SIM."""
        before = self.is_sim_blocking_reads, bool(self.read_error)
        self.is_sim_blocking_reads, self.read_error = is_sim_error, "" if is_sim_error else reason
        if is_sim_error or before != (self.is_sim_blocking_reads, bool(self.read_error)):
            self._urc_handler.status_changed.set()


async def find_drift(client: AtClient, settings: SettingsHolder, message_format: MessageFormat) -> str:
    """Return the first setting that differs from the negotiated one, with its value; empty if none does.

    A setting that the module refused to report before is not queried. Raises CommandTimedOut, ModemLost.
    """
    values = await _read_setting(client, "+CMGF")
    if values and values.get(0).number != message_format.cmgf:
        return f"+CMGF: {values.get(0).text}"
    for name, agreed in message_format.negotiated.items():
        values = await _read_setting(client, name)
        decoded = ParameterValue(decode_setting(values.get(0).text, settings.current.charset))
        if values and decoded.canonical != agreed:
            return f"{name}: {values.get(0).text}"
    negotiated = settings.current
    values = await _read_setting(client, "+CNMI") if negotiated.cnmi else ParameterValues()
    if values and (values.get(0).number, values.get(1).number) != negotiated.cnmi[:2]:
        return f"+CNMI: {','.join(value.text for value in values)}"
    values = await _read_setting(client, "+CPMS") if negotiated.cpms_positions else ParameterValues()
    if values:
        # <mem1> is the store that was read last. <mem2> and <mem3> do not change, except on a module that
        # takes only equal names.
        decode = partial(decode_setting, charset=negotiated.charset)
        settings.set_selected_store(decode(values.get(0).text).upper())
        names = {decode(values.get(at).text).upper() for at in negotiated.cpms_positions[1:]}
        if not names <= {negotiated.store, negotiated.selected_store}:
            return f"+CPMS: {','.join(sorted(names))}"
    return ""


async def _read_setting(client: AtClient, name: str) -> ParameterValues:
    try:
        return parse_values((await client.exchange(read_command(name))).text)
    except CommandRefused:
        return ParameterValues()


async def reapply_cnmi(client: AtClient, settings: ModemSettings) -> None:
    """Set +CNMI again: some modules switch it off, or send URCs to the port that set it last only.

    Raises CommandRefused, CommandTimedOut, ModemLost.
    """
    if settings.cnmi:
        await client.exchange(cnmi_command(settings.cnmi[: settings.cnmi_count]))
