"""`ModuleControl`: the status of one module, its recovery, and the end of its session."""

from __future__ import annotations

import asyncio

from agent.at.client import AtClient
from agent.at.errors import ModemLost
from agent.modem.network_operator import NetworkOperator, query_operator
from agent.modem.recovery_commands import cycle_radio, reselect_network, restart, switch_radio_on
from agent.modem.settings import RADIO_OFF_WITH_SIM_ON, SettingsHolder
from agent.modem.settings_monitor import SettingsMonitor
from agent.modem.signal_quality import SignalMeter, SignalQuality
from agent.modem.sim import SimMemory
from agent.modem.sim_status import SimStatus, query_sim_status
from agent.modem.status_queries import (
    Identity,
    Registration,
    Signal,
    query_functionality,
    query_identity,
    query_registration,
    query_signal,
)
from agent.modem.urc_handler import UrcHandler
from hardware.profile import DriverProfile


class ModuleControl:
    """What can be asked and done about a module itself; `agent.modem.modem.Modem` adds the messages."""

    def __init__(
        self,
        *,
        client: AtClient,
        settings: SettingsHolder,
        settings_monitor: SettingsMonitor,
        urc_handler: UrcHandler,
        sim_memory: SimMemory | None,
    ) -> None:
        """`sim_memory` remembers the service centre number of each SIM; None if nothing does."""
        self._client = client
        self._settings = settings
        self._settings_monitor = settings_monitor
        self._urc_handler = urc_handler
        self._sim_memory = sim_memory
        self._signal_meter: SignalMeter | None = None

    @property
    def driver(self) -> DriverProfile:
        """The driver table of the profile; that of the generic profile until the module is identified."""
        return self._settings.current.driver

    # Status

    async def query_registration(self) -> Registration:
        """Query <stat> in each domain. Raises CommandTimedOut, ModemLost."""
        settings = self._settings.current
        registration = await query_registration(
            self._client, settings.registration_domains, settings.registration
        )
        self._settings.set_registration(registration)
        return registration

    @property
    def is_sim_blocking_reads(self) -> bool:
        """True if sweeps are refused because of a SIM that is present, most likely a busy one."""
        return self._settings_monitor.is_sim_blocking_reads

    @property
    def read_error(self) -> str:
        """Why sweeps are refused for another reason than the SIM; empty if they are answered."""
        return self._settings_monitor.read_error

    @property
    def status_changed(self) -> asyncio.Event:
        """Set when the network is found or lost, or when reads begin or stop failing.

        The reader clears it.
        """
        return self._urc_handler.status_changed

    async def query_radio(self) -> None:
        """Query +CFUN, which another program may have changed. Raises CommandTimedOut, ModemLost."""
        if self._settings.current.cfun is None:
            return  # the module does not report it
        if (functionality := await query_functionality(self._client)) is not None:
            self._settings.set_cfun(functionality)

    @property
    def is_radio_off(self) -> bool:
        """True if the radio was off at the last query."""
        return self._settings.current.is_radio_off

    async def query_signal(self) -> Signal:
        """Query +CSQ. Raises CommandTimedOut, ModemLost."""
        return await query_signal(self._client)

    async def query_signal_quality(self) -> SignalQuality:
        """Query all that the module reports about its reception. Raises CommandTimedOut, ModemLost."""
        self._signal_meter = self._signal_meter or SignalMeter(self._client, self.driver)
        return await self._signal_meter.query()

    async def query_operator(self) -> NetworkOperator:
        """Query the network on which the module is registered. Raises CommandTimedOut, ModemLost."""
        return await query_operator(self._client)

    async def query_sim_status(self) -> SimStatus:
        """Query +CPIN?. Raises CommandTimedOut, ModemLost."""
        return await query_sim_status(self._client.exchange)

    async def query_identity(self) -> Identity:
        """Query the identity of module and SIM, and record the SIM with its service centre number.

        Raises CommandTimedOut, ModemLost.
        """
        identity = await query_identity(self._client, self.driver)
        if self._sim_memory is not None:
            await self._sim_memory.record_sim_seen(
                identity.iccid, self._settings.current.service_centre or ""
            )
        return identity

    # Recovery

    async def restart(self) -> None:
        """Restart the module and report its settings as lost.

        Returns when the restart was accepted, or after its timeout. Raises CommandRefused, ModemLost.
        """
        await restart(self._client, self.driver)
        self._urc_handler.report_settings_lost("the agent has restarted the module")

    async def cycle_radio(self, *, power_cycle_sim: bool = False) -> None:
        """Switch the radio off and on, and the power of the SIM as well with `power_cycle_sim`.

        If the SIM lost power, the settings are reported as lost. Raises CommandRefused, CommandTimedOut,
        ModemLost.
        """
        if await cycle_radio(self._client, self.driver, power_cycle_sim=power_cycle_sim):
            self._urc_handler.report_settings_lost("the SIM has lost power")

    async def switch_radio_on(self) -> None:
        """Switch the radio on that another program has switched off.

        If the SIM lost power, too, the settings are reported as lost. Raises CommandRefused, CommandTimedOut,
        ModemLost.
        """
        sim_lost_power = self._settings.current.cfun != RADIO_OFF_WITH_SIM_ON
        await switch_radio_on(self._client, self.driver)
        self._settings.set_cfun(1)
        if sim_lost_power:
            self._urc_handler.report_settings_lost("the SIM has lost power")

    async def reselect_network(self) -> None:
        """Let the module select a network again, which may take minutes.

        Raises CommandRefused, CommandTimedOut, ModemLost.
        """
        await reselect_network(self._client, self.driver)

    # The end of the session

    @property
    def lost(self) -> asyncio.Event:
        """Set when the session is over."""
        return self._client.lost

    @property
    def loss_reason(self) -> str:
        """The reason why the session is over; empty before that."""
        return str(self._client.lost_error or "")

    async def wait(self, event: asyncio.Event, timeout_s: float) -> None:
        """Wait for an event, or until the timeout, which may be infinite. Raises ModemLost."""
        await self._wait_until(event, None if timeout_s == float("inf") else timeout_s)
        if self._client.lost_error is not None:
            raise ModemLost(self.loss_reason)

    def close(self, reason: str = "the session was closed") -> None:
        """End the session at once. `reason` is shown to the operator."""
        self._client.close(reason)

    async def wait_closed(self) -> None:
        """Wait until the port can be opened again, at most some seconds."""
        await self._client.wait_closed()

    async def _wait_until(self, event: asyncio.Event, timeout_s: float | None = None) -> None:
        """Wait for the event, the loss of the connection, or the timeout."""
        waiters = [asyncio.ensure_future(event.wait()), asyncio.ensure_future(self._client.lost.wait())]
        try:
            await asyncio.wait(waiters, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for waiter in waiters:
                waiter.cancel()
