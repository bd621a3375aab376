"""From a line on which something may answer to a module that is set up: woken, known, initialised.

What a module is known by stays for the session. A module that restarts meanwhile is begun with again.
"""

from __future__ import annotations

from agent.at.client import AtClient
from agent.at.errors import CommandTimedOut
from agent.modem.cnma import CnmaSender
from agent.modem.error import ModemUnusable
from agent.modem.identification import command_timeouts, identify_module
from agent.modem.initialiser import Initialiser
from agent.modem.message_format import MessageFormat
from agent.modem.settings import ModemSettings
from agent.modem.sim import SimConfig
from agent.modem.urc_handler import UrcHandler
from hardware.identify import PortInfo
from hardware.quirks import Quirk

WAKE_TIMEOUT_S = 30.0
"""A module that boots, or learns the speed of the line, may need so long to answer for the first time."""
MAX_INITIALISE_ATTEMPTS = 3
"""A module may restart while it is being initialised; more often than this, something is wrong with it."""
MAX_ECHO_RESTARTS = 2
"""After so many initialisations because of an echo it is taken for a habit of the module."""
LATE_FAILURE_MARGIN_S = 30.0
"""A refusal came 135 s after the body where 120 s are documented [Q-FORUM-4452]."""


class Bringup:
    """Sets up one module, as often as it is needed."""

    def __init__(
        self,
        client: AtClient,
        settings: ModemSettings,
        message_format: MessageFormat,
        urc_handler: UrcHandler,
        cnma_sender: CnmaSender,
        *,
        profile: str,
        port_info: PortInfo,
        sim_config: SimConfig,
        send_timeout_s: float,
    ) -> None:
        """`profile`, `place`, `holder`, `send_timeout_s`: as `Modem` has them."""
        self._client = client
        self._settings = settings
        self._format = message_format
        self._urc_handler = urc_handler
        self._cnma_sender = cnma_sender
        self._profile = profile
        self._port_info = port_info
        self._sim_config = sim_config
        self._is_identified = False
        self.send_timeout_s = send_timeout_s
        """From a body to its result, for the module that it is."""
        self.initialiser = self._make_initialiser()
        """The last one."""

    async def run(self) -> None:
        """Wake the module and negotiate everything. Raises ModemUnusable, ModemLost."""
        settled = False
        self._urc_handler.begin_initialisation()
        self._client.set_echo_expected(True)
        try:
            for attempt in range(MAX_INITIALISE_ATTEMPTS):
                await self._client.wake_module(WAKE_TIMEOUT_S)
                self._urc_handler.has_lost_settings = False
                self._settings.notes.clear()
                try:
                    await self._identify()
                    self.initialiser = self._make_initialiser()
                    await self.initialiser.run()
                except CommandTimedOut as error:
                    if attempt == MAX_INITIALISE_ATTEMPTS - 1:
                        raise ModemUnusable(f"the module stopped answering in between: {error}") from error
                    continue
                if not self._urc_handler.has_lost_settings:
                    break
            settled = True
        finally:
            self._urc_handler.end_initialisation(succeeded=settled)
        echoes = self._settings.is_echo_on or self._urc_handler.echo_restarts >= MAX_ECHO_RESTARTS
        self._client.set_echo_expected(echoes, forbids_body=self._settings.has_volatile_format)

    def _make_initialiser(self) -> Initialiser:
        return Initialiser(self._client, self._settings, self._format, self._urc_handler, self._sim_config)

    async def _identify(self) -> None:
        """Find the profile, once, and take over what it says of the line and of longest times."""
        if self._is_identified:
            return
        known = await identify_module(self._client, self._profile, self._port_info)
        self._is_identified, self._settings.profile = True, known
        driver = known.driver
        self._client.set_timing(driver.inter_command_delay_s or 0.0, command_timeouts(driver))
        self._urc_handler.apply_profile(driver)
        self._cnma_sender.apply_profile(driver)
        late = LATE_FAILURE_MARGIN_S if Quirk.LATE_SEND_FAILURE in driver.quirks else 0.0
        self.send_timeout_s = max(self.send_timeout_s, (driver.cmgs_timeout_s or 0.0) + late)
