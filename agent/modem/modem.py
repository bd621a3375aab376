"""One module over one channel: the door of this package.

modem = Modem(await Channel.open(opener("/dev/ttyUSB2")))
condition = await modem.initialise()
for message in await modem.sweep():
    ...
"""

from __future__ import annotations

import asyncio
from math import inf

import pdu
from agent.at.client import AtClient, BeforeBody
from agent.at.command import AtCommand
from agent.at.errors import CommandRefused, CommandTimedOut, ModemLost
from agent.at.events import RescanNeeded
from agent.modem.bringup import Bringup
from agent.modem.cnma import CnmaSender
from agent.modem.error import ModemUnusable
from agent.modem.events import MessageArrived, ModemEvent, ReportArrived, StoreFull
from agent.modem.message_format import SEND_TIMEOUT_S, MessageFormat, PduFormat
from agent.modem.message_store import MessageStore
from agent.modem.recovery_commands import cycle_radio, reselect_network, restart
from agent.modem.sending import NotSent, SendOutcome, apply_csmp, send
from agent.modem.settings import ModemSettings, ModemStatus, modem_status
from agent.modem.settings_monitor import CHECK_INTERVAL_S, SettingsMonitor, reapply_cnmi
from agent.modem.sim import SimConfig
from agent.modem.status_queries import (
    Identity,
    Registration,
    Signal,
    query_identity,
    query_registration,
    query_signal,
)
from agent.modem.stored_message import UNKNOWN_SLOT, Slot, StoredMessage
from agent.modem.text_mode import TextFormat
from agent.modem.urc_handler import UrcHandler
from hardware.identify import GENERIC, PortInfo
from hardware.profile import DriverProfile

__all__ = ["Modem", "ModemUnusable"]

CNMA_TIMEOUT_S = 25.0
"""What an agent before us did not acknowledge makes the module switch direct delivery off after up to 17 s
(27.005 3.4.4; [MT]), which may be after we have found it on."""
RAW_COMMAND_TIMEOUT_S = 180.0
"""A scan for networks may take so long (+COPS=?)."""

MESSAGE_FORMATS: dict[str, type[MessageFormat]] = {"pdu": PduFormat, "text": TextFormat}


