"""`Modem`: one module over one AT client. It is the interface of this package.

modem = Modem(await AtClient.open(make_opener("/dev/ttyUSB2")), ModemOptions(profile="auto"))
status = await modem.initialise()
for message in await modem.sweep():
    ...
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from math import inf

import pdu
from agent.at.client import AtClient, BeforeBody
from agent.at.command import AtCommand
from agent.at.errors import CommandRefused, CommandTimedOut, ModemLost
from agent.at.events import RescanNeeded
from agent.modem.cnma import CnmaSender
from agent.modem.error import ModemUnusable
from agent.modem.events import MessageArrived, ModemEvent, ReportArrived, StoreFull
from agent.modem.initialiser import Initialiser
from agent.modem.message_format import MessageFormat, PduFormat
from agent.modem.message_store import MessageStore
from agent.modem.options import ModemOptions
from agent.modem.recovery_commands import cycle_radio, reselect_network, restart, switch_radio_on
from agent.modem.sending import NotSent, Refused, SendOutcome, apply_csmp, send
from agent.modem.settings import RADIO_OFF_WITH_SIM_ON, ModemStatus, SettingsHolder, modem_status
from agent.modem.settings_monitor import CHECK_INTERVAL_S, SettingsMonitor, reapply_cnmi
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
from agent.modem.stored_message import UNKNOWN_SLOT, Slot, StoredMessage
from agent.modem.text_mode import TextFormat
from agent.modem.urc_handler import UrcHandler
from hardware.profile import DriverProfile

__all__ = ["Modem", "ModemUnusable"]

CNMA_TIMEOUT_S = 25.0
"""A message that was not acknowledged before the agent started makes the module switch direct delivery off
after up to 17 s (27.005 3.4.4), which may be after +CNMI was read."""
RAW_COMMAND_TIMEOUT_S = 180.0
"""A scan for networks (+COPS=?) may take this long."""

MESSAGE_FORMATS: dict[str, type[MessageFormat]] = {"pdu": PduFormat, "text": TextFormat}


class Modem:
    """A module that receives and sends messages."""

    def __init__(self, client: AtClient, options: ModemOptions | None = None) -> None:
        """Raises ModemUnusable for an unknown message format."""
        options = options or ModemOptions()
        if options.message_format not in MESSAGE_FORMATS:
            raise ModemUnusable(
                f"message format {options.message_format!r} is unknown; use {' or '.join(MESSAGE_FORMATS)}"
            )
        self._sim_memory = options.sim_config.memory
        self._client = client
        self._format = MESSAGE_FORMATS[options.message_format]()
        self._settings = SettingsHolder(
            status_reports=options.status_reports, port_role=options.port_info.role
        )
        self._silent_slots = options.silent_slots
        self._message_store = MessageStore(
            client=client,
            settings=self._settings,
            message_format=self._format,
            silent_slots=self._silent_slots,
        )
        cnma_sender = CnmaSender(client=client, settings=self._settings, message_format=self._format)
        self._urc_handler = UrcHandler(
            client=client,
            settings=self._settings,
            message_format=self._format,
            acknowledge=cnma_sender.acknowledge,
            notification_memory=options.notification_memory,
            on_slot_changed=self._message_store.mark_changed,
        )
        self._settings_monitor = SettingsMonitor(
            client=client,
            settings=self._settings,
            message_format=self._format,
            urc_handler=self._urc_handler,
        )
        self._initialiser = Initialiser(
            client=client,
            settings=self._settings,
            message_format=self._format,
            urc_handler=self._urc_handler,
            cnma_sender=cnma_sender,
            options=options,
        )
        self._is_sending = False
        client.set_urc_payloads(self._format.urc_payloads)

    # Initialisation

    async def initialise(self) -> ModemStatus:
        """Negotiate all settings, at first and after each `SettingsLost`.

        Raises ModemUnusable with a sentence for the operator if the agent cannot work with the module, and
        ModemLost if it does not answer. Waits more than a minute for a module that is still reading its SIM.
        """
        await self._initialiser.run()
        self._settings_monitor.mark_checked()
        if self._settings.current.message_service and self._settings.current.has_direct_delivery:
            asyncio.get_running_loop().call_later(
                CNMA_TIMEOUT_S, self._urc_handler.events.put, RescanNeeded()
            )
        self._message_store.schedule_all()
        return self.status

    @property
    def has_answered(self) -> bool:
        """True if the module has answered in this session, so it is on."""
        return self._initialiser.has_answered

    @property
    def driver(self) -> DriverProfile:
        """The driver table of the profile; that of the generic profile until the module is identified."""
        return self._settings.current.driver

    @property
    def status(self) -> ModemStatus:
        """The negotiated settings and the notes on them, as they are now."""
        status = modem_status(self._settings.current, is_notifying=self.is_notifying)
        skipped = (f"{slot} is skipped: the module does not answer" for slot in self._silent_slots.skipped)
        return replace(status, notes=(*status.notes, *skipped))

    # Receiving

    async def sweep(self, store: str | None = None) -> list[StoredMessage]:
        """Return the received messages in all stores, or in the given store.

        They are ordered by service centre timestamp, then by slot. The list is empty while the module must be
        initialised again. Raises CommandRefused, CommandTimedOut, ModemLost.
        """
        if not await self._settings_monitor.verify(CHECK_INTERVAL_S if store is None else inf):
            return []
        if await self._initialiser.retry_unknown_stores():
            self._message_store.schedule_all()
            self._urc_handler.notifications.reset()
        try:
            messages = await self._sweep_stores(store)
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
        if (
            store is None
            and self._settings.current.has_stores
            and self._urc_handler.notifications.compare_sweep(messages)
        ):
            # Modules notify only the port that set +CNMI last, and some forget +CNMI.
            await reapply_cnmi(self._client, self._settings.current)
        return messages

    async def _sweep_stores(self, store: str | None) -> list[StoredMessage]:
        """Sweep, and once more without what was not answered if the module answers other commands."""
        silence_count = self._silent_slots.silence_count
        try:
            return await self._message_store.sweep(store)
        except CommandTimedOut:
            if self._urc_handler.has_lost_settings or self._silent_slots.silence_count == silence_count:
                raise
            return await self._message_store.sweep(store)

    def take_silent_slots(self) -> list[Slot]:
        """Return the slots that are skipped since the last call, because the module does not answer."""
        return self._silent_slots.take_unreported()

    async def read(self, slot: Slot) -> StoredMessage | None:
        """Return the received message in a slot, None if there is none.

        Raises CommandRefused, CommandTimedOut, ModemLost.
        """
        if self._urc_handler.has_lost_settings:
            raise CommandTimedOut("", f"{slot} cannot be read now: the module has restarted")
        message = await self._message_store.read(slot)
        if message is not None and not await self._settings_monitor.verify_if_undecodable([message]):
            raise CommandTimedOut("", f"{slot} cannot be read now: the module has lost its settings")
        return message

    def include_every_store(self, *, for_report: bool = False) -> None:
        """Include every readable store in the next sweep: a notification named a wrong store or slot.

        `for_report`: it announced a status report, so report stores are read first.
        """
        self._message_store.include_every_store(for_report=for_report)

    async def delete(self, slot: Slot, raw: str | None = None) -> bool:
        """Delete the message in one slot.

        `raw` is the message that was read from the slot; None deletes any message. Returns False if the slot
        holds another message now, which stays. Raises CommandRefused, ModemLost, and CommandTimedOut if the
        result is unknown: read the slot again then.
        """
        return await self._message_store.delete(slot, raw)

    @property
    def is_notifying(self) -> bool:
        """True if the module sends notifications; otherwise only sweeps find messages."""
        return self._settings.current.has_notifications and not self._urc_handler.notifications.has_missing

    @property
    def has_unannounced(self) -> bool:
        """True if a message was found without a notification, which may still come, or if none ever comes."""
        return self._urc_handler.notifications.has_unannounced

    @property
    def has_lost_settings(self) -> bool:
        """True if the module must be initialised again. Until then a sweep returns nothing."""
        return self._urc_handler.has_lost_settings

    # Sending

    async def send(self, submit: pdu.Submit, before_body: BeforeBody) -> SendOutcome:
        """Send one message.

        `before_body` is awaited before the first octet of the body is written. Raises PduError for a message
        that cannot be encoded, and what `before_body` raises; nothing was sent then.
        """
        self._is_sending = True
        try:
            return await self._send(submit, before_body)
        finally:
            self._is_sending = False

    @property
    def is_sending(self) -> bool:
        """True while a message is being sent. Other AT commands wait for its result, perhaps for minutes."""
        return self._is_sending

    @property
    def send_timeout_s(self) -> float:
        """The longest time from the body of a message to its result."""
        return self._initialiser.send_timeout_s

    async def _send(self, submit: pdu.Submit, before_body: BeforeBody) -> SendOutcome:
        csmp = self._format.csmp_command(submit)
        command = self._format.cmgs_command(submit, self._initialiser.send_timeout_s)
        if not self._urc_handler.initialised.is_set():
            await self._wait_until(self._urc_handler.initialised)
        if self._client.lost_error is not None:
            return NotSent(self.loss_reason)
        if (
            self._settings.current.has_volatile_format
            and self._settings.current.is_echo_on
            and not await self._settings_monitor.verify(0)
        ):
            return NotSent("the module has lost its settings")  # no echo would show it
        if csmp is not None and (outcome := await apply_csmp(self._client, csmp)) is not None:
            return outcome
        if self._urc_handler.has_lost_settings:
            return NotSent("the module has lost its settings")
        result = await send(self._client, command, before_body, self._initialiser.ensure_service_centre)
        if isinstance(result, Refused):
            self.status_changed.set()  # the network may be lost, or the radio off
        return result

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

    async def execute_at(self, line: str) -> list[str]:
        """Execute an AT command of the operator and return the lines of its answer.

        The settings are checked again after it. Raises AtUsageError for a line that must not be written,
        CommandRefused, CommandTimedOut, ModemLost.
        """
        try:
            response = await self._client.exchange(AtCommand.from_user_input(line, RAW_COMMAND_TIMEOUT_S))
        finally:
            self._settings_monitor.invalidate()
            self._settings.set_selected_store(None)
            self._message_store.mark_changed(UNKNOWN_SLOT)
            self.status_changed.set()
        return [line.text for line in response.information]

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

    # Events

    async def next_event(self) -> ModemEvent:
        """Wait for the next event, in order. Raises ModemLost after the last one."""
        return self._on_event(await self._urc_handler.next_event())

    def poll_event(self) -> ModemEvent | None:
        """Return the next event, None if there is none yet."""
        event = self._urc_handler.poll_event()
        return None if event is None else self._on_event(event)

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

    # Internals

    def _on_event(self, event: ModemEvent) -> ModemEvent:
        """Schedule the reads and checks that an event requires, and return the event."""
        match event:
            case MessageArrived(slot) | ReportArrived(slot):
                self._message_store.schedule(slot.store)
                if slot is UNKNOWN_SLOT:  # the module may have restarted
                    self._settings_monitor.invalidate()
            case StoreFull():
                self._message_store.schedule_all()
        return event

    async def _wait_until(self, event: asyncio.Event, timeout_s: float | None = None) -> None:
        """Wait for the event, the loss of the connection, or the timeout."""
        waiters = [asyncio.ensure_future(event.wait()), asyncio.ensure_future(self._client.lost.wait())]
        try:
            await asyncio.wait(waiters, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for waiter in waiters:
                waiter.cancel()
