"""`Modem`: one module over one AT client. It is the interface of this package.

modem = Modem(await AtClient.open(make_opener("/dev/ttyUSB2")), ModemOptions(profile="auto"))
status = await modem.initialise()
for message in await modem.sweep():
    ...
"""

from __future__ import annotations

import asyncio
from math import inf

import pdu
from agent.at.client import AtClient, BeforeBody
from agent.at.command import AtCommand
from agent.at.errors import CommandRefused, CommandTimedOut
from agent.at.events import RescanNeeded
from agent.modem.cnma import CnmaSender
from agent.modem.error import ModemUnusable
from agent.modem.events import MessageArrived, ModemEvent, ReportArrived, StoreFull
from agent.modem.initialiser import Initialiser
from agent.modem.message_format import MessageFormat, PduFormat
from agent.modem.message_store import MessageStore
from agent.modem.module_control import ModuleControl
from agent.modem.options import ModemOptions
from agent.modem.sending import NotSent, Refused, SendOutcome, apply_csmp, send
from agent.modem.settings import ModemStatus, SettingsHolder, modem_status
from agent.modem.settings_monitor import CHECK_INTERVAL_S, SettingsMonitor, reapply_cnmi
from agent.modem.stored_message import UNKNOWN_SLOT, Slot, StoredMessage
from agent.modem.text_mode import TextFormat
from agent.modem.urc_handler import UrcHandler

__all__ = ["Modem", "ModemUnusable"]

CNMA_TIMEOUT_S = 25.0
"""A message that was not acknowledged before the agent started makes the module switch direct delivery off
after up to 17 s (27.005 3.4.4), which may be after +CNMI was read."""
RAW_COMMAND_TIMEOUT_S = 180.0
"""A scan for networks (+COPS=?) may take this long."""

MESSAGE_FORMATS: dict[str, type[MessageFormat]] = {"pdu": PduFormat, "text": TextFormat}


class Modem(ModuleControl):
    """A module that receives and sends messages."""

    def __init__(self, client: AtClient, options: ModemOptions | None = None) -> None:
        """Raises ModemUnusable for an unknown message format."""
        options = options or ModemOptions()
        if options.message_format not in MESSAGE_FORMATS:
            raise ModemUnusable(
                f"message format {options.message_format!r} is unknown; use {' or '.join(MESSAGE_FORMATS)}"
            )
        message_format = MESSAGE_FORMATS[options.message_format]()
        settings = SettingsHolder(status_reports=options.status_reports, port_role=options.port_info.role)
        message_store = MessageStore(
            client=client,
            settings=settings,
            message_format=message_format,
            silent_slots=options.silent_slots,
        )
        cnma_sender = CnmaSender(client=client, settings=settings, message_format=message_format)
        urc_handler = UrcHandler(
            client=client,
            settings=settings,
            message_format=message_format,
            acknowledge=cnma_sender.acknowledge,
            notification_memory=options.notification_memory,
            on_slot_changed=message_store.mark_changed,
        )
        settings_monitor = SettingsMonitor(
            client=client, settings=settings, message_format=message_format, urc_handler=urc_handler
        )
        super().__init__(
            client=client,
            settings=settings,
            settings_monitor=settings_monitor,
            urc_handler=urc_handler,
            sim_memory=options.sim_config.memory,
        )
        self._format = message_format
        self._message_store = message_store
        self._silent_slots = options.silent_slots
        self._initialiser = Initialiser(
            client=client,
            settings=settings,
            message_format=message_format,
            urc_handler=urc_handler,
            cnma_sender=cnma_sender,
            options=options,
        )
        self._is_sending = False
        client.set_urc_payloads(message_format.urc_payloads)

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
    def status(self) -> ModemStatus:
        """The negotiated settings and the notes on them, as they are now."""
        status = modem_status(self._settings.current, is_notifying=self.is_notifying)
        skipped = (f"{slot} is skipped: the module does not answer" for slot in self._silent_slots.skipped)
        return status.replace(notes=(*status.notes, *skipped))

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
        holds another message now, which stays. Raises CommandRefused, SlotKept, ModemLost, and
        CommandTimedOut if the result is unknown: read the slot again then.
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
    def prompts_at_once(self) -> bool:
        """True if the module would be asked for the prompt of a message now, or after one short command."""
        return (
            self._client.lost_error is None
            and self._urc_handler.initialised.is_set()
            and not self._is_sending
            and not self._message_store.is_sweeping
        )

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

    # Commands of the operator

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

    # Events

    async def next_event(self) -> ModemEvent:
        """Wait for the next event, in order. Raises ModemLost after the last one."""
        return self._on_event(await self._urc_handler.next_event())

    def poll_event(self) -> ModemEvent | None:
        """Return the next event, None if there is none yet."""
        event = self._urc_handler.poll_event()
        return None if event is None else self._on_event(event)

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