class Modem:
    """A module that receives and sends messages."""

    def __init__(
        self,
        client: AtClient,
        message_format: str = "pdu",
        *,
        status_reports: bool = False,
        send_timeout_s: float = SEND_TIMEOUT_S,
        profile: str = GENERIC,
        port_info: PortInfo | None = None,
        sim_config: SimConfig | None = None,
    ) -> None:
        """`status_reports`: ask the module to pass them on; `send_timeout_s`: from a body to its result.

        `profile`: the name of the one to drive it by, "auto" to find it; `place`: what its port tells of it;
        `holder`: what is known of its SIM.

        Raises ModemUnusable for a message format that is not known.
        """
        if message_format not in MESSAGE_FORMATS:
            raise ModemUnusable(
                f"message format {message_format!r} is not known, only {', '.join(MESSAGE_FORMATS)}"
            )
        port_info, sim_config = port_info or PortInfo(), sim_config or SimConfig()
        self._sim_memory = sim_config.memory
        self._client = client
        self._format = MESSAGE_FORMATS[message_format]()
        self._settings = ModemSettings(status_reports=status_reports, port_role=port_info.role)
        self._message_store = MessageStore(client, self._settings, self._format)
        acknowledging = CnmaSender(client, self._settings, self._format)
        self._urc_handler = UrcHandler(client, self._settings, self._format, acknowledging.acknowledge)
        self._settings_monitor = SettingsMonitor(client, self._settings, self._format, self._urc_handler)
        self._bringup = Bringup(
            client,
            self._settings,
            self._format,
            self._urc_handler,
            acknowledging,
            profile=profile,
            port_info=port_info,
            sim_config=sim_config,
            send_timeout_s=send_timeout_s,
        )
        client.set_urc_payloads(self._format.urc_payloads)

    # Getting ready

    async def initialise(self) -> ModemStatus:
        """Negotiate all settings; also after the module has restarted.

        Raises ModemUnusable with a sentence where the module cannot do the work, ModemLost where it does
        not answer. Waits for a module that is still reading its SIM, more than a minute if need be.
        """
        await self._bringup.run()
        self._settings_monitor.mark_checked()
        if self._settings.message_service and self._settings.has_direct_delivery:
            asyncio.get_running_loop().call_later(
                CNMA_TIMEOUT_S, self._urc_handler.events.put, RescanNeeded()
            )
        self._message_store.schedule_all()
        return self.status

    @property
    def driver(self) -> DriverProfile:
        """How this module is driven: the table of its profile; that of the plain module until it is known."""
        return self._settings.driver

    @property
    def status(self) -> ModemStatus:
        """What was negotiated and tolerated, as it stands now."""
        return modem_status(self._settings, is_notifying=self.is_notifying)

    # Receiving

    async def sweep(self, store: str | None = None) -> list[StoredMessage]:
        """Every received message in every store that receives, or in the one that is named.

        Ordered by service centre time stamp, then slot. Nothing while the module waits to be initialised
        again. Raises CommandRefused, CommandTimedOut, ModemLost.
        """
        if not await self._settings_monitor.verify(CHECK_INTERVAL_S if store is None else inf):
            return []
        if await self._bringup.initialiser.store_selection.retry_unknown():
            self._message_store.schedule_all()
            self._urc_handler.reset_announcements()
        try:
            messages = await self._message_store.sweep(store)
        except CommandRefused as error:
            if not await self._settings_monitor.verify(0) or await self._settings_monitor.check_sim_missing():
                return []
            self._settings_monitor.record_read_refused(error)
            raise
        if (
            self._message_store.has_unlistable_store
            and not messages
            and await self._settings_monitor.check_sim_missing()
        ):
            return []
        self._settings_monitor.record_read_success()
        if not await self._settings_monitor.verify_if_undecodable(messages):
            return []
        if store is None and self._settings.has_stores and self._urc_handler.compare_sweep(messages):
            # Modules tell only the port that set +CNMI last, and some forget it (modules.md 0).
            await reapply_cnmi(self._client, self._settings)
        return messages

    async def read(self, slot: Slot) -> StoredMessage | None:
        """The received message in a slot, None where there is none. Raises as `sweep` does."""
        if self._urc_handler.has_lost_settings:
            raise CommandTimedOut("", f"{slot} cannot be read now: the module has restarted")
        message = await self._message_store.read(slot)
        if message is not None and not await self._settings_monitor.verify_if_undecodable([message]):
            raise CommandTimedOut("", f"{slot} cannot be read now: the module has lost its settings")
        return message

    async def delete(self, slot: Slot) -> None:
        """Delete one message. After CommandTimedOut nobody knows: read the slot again."""
        await self._message_store.delete(slot)

    @property
    def is_notifying(self) -> bool:
        """Whether the module tells of messages; False: only looking finds them."""
        return self._settings.has_notifications and not self._urc_handler.has_missing_notifications

    @property
    def has_unannounced(self) -> bool:
        """Whether messages were found of which it has not told, or not yet."""
        return self._urc_handler.has_unannounced

    @property
    def has_lost_settings(self) -> bool:
        """Whether it waits to be initialised again: until then a sweep says nothing about what it holds."""
        return self._urc_handler.has_lost_settings

    # Sending

    async def send(self, submit: pdu.Submit, before_body: BeforeBody) -> SendOutcome:
        """Send one message. Raises PduError for one that cannot be encoded, and what `before_body` raises."""
        setting = self._format.csmp_command(submit)
        command = self._format.cmgs_command(submit, self._bringup.send_timeout_s)
        if not self._urc_handler.initialised.is_set():
            await self._wait_until(self._urc_handler.initialised)
        if self._client.lost_error is not None:
            return NotSent(self.loss_reason)
        if (
            self._settings.has_volatile_format
            and self._settings.is_echo_on
            and not await self._settings_monitor.verify(0)
        ):
            return NotSent("the module has lost its settings")  # which no echo would tell
        if setting is not None and (obstacle := await apply_csmp(self._client, setting)) is not None:
            return obstacle
        if self._urc_handler.has_lost_settings:
            return NotSent("the module has lost its settings")
        restore = self._bringup.initialiser.ensure_service_centre
        return await send(self._client, command, before_body, restore)

    # How it fares

    async def query_registration(self) -> Registration:
        """<stat> in each domain."""
        self._settings.registration = await query_registration(
            self._client, self._settings.registration_domains, self._settings.registration
        )
        return self._settings.registration

    @property
    def is_sim_blocking_reads(self) -> bool:
        """Whether sweeps are refused for the sake of a SIM that is there: a busy one, most likely."""
        return self._settings_monitor.is_sim_blocking_reads

    @property
    def read_error(self) -> str:
        """Why sweeps are refused where it is not for the sake of the SIM; empty where they are answered."""
        return self._settings_monitor.read_error

    @property
    def status_changed(self) -> asyncio.Event:
        """Set when network, SIM or store begin or cease to serve; whoever looks clears it."""
        return self._urc_handler.status_changed

    async def query_signal(self) -> Signal:
        """+CSQ; unknown is an answer."""
        return await query_signal(self._client)

    async def query_identity(self) -> Identity:
        """Who module and SIM are; the SIM is remembered with its service centre number."""
        identity = await query_identity(self._client, self.driver)
        if self._sim_memory is not None:
            await self._sim_memory.record_sim_seen(identity.iccid, self._settings.service_centre or "")
        return identity

    async def execute_at(self, line: str) -> list[str]:
        """One AT command of a person; the lines of its answer. Settings are looked at again after it.

        Raises ConversationError for a line that must not be written, and what `Channel.exchange` does.
        """
        try:
            response = await self._client.exchange(AtCommand.from_user_input(line, RAW_COMMAND_TIMEOUT_S))
        finally:
            self._settings_monitor.invalidate()
            self._settings.selected_store = None
        return [told.text for told in response.information]

    # What helps when it does not work

    async def restart(self) -> None:
        """Start the module anew, and tell its settings as lost.

        Returns when it was accepted, or the time for that has passed. Raises CommandRefused, ModemLost.
        """
        await restart(self._client, self.driver)
        self._urc_handler.report_settings_lost("it was started anew")

    async def cycle_radio(self, *, power_cycle_sim: bool = False) -> None:
        """Radio off and on; `card`: the power of the SIM too, then the module is to be initialised again.

        Raises CommandRefused, CommandTimedOut, ModemLost.
        """
        if await cycle_radio(self._client, self.driver, power_cycle_sim=power_cycle_sim):
            self._urc_handler.report_settings_lost("the SIM was without power")

    async def reselect_network(self) -> None:
        """Let the module choose its network anew, which may take minutes.

        Raises CommandRefused, CommandTimedOut, ModemLost.
        """
        await reselect_network(self._client, self.driver)

    # News

    async def next_event(self) -> ModemEvent:
        """What the module tells next, in order. Raises ModemLost after the last."""
        return self._on_event(await self._urc_handler.next_event())

    def poll_event(self) -> ModemEvent | None:
        """What it has told already, None when that is all."""
        event = self._urc_handler.poll_event()
        return None if event is None else self._on_event(event)

    # The end

    @property
    def lost(self) -> asyncio.Event:
        """Set when the session is over."""
        return self._client.lost

    @property
    def loss_reason(self) -> str:
        """Why it is over; empty while it lives."""
        return str(self._client.lost_error or "")

    async def wait(self, event: asyncio.Event, timeout_s: float) -> None:
        """Wait for an event or until the time has passed, which may be infinite. Raises ModemLost."""
        await self._wait_until(event, None if timeout_s == float("inf") else timeout_s)
        if self._client.lost_error is not None:
            raise ModemLost(self.loss_reason)

    def close(self, reason: str = "the session was closed") -> None:
        """End the session at once; `why` is what people are told."""
        self._client.close(reason)

    async def wait_closed(self) -> None:
        """Wait until the port can be opened again, some seconds at the most."""
        await self._client.wait_closed()

    # Inside

    def _on_event(self, event: ModemEvent) -> ModemEvent:
        """What the news means for where to look next."""
        match event:
            case MessageArrived(slot) | ReportArrived(slot):
                self._message_store.schedule(slot.store)
                if slot is UNKNOWN_SLOT:  # it may be another module than it was
                    self._settings_monitor.invalidate()
            case StoreFull():
                self._message_store.schedule_all()
        return event

    async def _wait_until(self, event: asyncio.Event, timeout_s: float | None = None) -> None:
        """Until the event, the loss, or the time."""
        waiters = [asyncio.ensure_future(event.wait()), asyncio.ensure_future(self._client.lost.wait())]
        try:
            await asyncio.wait(waiters, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for waiter in waiters:
                waiter.cancel()
