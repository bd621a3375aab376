"""Initialise a module: wake it, identify it, negotiate its settings; repeat that if it restarts meanwhile.

One pass through the settings is `SettingsNegotiation`. The profile is identified once in a session.
"""

from __future__ import annotations

from agent.at.client import AtClient
from agent.at.errors import CommandTimedOut
from agent.modem.cnma import CnmaSender
from agent.modem.error import ModemUnusable
from agent.modem.identification import command_timeouts, identify_module
from agent.modem.message_format import MessageFormat
from agent.modem.options import ModemOptions
from agent.modem.settings import SettingsHolder
from agent.modem.settings_negotiation import SettingsNegotiation
from agent.modem.urc_handler import UrcHandler
from hardware.quirks import Quirk

WAKE_TIMEOUT_S = 30.0
"""The first answer may take this long while the module boots or detects the baud rate."""
MAX_INITIALISE_ATTEMPTS = 3
"""A module may restart while it is being initialised; if it does so more often, it is faulty."""
MAX_ECHO_RESTARTS = 2
"""After this many initialisations because of an echo, the module is taken for one that always echoes."""
LATE_FAILURE_MARGIN_S = 30.0
"""A refusal came 135 s after the body where 120 s are documented [Q-FORUM-4452]."""


class Initialiser:
    """Initialises one module, as often as it is needed."""

    def __init__(
        self,
        *,
        client: AtClient,
        settings: SettingsHolder,
        message_format: MessageFormat,
        urc_handler: UrcHandler,
        cnma_sender: CnmaSender,
        options: ModemOptions,
    ) -> None:
        self._client = client
        self._settings = settings
        self._format = message_format
        self._urc_handler = urc_handler
        self._cnma_sender = cnma_sender
        self._options = options
        self._is_identified = False
        self.has_answered = False
        """True after the first answer of the module."""
        self._negotiation = self._begin_negotiation()
        """The last pass. It can repeat single steps later in the session."""
        self.send_timeout_s = options.send_timeout_s
        """Timeout from the body of +CMGS to its result: the module's longest time, if the profile has it. A
        module that lost the result is deaf until then, and any octet before it might abort the message."""

    async def run(self) -> None:
        """Initialise the module. Raises ModemUnusable, ModemLost."""
        succeeded = False
        self._urc_handler.begin_initialisation()
        self._client.set_echo_expected(True)
        try:
            for attempt in range(MAX_INITIALISE_ATTEMPTS):
                await self._client.wake_module(WAKE_TIMEOUT_S)
                self.has_answered = True
                self._urc_handler.begin_attempt()
                self._settings.clear_notes()
                try:
                    await self._identify()
                    self._negotiation = self._begin_negotiation()
                    await self._negotiation.run()
                except CommandTimedOut as error:
                    if attempt == MAX_INITIALISE_ATTEMPTS - 1:
                        raise ModemUnusable(
                            f"the module stopped answering during initialisation: {error}"
                        ) from error
                    continue
                if not self._urc_handler.has_lost_settings:
                    break
            succeeded = True
        finally:
            self._urc_handler.end_initialisation(succeeded=succeeded)
        settings = self._settings.current
        echoes = settings.is_echo_on or self._urc_handler.echo_restarts >= MAX_ECHO_RESTARTS
        self._client.set_echo_expected(echoes, forbids_body=settings.has_volatile_format)

    async def retry_unknown_stores(self) -> bool:
        """Query stores again if an answer about them was lost. Return True if they are known now.

        Raises CommandTimedOut, ModemLost.
        """
        return await self._negotiation.store_selection.retry_unknown()

    async def ensure_service_centre(self) -> bool:
        """Write the service centre number again if the SIM has lost it. Return True if that was done.

        Raises ModemLost.
        """
        return await self._negotiation.ensure_service_centre(is_missed=True)

    def _begin_negotiation(self) -> SettingsNegotiation:
        return SettingsNegotiation(
            client=self._client,
            settings=self._settings,
            message_format=self._format,
            urc_handler=self._urc_handler,
            sim_config=self._options.sim_config,
            init_commands=self._options.init_commands,
        )

    async def _identify(self) -> None:
        """Identify the profile, once, and apply its timing, URCs and forms of commands."""
        if self._is_identified:
            return
        identified = await identify_module(self._client, self._options.profile, self._options.port_info)
        self._is_identified = True
        self._settings.set_profile(identified)
        driver = identified.driver
        self._client.set_timing(driver.inter_command_delay_s or 0.0, command_timeouts(driver))
        self._urc_handler.apply_profile(driver)
        self._cnma_sender.apply_profile(driver)
        margin_s = LATE_FAILURE_MARGIN_S if Quirk.LATE_SEND_FAILURE in driver.quirks else 0.0
        if driver.cmgs_timeout_s is not None:
            self.send_timeout_s = driver.cmgs_timeout_s + margin_s
