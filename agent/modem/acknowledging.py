"""Telling the module, and so the network, that what it handed over directly is safe (27.005 3.4.4)."""

from __future__ import annotations

from agent.at.channel import Channel
from agent.at.error import CommandRefused
from agent.modem.commands import write
from agent.modem.formats import MessageFormat
from agent.modem.setup import Setup
from agent.modem.stored import StoredMessage
from agent.modem.vigilance import drifted, route_again
from hardware.profile import DriverProfile
from hardware.quirks import Quirk

ACKNOWLEDGE_S = 10.0
_NOT_EXPECTED, _NO_CLIENT = 340, 524


class Acknowledging:
    """+CNMA in the form that this module takes."""

    def __init__(self, channel: Channel, setup: Setup, message_format: MessageFormat) -> None:
        self._channel = channel
        self._setup = setup
        self._format = message_format
        self._forms = message_format.acknowledgements
        self._damaged = ""

    def drive(self, driver: DriverProfile) -> None:
        """Begin with the form that the profile knows; those of text mode take no value."""
        if driver.cnma is not None and self._format.code == 0:
            self._forms = (driver.cnma,)

    async def acknowledge(self, message: StoredMessage) -> None:
        """+CNMA for what was handed over: only with +CSMS=1, and once for each.

        What came damaged is refused once (RP-ERROR), so that the network delivers it again.
        """
        if self._setup.service == 0 or not self._forms:
            return
        refusal: tuple[str, ...] = ()
        if not message.sound and message.raw != self._damaged and "=" in self._forms[0]:
            self._damaged, refusal = message.raw, ("AT+CNMA=2",)
        unregistered = False
        for line in (*refusal, *self._forms):
            try:
                await self._channel.exchange(write(line, ACKNOWLEDGE_S))
            except CommandRefused as error:
                unregistered = error.code == _NO_CLIENT and Quirk.ONE_SMS_CLIENT in self._setup.driver.quirks
                if error.code == _NOT_EXPECTED or unregistered:
                    break  # it came too late, or the module did it by itself
                if error.kind == "error":
                    self._forms = tuple(form for form in self._forms if form != line)
            else:
                if line not in refusal:
                    self._forms = (line,)
                return
        # After a miss modules switch direct delivery off (27.005 3.4.4).
        if unregistered or await drifted(self._channel, self._setup, self._format):
            await route_again(self._channel, self._setup)
