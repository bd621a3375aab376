"""Whether the settings of a module still stand. One that restarts silently loses them without a word."""

from __future__ import annotations

import asyncio
from math import inf

from agent.at.client import AtClient
from agent.at.errors import CommandRefused
from agent.at.parameters import ParameterValues, parse_values
from agent.modem.at_commands import cnmi_command, read_command
from agent.modem.message_format import MessageFormat
from agent.modem.settings import ModemSettings
from agent.modem.sim import is_sim_error, sim_missing_reason
from agent.modem.stored_message import StoredMessage, Undecodable
from agent.modem.urc_handler import UrcHandler

CHECK_INTERVAL_S = 240.0
"""Settings that stood so lately are not looked at again by a sweep. Sweeps come every 300 s."""


class SettingsMonitor:
    """Looks at the settings when it is time for it. What is lost is told as news, once."""

    def __init__(
        self,
        client: AtClient,
        settings: ModemSettings,
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
        """Whether the last sweep was refused for the sake of a SIM that is not missing."""
        self.read_error = ""
        """Why the last sweep was refused, where it was not for that."""

    def mark_checked(self) -> None:
        """They have just been set up."""
        self._checked_at = self._loop.time()

    def invalidate(self) -> None:
        """Something may have changed them: the next sweep looks."""
        self._checked_at -= CHECK_INTERVAL_S

    async def verify(self, max_age_s: float) -> bool:
        """Whether the module is as it was set up; looks if that was not done for so long.

        Raises CommandTimedOut, ModemLost.
        """
        now = self._loop.time()
        if not self._urc_handler.has_lost_settings and now - self._checked_at >= max_age_s:
            self._checked_at = now
            if how := await find_drift(self._client, self._settings, self._format):
                self._urc_handler.report_settings_lost(how)
        return not self._urc_handler.has_lost_settings

    async def verify_if_undecodable(self, messages: list[StoredMessage]) -> bool:
        """Whether what cannot be read is really so: in the other message format nothing could be read.

        Raises as `stands` does.
        """
        doubtful = any(isinstance(message.message, Undecodable) for message in messages)
        return await self.verify(0 if doubtful else inf)

    async def check_sim_missing(self) -> bool:
        """Whether the SIM is: told as news, too, for setting the module up again waits for it.

        Raises as `stands` does.
        """
        if how := await sim_missing_reason(self._client):
            self._urc_handler.report_settings_lost(how)
        return bool(how)

    def record_read_refused(self, error: CommandRefused) -> None:
        """A sweep was, though the SIM is there. That is no news; whoever looks after the module is woken."""
        self._update_read_state(is_sim_error=is_sim_error(error), reason=str(error))

    def record_read_success(self) -> None:
        """A sweep was."""
        self._update_read_state(is_sim_error=False, reason="")

    def _update_read_state(self, *, is_sim_error: bool, reason: str) -> None:
        """Wake whoever looks after the module where something begins or ends, and for each busy SIM."""
        before = self.is_sim_blocking_reads, bool(self.read_error)
        self.is_sim_blocking_reads, self.read_error = is_sim_error, "" if is_sim_error else reason
        if is_sim_error or before != (self.is_sim_blocking_reads, bool(self.read_error)):
            self._urc_handler.status_changed.set()


async def find_drift(client: AtClient, settings: ModemSettings, message_format: MessageFormat) -> str:
    """Compare what matters with what was set up; what differs, empty if nothing does.

    What the module refused to tell at first is not asked. Raises CommandTimedOut, ModemLost.
    """
    found = await _read_setting(client, "+CMGF")
    if found and found.get(0).number != message_format.cmgf:
        return f"+CMGF: {found.get(0).text}"
    for name, agreed in message_format.negotiated.items():
        found = await _read_setting(client, name)
        if found and message_format.decode_string(found.get(0).text).upper() != agreed:
            return f"{name}: {found.get(0).text}"
    found = await _read_setting(client, "+CNMI") if settings.cnmi else ParameterValues()
    if found and (found.get(0).number, found.get(1).number) != settings.cnmi[:2]:
        return f"+CNMI: {','.join(value.text for value in found)}"
    found = await _read_setting(client, "+CPMS") if settings.cpms_positions else ParameterValues()
    if found:
        # <mem1> is what was read last; the other two stay as they were set.
        settings.selected_store = found.get(0).text.upper()
        names = {found.get(at).text.upper() for at in settings.cpms_positions[1:]}
        if not names <= {settings.store}:
            return f"+CPMS: {','.join(sorted(names))}"
    return ""


async def _read_setting(client: AtClient, name: str) -> ParameterValues:
    try:
        return parse_values((await client.exchange(read_command(name))).text)
    except CommandRefused:
        return ParameterValues()


async def reapply_cnmi(client: AtClient, settings: ModemSettings) -> None:
    """Set +CNMI as it was agreed: some modules switch it off, or tell only the port that set it last."""
    if settings.cnmi:
        await client.exchange(cnmi_command(settings.cnmi))
