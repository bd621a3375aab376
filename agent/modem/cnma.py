"""+CNMA: acknowledge a directly delivered message to the module and so to the network (27.005 3.4.4)."""

from __future__ import annotations

from agent.at.client import AtClient
from agent.at.error_codes import ErrorKind
from agent.at.errors import CommandRefused
from agent.modem.at_commands import set_command
from agent.modem.message_format import MessageFormat
from agent.modem.settings import SettingsHolder
from agent.modem.settings_monitor import find_drift, reapply_cnmi
from agent.modem.stored_message import StoredMessage
from hardware.profile import DriverProfile
from hardware.quirks import Quirk

ACKNOWLEDGE_TIMEOUT_S = 10.0
_CMS_NO_CNMA_EXPECTED, _CMS_NO_SMS_CLIENT = 340, 524


class CnmaSender:
    """Sends +CNMA in the form that the module accepts."""

    def __init__(self, *, client: AtClient, settings: SettingsHolder, message_format: MessageFormat) -> None:
        self._client = client
        self._settings = settings
        self._format = message_format
        self._cnma_forms = message_format.cnma_forms
        self._last_rejected_raw = ""

    def apply_profile(self, driver: DriverProfile) -> None:
        """Use the form that the profile names. In text mode +CNMA takes no value."""
        if driver.cnma is not None and self._format.cmgf == 0:
            self._cnma_forms = (driver.cnma,)

    async def acknowledge(self, message: StoredMessage) -> None:
        """Acknowledge one message, which is expected with +CSMS=1 only. Raises CommandTimedOut, ModemLost.

        A damaged message is rejected once (RP-ERROR), so that the network delivers it again.
        """
        if self._settings.current.message_service == 0 or not self._cnma_forms:
            return
        rejection: tuple[str, ...] = ()
        if not message.is_intact and message.raw != self._last_rejected_raw and "=" in self._cnma_forms[0]:
            self._last_rejected_raw, rejection = message.raw, ("AT+CNMA=2",)
        unregistered = False
        for line in (*rejection, *self._cnma_forms):
            try:
                await self._client.exchange(set_command(line, ACKNOWLEDGE_TIMEOUT_S))
            except CommandRefused as error:
                unregistered = (
                    error.code == _CMS_NO_SMS_CLIENT
                    and Quirk.ONE_SMS_CLIENT in self._settings.current.driver.quirks
                )
                if error.code == _CMS_NO_CNMA_EXPECTED or unregistered:
                    break  # the module no longer waits, or has acknowledged by itself
                if error.kind is ErrorKind.PLAIN:
                    self._cnma_forms = tuple(form for form in self._cnma_forms if form != line)
            else:
                if line not in rejection:
                    self._cnma_forms = (line,)
                return
        # After a missing acknowledgement modules switch direct delivery off (27.005 3.4.4).
        if unregistered or await find_drift(self._client, self._settings, self._format):
            await reapply_cnmi(self._client, self._settings.current)
