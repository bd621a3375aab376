"""Telling the module, and so the network, that what it handed over directly is safe (27.005 3.4.4)."""

from __future__ import annotations

from agent.at.client import AtClient
from agent.at.error_codes import ErrorKind
from agent.at.errors import CommandRefused
from agent.modem.at_commands import set_command
from agent.modem.message_format import MessageFormat
from agent.modem.settings import ModemSettings
from agent.modem.settings_monitor import find_drift, reapply_cnmi
from agent.modem.stored_message import StoredMessage
from hardware.profile import DriverProfile
from hardware.quirks import Quirk

ACKNOWLEDGE_TIMEOUT_S = 10.0
_CMS_NO_CNMA_EXPECTED, _CMS_NO_SMS_CLIENT = 340, 524


class CnmaSender:
    """+CNMA in the form that this module takes."""

    def __init__(self, client: AtClient, settings: ModemSettings, message_format: MessageFormat) -> None:
        self._client = client
        self._settings = settings
        self._format = message_format
        self._cnma_forms = message_format.cnma_forms
        self._last_rejected_raw = ""

    def apply_profile(self, driver: DriverProfile) -> None:
        """Begin with the form that the profile knows; those of text mode take no value."""
        if driver.cnma is not None and self._format.cmgf == 0:
            self._cnma_forms = (driver.cnma,)

    async def acknowledge(self, message: StoredMessage) -> None:
        """+CNMA for what was handed over: only with +CSMS=1, and once for each.

        What came damaged is refused once (RP-ERROR), so that the network delivers it again.
        """
        if self._settings.message_service == 0 or not self._cnma_forms:
            return
        refusal: tuple[str, ...] = ()
        if not message.is_intact and message.raw != self._last_rejected_raw and "=" in self._cnma_forms[0]:
            self._last_rejected_raw, refusal = message.raw, ("AT+CNMA=2",)
        unregistered = False
        for line in (*refusal, *self._cnma_forms):
            try:
                await self._client.exchange(set_command(line, ACKNOWLEDGE_TIMEOUT_S))
            except CommandRefused as error:
                unregistered = (
                    error.code == _CMS_NO_SMS_CLIENT and Quirk.ONE_SMS_CLIENT in self._settings.driver.quirks
                )
                if error.code == _CMS_NO_CNMA_EXPECTED or unregistered:
                    break  # it came too late, or the module did it by itself
                if error.kind is ErrorKind.PLAIN:
                    self._cnma_forms = tuple(form for form in self._cnma_forms if form != line)
            else:
                if line not in refusal:
                    self._cnma_forms = (line,)
                return
        # After a miss modules switch direct delivery off (27.005 3.4.4).
        if unregistered or await find_drift(self._client, self._settings, self._format):
            await reapply_cnmi(self._client, self._settings)
