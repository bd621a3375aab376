"""From a line on which something may answer to a module that is set up: woken, known, initialised.

What a module is known by stays for the session. A module that restarts meanwhile is begun with again.
"""

from __future__ import annotations

from agent.at.channel import Channel
from agent.at.error import CommandTimedOut
from agent.modem.acknowledging import Acknowledging
from agent.modem.card import Holder
from agent.modem.error import ModemUnusable
from agent.modem.formats import MessageFormat
from agent.modem.hearing import Hearing
from agent.modem.identification import know, longest
from agent.modem.initialise import Initialisation
from agent.modem.setup import Setup
from hardware.identify import Place
from hardware.quirks import Quirk

WAKE_S = 30.0
"""A module that boots, or learns the speed of the line, may need so long to answer for the first time."""
ROUNDS = 3
"""A module may restart while it is being initialised; more often than this, something is wrong with it."""
ECHO_ALARMS = 2
"""After so many initialisations because of an echo it is taken for a habit of the module."""
LATE_S = 30.0
"""A refusal came 135 s after the body where 120 s are documented [Q-FORUM-4452]."""


class Preparation:
    """Sets up one module, as often as it is needed."""

    def __init__(
        self,
        channel: Channel,
        setup: Setup,
        message_format: MessageFormat,
        hearing: Hearing,
        acknowledging: Acknowledging,
        *,
        profile: str,
        place: Place,
        holder: Holder,
        send_timeout_s: float,
    ) -> None:
        """`profile`, `place`, `holder`, `send_timeout_s`: as `Modem` has them."""
        self._channel = channel
        self._setup = setup
        self._format = message_format
        self._hearing = hearing
        self._acknowledging = acknowledging
        self._profile = profile
        self._place = place
        self._holder = holder
        self._identified = False
        self.send_timeout_s = send_timeout_s
        """From a body to its result, for the module that it is."""
        self.initialisation = self._walk()
        """The last one."""

    async def run(self) -> None:
        """Wake the module and negotiate everything. Raises ModemUnusable, ModemLost."""
        settled = False
        self._hearing.begin()
        self._channel.expect_echo(True)
        try:
            for attempt in range(ROUNDS):
                await self._channel.wake(WAKE_S)
                self._hearing.restarted = False
                self._setup.notes.clear()
                try:
                    await self._identify()
                    self.initialisation = self._walk()
                    await self.initialisation.run()
                except CommandTimedOut as error:
                    if attempt == ROUNDS - 1:
                        raise ModemUnusable(f"the module stopped answering in between: {error}") from error
                    continue
                if not self._hearing.restarted:
                    break
            settled = True
        finally:
            self._hearing.end(settled=settled)
        echoes = self._setup.echo or self._hearing.echo_alarms >= ECHO_ALARMS
        self._channel.expect_echo(echoes, forbids_body=self._setup.format_drifts)

    def _walk(self) -> Initialisation:
        return Initialisation(self._channel, self._setup, self._format, self._hearing, self._holder)

    async def _identify(self) -> None:
        """Find the profile, once, and take over what it says of the line and of longest times."""
        if self._identified:
            return
        known = await know(self._channel, self._profile, self._place)
        self._identified, self._setup.known = True, known
        driver = known.driver
        self._channel.drive(driver.pause_s or 0.0, longest(driver))
        self._hearing.drive(driver)
        self._acknowledging.drive(driver)
        late = LATE_S if Quirk.LATE_SEND_FAILURE in driver.quirks else 0.0
        self.send_timeout_s = max(self.send_timeout_s, (driver.cmgs_timeout_s or 0.0) + late)
