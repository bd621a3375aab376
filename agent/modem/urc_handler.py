"""Interpret the unsolicited events of a module, and keep track of restarts and missing notifications.

An event is interpreted once, when it comes, so that an irrelevant one does not wake the reader, and so that a
restart is known before the next command is written. The boot URCs of one start count as one restart.

State machine of the settings (`SetupState`):

    UNINITIALISED --begin_initialisation--> INITIALISING --end_initialisation(succeeded)--> READY
    INITIALISING --boot URC--> RESTARTED_MEANWHILE --begin_attempt--> INITIALISING
    READY --boot URC, echo, missing SIM, report_settings_lost--> LOST --begin_initialisation--> INITIALISING

Before the first initialisation, a sign of a restart leads from UNINITIALISED to LOST as well.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from enum import Enum, auto
from functools import partial

from agent.at.boot_urcs import BootUrc, classify_boot_urc, is_ready_urc
from agent.at.client import AtClient
from agent.at.events import EchoReturned, PortContention, RescanNeeded, Unsolicited, UrcEvent
from agent.at.line_parser import STORE_FULL_URC
from agent.at.parameters import parse_values
from agent.at.urc_queue import UrcQueue
from agent.modem.events import (
    DirectDelivery,
    MessageArrived,
    ModemEvent,
    RegistrationChanged,
    ReportArrived,
    SettingsLost,
    StoreFull,
)
from agent.modem.message_format import MessageFormat
from agent.modem.notification_check import NotificationCheck, NotificationMemory
from agent.modem.settings import SettingsHolder
from agent.modem.status_queries import REGISTRATION_DOMAINS, parse_registration
from agent.modem.stored_message import UNKNOWN_SLOT, Slot, StoredMessage
from agent.modem.text_mode_codec import decode_setting
from hardware.profile import DriverProfile

BOOT_URC_WINDOW_S = 60.0
"""The boot URCs of one start come within this time. After an initialisation they cause a sweep, not another
initialisation."""

QueuedEvent = ModemEvent | Unsolicited
"""`Unsolicited` is a direct delivery that has not been decoded yet."""


class SetupState(Enum):
    """The state of the settings that the agent needs."""

    UNINITIALISED = auto()
    """The module has not been initialised yet, or the last initialisation failed."""
    INITIALISING = auto()
    RESTARTED_MEANWHILE = auto()
    """The module has restarted during an attempt to initialise it."""
    READY = auto()
    LOST = auto()
    """The module has lost its settings."""


class UrcHandler:
    """Turns the unsolicited events of the connection into `ModemEvent`s."""

    def __init__(
        self,
        *,
        client: AtClient,
        settings: SettingsHolder,
        message_format: MessageFormat,
        acknowledge: Callable[[StoredMessage], Awaitable[None]],
        on_slot_changed: Callable[[Slot], None],
        notification_memory: NotificationMemory | None = None,
    ) -> None:
        """`acknowledge` sends +CNMA for a directly delivered message.

        `on_slot_changed` is called at once with the slot of each notification, and with UNKNOWN_SLOT when the
        settings are lost, perhaps because the SIM was changed.
        """
        self._settings = settings
        self._format = message_format
        self._acknowledge = acknowledge
        self._on_slot_changed = on_slot_changed
        self._loop = asyncio.get_running_loop()
        self._state = SetupState.UNINITIALISED
        self._settings_lost = SettingsLost("")
        """The event of the last restart."""
        self._initialised_at = -BOOT_URC_WINDOW_S
        self._boot_urcs: tuple[str, ...] = ()
        self._ready_urc = "\n"
        self.notifications = NotificationCheck(notification_memory)
        self.last_boot_code = ""
        """The last boot URC that reported a start."""
        self.is_booting = False
        """True from a boot URC until a URC reports that messages can be read."""
        self.echo_restarts = 0
        """The number of restarts of which an echo was the only sign."""
        self.initialised = asyncio.Event()
        """Set in the state READY."""
        self.status_changed = asyncio.Event()
        """Set when the network is found or lost, or reads begin or stop failing. The reader clears it."""
        self.events: UrcQueue[QueuedEvent] = client.interpret_urcs(self._interpret)

    def apply_profile(self, driver: DriverProfile) -> None:
        """Use the boot URCs of the profile in addition to the common ones."""
        self._boot_urcs = tuple(
            urc for urc in driver.boot_urcs if classify_boot_urc(urc) is not BootUrc.STARTED
        )
        self._ready_urc = driver.ready_urc or "\n"  # no line begins with it

    async def wait_for_urc(self, text: str, timeout_s: float) -> None:
        """Wait for a URC, or until the timeout, which is not an error."""
        await self.events.wait_for(lambda urc: urc.text == text, timeout_s)

    async def wait_for_sms_ready(self, timeout_s: float) -> None:
        """Wait for the URC that messages can be read, or until the timeout: the URC may be switched off."""
        await self.events.wait_for(lambda urc: self._is_sms_ready_urc(urc.text), timeout_s)

    def _is_sms_ready_urc(self, text: str) -> bool:
        return classify_boot_urc(text) is BootUrc.SMS_READY or text.startswith(self._ready_urc)

    # The state of the settings

    @property
    def has_lost_settings(self) -> bool:
        """True if the module must be initialised again."""
        return self._state in {SetupState.LOST, SetupState.RESTARTED_MEANWHILE}

    @property
    def _is_initialising(self) -> bool:
        return self._state in {SetupState.INITIALISING, SetupState.RESTARTED_MEANWHILE}

    def begin_initialisation(self) -> None:
        """Enter INITIALISING: boot URCs cause no event until the end."""
        self._state = SetupState.INITIALISING
        self.initialised.clear()

    def begin_attempt(self) -> None:
        """Forget restarts before another attempt of the same initialisation."""
        self._state = SetupState.INITIALISING

    def end_initialisation(self, *, succeeded: bool) -> None:
        """Leave INITIALISING for READY, or for the state of a module that needs another initialisation."""
        if not succeeded:
            restarted = self._state is SetupState.RESTARTED_MEANWHILE
            self._state = SetupState.LOST if restarted else SetupState.UNINITIALISED
            return
        self._state = SetupState.READY
        self.is_booting = False
        self._initialised_at = self._loop.time()
        self.notifications.reset()
        self.initialised.set()

    def report_settings_lost(self, reason: str) -> None:
        """Queue `SettingsLost` for something that no URC reports."""
        lost = self._mark_settings_lost(SettingsLost(f"settings lost: {reason}"))
        if lost is not None:
            self.events.put_interpreted(lost)

    def _mark_settings_lost(self, event: SettingsLost) -> SettingsLost | None:
        """Record a restart. Return the event for its first sign, None for further ones."""
        if self.has_lost_settings:
            return None
        was_initialising = self._is_initialising
        self._state = SetupState.RESTARTED_MEANWHILE if was_initialising else SetupState.LOST
        self._settings_lost = event
        self.initialised.clear()
        self._settings.set_selected_store(None)
        self._on_slot_changed(UNKNOWN_SLOT)
        return None if was_initialising else event

    # Interpreting events

    def _interpret(self, event: UrcEvent) -> QueuedEvent | None:
        """Return what is queued for an event of the connection; None drops it."""
        match event:
            case RescanNeeded():
                # The event that reported a restart may be among those that the full queue has dropped.
                is_lost = self._state is SetupState.LOST
                return self._settings_lost if is_lost else MessageArrived(UNKNOWN_SLOT)
            case PortContention():
                return event
            case EchoReturned():
                self.echo_restarts += not self.has_lost_settings
                return self._mark_settings_lost(SettingsLost("the echo is on again"))
            case Unsolicited():
                return self._interpret_urc(event)

    def _interpret_urc(self, urc: Unsolicited) -> QueuedEvent | None:
        text = urc.text
        name, colon, _ = text.partition(":")
        name = name.rstrip()
        if name in {"+CMTI", "+CDSI"}:
            return self._interpret_notification(text)
        if colon and name in {"+CMT", "+CDS"}:
            return urc
        if not text:  # without its header it may be any message, and a direct delivery has no second copy
            return urc if self._settings.current.has_direct_delivery else None
        if name in REGISTRATION_DOMAINS:
            changed = self._update_registration(name, parse_registration(text)[1])
            return RegistrationChanged(self._settings.current.registration) if changed else None
        boot = classify_boot_urc(text)
        if boot is BootUrc.MAYBE_STARTED:
            # The sweep checks the settings, which shows whether it was a restart.
            is_settled = not self._is_initialising and not self.has_lost_settings
            return MessageArrived(UNKNOWN_SLOT) if is_settled else None
        if boot is BootUrc.STARTED:
            self.last_boot_code, self.is_booting = text, True
            return self._mark_settings_lost(SettingsLost(text))
        if self._is_sms_ready_urc(text):
            self.is_booting = False
        if is_ready_urc(text) or text.startswith((*self._boot_urcs, self._ready_urc)):
            return self._interpret_ready_urc(text)
        if boot is BootUrc.SIM_CHANGED:
            return None if self._is_initialising else self._mark_settings_lost(SettingsLost(text))
        if STORE_FULL_URC.match(text):  # a sweep too many costs little
            store = parse_values(text).get(-1)
            return StoreFull(store.text if store.quoted else "")
        return None

    def _interpret_ready_urc(self, text: str) -> QueuedEvent | None:
        """Interpret a URC that belongs to a start but does not begin one."""
        if self._is_initialising:
            return None
        is_recent = self._loop.time() - self._initialised_at < BOOT_URC_WINDOW_S
        if is_recent and not self.has_lost_settings:
            return MessageArrived(UNKNOWN_SLOT)  # more messages may be readable than before
        return self._mark_settings_lost(SettingsLost(text))

    def _interpret_notification(self, text: str) -> MessageArrived | ReportArrived:
        """Interpret +CMTI or +CDSI."""
        values = parse_values(text)
        store, index = values.get(0), values.get(1)
        slot = UNKNOWN_SLOT  # also for the index -1 of SIM7000
        settings = self._settings.current
        # Before the stores are negotiated it is unknown whether the module has stores with names.
        is_negotiated = self.initialised.is_set() or bool(settings.store)
        is_known = is_negotiated and not settings.has_unknown_stores
        if index.number is not None and store.quoted and store.text and is_known:
            name = decode_setting(store.text).upper()
            slot = Slot(name if settings.store else "", index.number)
        self.notifications.record_announcement(slot)
        self._on_slot_changed(slot)
        return MessageArrived(slot) if text.startswith("+CMTI") else ReportArrived(slot)

    def _update_registration(self, domain: str, state: int | None) -> bool:
        """Record <stat> of one domain. Return True if it has changed."""
        if state is None:
            return False
        before = self._settings.current.registration
        after = before.with_state(domain, state)
        self._settings.set_registration(after)
        if before.can_send != after.can_send:
            self.status_changed.set()
        return before != after

    # Reading events

    async def next_event(self) -> ModemEvent:
        """Wait for the next event. Raises ModemLost after the last one."""
        return self._complete(await self.events.get())

    def poll_event(self) -> ModemEvent | None:
        """Return the next event, None if there is none yet."""
        event = self.events.try_get()
        return None if event is None else self._complete(event)

    def _complete(self, event: QueuedEvent) -> ModemEvent:
        """Decode a direct delivery; not earlier, because the message format may be negotiated meanwhile."""
        match event:
            case Unsolicited():
                message = self._format.parse_direct(event)
                return DirectDelivery(message, partial(self._acknowledge, message))
            case RegistrationChanged():
                # The state may have changed again since.
                return RegistrationChanged(self._settings.current.registration)
            case _:
                return event
