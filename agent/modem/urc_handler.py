"""From unsolicited lines to news: what is dropped at the door, what it means, and what it says of the module.

Each line is looked at when it comes, so that one that nobody needs wakes nobody, and so that a restart is
known before anything else is written. The lines that a module prints while it starts are one restart.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from functools import partial

from agent.at.boot_urcs import BootUrc, classify_boot_urc, is_ready_urc
from agent.at.client import AtClient
from agent.at.events import EchoReturned, PortContention, RescanNeeded, Unsolicited, UrcEvent
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
from agent.modem.settings import ModemSettings
from agent.modem.status_queries import REGISTRATION_DOMAINS, parse_registration_urc
from agent.modem.stored_message import UNKNOWN_SLOT, Slot, StoredMessage
from hardware.profile import DriverProfile

BOOT_URC_WINDOW_S = 60.0
"""The lines of one start come within this time: they ask for another look, not for another start."""
NOTIFICATION_GRACE_S = 5.0
"""A notification that is later than this after its message was found does not come. Modules hold them back
while a command runs."""

_STORE_FULL_RE = re.compile(
    r'\+(QIND|CIEV): ?"?SMSFULL|[+^*%]?(SMS ?|SM)?(MEM(ORY)? ?)?FULL\b|\^SMGO: ?[12]', re.IGNORECASE
)
"""What makers say when a message found no room; another look costs little."""
QueuedEvent = ModemEvent | Unsolicited
"""`Unsolicited` is a direct delivery that has not been decoded yet."""


class UrcHandler:
    """What was heard, and whether the module still is as it was set up."""

    def __init__(
        self,
        client: AtClient,
        settings: ModemSettings,
        message_format: MessageFormat,
        acknowledge: Callable[[StoredMessage], Awaitable[None]],
    ) -> None:
        self._settings = settings
        self._format = message_format
        self._acknowledge = acknowledge
        self._loop = asyncio.get_running_loop()
        self._is_initialising = False
        self._initialised_at = -BOOT_URC_WINDOW_S
        self._announced_slots: set[Slot] = set()
        self._unannounced: dict[Slot, float] = {}
        self._known_slots: set[Slot] | None = None
        self._missing_reported = False
        self._boot_codes: tuple[str, ...] = ()
        self._ready_code = "\n"
        self.last_boot_code = ""
        """What the module said of its start last."""
        self.is_booting = False
        """A boot code came, and no code yet that messages can be read."""
        self.has_lost_settings = False
        """The module has to be initialised again."""
        self.echo_restarts = 0
        """How often nothing but an echo told of a restart."""
        self.initialised = asyncio.Event()
        """Set while it need not."""
        self.status_changed = asyncio.Event()
        """Set when the network was found or lost; cleared by whoever looks."""
        self.events: UrcQueue[QueuedEvent] = client.interpret_urcs(self._interpret)

    def apply_profile(self, driver: DriverProfile) -> None:
        """Take over by which codes this module tells of its start."""
        self._boot_codes = tuple(
            code for code in driver.boot_urcs if classify_boot_urc(code) is not BootUrc.STARTED
        )
        self._ready_code = driver.ready_urc or "\n"  # which no line begins with

    async def wait_for_urc(self, text: str, timeout_s: float) -> None:
        """Wait for a line, or until the time has passed, which is no failure."""
        await self.events.wait_for(lambda urc: urc.text == text, timeout_s)

    async def wait_for_sms_ready(self, timeout_s: float) -> None:
        """Wait for the code that says that messages can be read; it may have been switched off."""
        await self.events.wait_for(lambda urc: self._is_sms_ready_urc(urc.text), timeout_s)

    def _is_sms_ready_urc(self, text: str) -> bool:
        return classify_boot_urc(text) is BootUrc.SMS_READY or text.startswith(self._ready_code)

    def begin_initialisation(self) -> None:
        """The module is being initialised: what it says of its start is answered by that."""
        self._is_initialising = True
        self.has_lost_settings = False
        self.initialised.clear()

    def end_initialisation(self, *, succeeded: bool) -> None:
        """It has been initialised, or not."""
        self._is_initialising = False
        if succeeded:
            self.is_booting = False
            self._initialised_at = self._loop.time()
            self.has_lost_settings = False
            self.reset_announcements()
            self.initialised.set()

    def report_settings_lost(self, reason: str) -> None:
        """Queue that the module has lost its settings, which no URC says."""
        lost = self._mark_settings_lost(SettingsLost(f"settings lost: {reason}"))
        if lost is not None:
            self.events.put_interpreted(lost)

    # Interpreting

    def _interpret(self, event: UrcEvent) -> QueuedEvent | None:
        """Return what is queued for an event of the connection; None drops it."""
        match event:
            case RescanNeeded():
                return MessageArrived(UNKNOWN_SLOT)
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
        if name in {"+CMTI", "+CDSI"}:
            return self._interpret_notification(text)
        if colon and name in {"+CMT", "+CDS"}:
            return urc
        if name in REGISTRATION_DOMAINS:
            changed = self._update_registration(name, parse_registration_urc(text))
            return RegistrationChanged(self._settings.registration) if changed else None
        boot = classify_boot_urc(text)
        if boot is BootUrc.MAYBE_STARTED:
            initialised = not self._is_initialising and not self.has_lost_settings
            return MessageArrived(UNKNOWN_SLOT) if initialised else None
        if boot is BootUrc.STARTED:
            self.last_boot_code, self.is_booting = text, True
            return self._mark_settings_lost(SettingsLost(text))
        if self._is_sms_ready_urc(text):
            self.is_booting = False
        if is_ready_urc(text) or text.startswith((*self._boot_codes, self._ready_code)):
            fresh = self._loop.time() - self._initialised_at < BOOT_URC_WINDOW_S
            if fresh and not self._is_initialising and not self.has_lost_settings:
                return MessageArrived(UNKNOWN_SLOT)  # there may be more to be seen than before
            return None if self._is_initialising else self._mark_settings_lost(SettingsLost(text))
        if boot is BootUrc.SIM_CHANGED:
            return None if self._is_initialising else self._mark_settings_lost(SettingsLost(text))
        if _STORE_FULL_RE.match(text):
            store = parse_values(text).get(-1)
            return StoreFull(store.text if store.quoted else "")
        return None

    def _interpret_notification(self, text: str) -> MessageArrived | ReportArrived | StoreFull:
        """Interpret +CMTI or +CDSI."""
        values = parse_values(text)
        store, index = values.get(0), values.get(1)
        if index.text == "-1":
            return StoreFull(store.text)
        slot = UNKNOWN_SLOT
        # Before the stores are negotiated it is not known whether the module has any that can be named.
        is_negotiated = self.initialised.is_set() or bool(self._settings.store)
        is_known = is_negotiated and not self._settings.has_unknown_stores
        if index.number is not None and store.quoted and is_known:
            slot = Slot(store.text if self._settings.store else "", index.number)
        self._record_announcement(slot)
        return MessageArrived(slot) if text.startswith("+CMTI") else ReportArrived(slot)

    def _mark_settings_lost(self, event: SettingsLost) -> SettingsLost | None:
        """Record a restart. Return the event for its first sign, None for further ones."""
        if self.has_lost_settings:
            return None
        self.has_lost_settings = True
        self.initialised.clear()
        self._settings.selected_store = None
        return None if self._is_initialising else event

    def _update_registration(self, domain: str, state: int | None) -> bool:
        """Record a <stat>. Return True if it differs from the one before."""
        if state is None:
            return False
        before, self._settings.registration = (
            self._settings.registration,
            self._settings.registration.with_state(domain, state),
        )
        if before.can_send != self._settings.registration.can_send:
            self.status_changed.set()
        return before != self._settings.registration

    # Reading

    async def next_event(self) -> ModemEvent:
        """Return the next event. Raises ModemLost after the last."""
        return self._complete(await self.events.get())

    def poll_event(self) -> ModemEvent | None:
        """Return the next event, None when there is none yet."""
        event = self.events.try_get()
        return None if event is None else self._complete(event)

    def _complete(self, event: QueuedEvent) -> ModemEvent:
        """Decode a direct delivery; not earlier, because the message format may be negotiated meanwhile."""
        match event:
            case Unsolicited():
                message = self._format.parse_direct(event)
                return DirectDelivery(message, partial(self._acknowledge, message))
            case RegistrationChanged():
                return RegistrationChanged(self._settings.registration)  # there may be a newer state
            case _:
                return event

    # Whether notifications come at all

    def compare_sweep(self, messages: list[StoredMessage]) -> bool:
        """Compare a sweep with what was announced; True once it is clear that notifications do not come.

        The first sweep finds what came while nobody listened.
        """
        now = self._loop.time()
        news = self.has_missing_notifications and not self._missing_reported
        self._missing_reported = self._missing_reported or news
        slots = {message.slot for message in messages if message.slot is not None}
        if self._known_slots is not None:
            self._unannounced |= dict.fromkeys(
                slots - self._announced_slots - self._known_slots - self._unannounced.keys(), now
            )
        self._known_slots = slots
        self._announced_slots.clear()
        return news

    @property
    def has_missing_notifications(self) -> bool:
        """Whether messages were found that the module never told of."""
        now = self._loop.time()
        return any(now - found > NOTIFICATION_GRACE_S for found in self._unannounced.values())

    @property
    def has_unannounced(self) -> bool:
        """The same, though it may still tell: codes are held back while a command runs."""
        return bool(self._unannounced)

    def reset_announcements(self) -> None:
        """Begin anew to compare what is found with what was announced."""
        self._announced_slots.clear()
        self._unannounced.clear()
        self._known_slots = None
        self._missing_reported = False

    def _record_announcement(self, slot: Slot) -> None:
        self._announced_slots.add(slot)
        if slot is not UNKNOWN_SLOT:
            if slot in self._unannounced:
                del self._unannounced[slot]
            elif self.has_missing_notifications:
                self._unannounced.clear()  # it does tell, after all
