"""From unsolicited lines to news: what is dropped at the door, what it means, and what it says of the module.

Each line is looked at when it comes, so that one that nobody needs wakes nobody, and so that a restart is
known before anything else is written. The lines that a module prints while it starts are one restart.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from functools import partial

from agent.at.events import Unsolicited
from agent.at.parameters import parse_values
from agent.at.urc_queue import CONTENTION_PREFIX, ECHO_RETURNED, URCS_DROPPED, UrcQueue
from agent.modem.events import (
    DirectDelivery,
    MessageArrived,
    ModemEvent,
    PortContention,
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

_BOOT_RE = re.compile(r"(APP )?RDY$|Ready$|\^SYSSTART|\*ATREADY|\+KSUP|\+AT: READY")
"""Printed only by a module that has just started."""
_MAYBE_BOOT_RE = re.compile(r"\^BOOT\b")
"""Printed at the start, too, and by many Huawei sticks again and again while they work: the settings tell."""
_READY_RE = re.compile(
    r"(Call Ready|SMS Ready|SMS DONE|PB DONE)$|\+QIND: (SMS|PB) DONE|\+CPIN: READY|\+QUSIM: 1"
)
"""Printed when SIM and messages have been read: after a start, after +CFUN=1, after the PIN."""
_SMS_READY_RE = re.compile(r"SMS (Ready|DONE)$|\+QIND: SMS DONE")
"""The last of these: messages can be read now."""
_SIM_REMOVED_RE = re.compile(r"\+CPIN: |\+QUSIM: 0")
_STORE_FULL_RE = re.compile(
    r'\+(QIND|CIEV): ?"?SMSFULL|[+^*%]?(SMS ?|SM)?(MEM(ORY)? ?)?FULL\b|\^SMGO: ?[12]', re.IGNORECASE
)
"""What makers say when a message found no room; another look costs little."""
_SETTINGS_LOST_PREFIX = "settings lost: "


def is_ready_urc(text: str) -> bool:
    """Whether a line says that messages can be read now."""
    return _READY_RE.match(text) is not None


class UrcHandler:
    """What was heard, and whether the module still is as it was set up."""

    def __init__(
        self,
        urc_queue: UrcQueue,
        settings: ModemSettings,
        message_format: MessageFormat,
        acknowledge: Callable[[StoredMessage], Awaitable[None]],
    ) -> None:
        self._urc_queue = urc_queue
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

    def apply_profile(self, driver: DriverProfile) -> None:
        """Take over by which codes this module tells of its start."""
        self._boot_codes = tuple(code for code in driver.boot_urcs if not _BOOT_RE.match(code))
        self._ready_code = driver.ready_urc or "\n"  # which no line begins with

    async def wait_for_urc(self, text: str, timeout_s: float) -> None:
        """Wait for a line, or until the time has passed, which is no failure."""
        await self._urc_queue.wait_for(lambda news: news.text == text, timeout_s)

    async def wait_for_sms_ready(self, timeout_s: float) -> None:
        """Wait for the code that says that messages can be read; it may have been switched off."""
        await self._urc_queue.wait_for(lambda news: self._is_sms_ready_urc(news.text), timeout_s)

    def _is_sms_ready_urc(self, text: str) -> bool:
        return _SMS_READY_RE.match(text) is not None or text.startswith(self._ready_code)

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

    def make_settings_lost_urc(self, reason: str) -> Unsolicited:
        """The line that stands for what no line said."""
        return Unsolicited(_SETTINGS_LOST_PREFIX + reason)

    # The door

    def filter_urc(self, urc: Unsolicited) -> Unsolicited | None:
        """What becomes of a line."""
        name, colon, _ = urc.text.partition(":")
        if name in {"+CMTI", "+CDSI"} or urc is URCS_DROPPED:
            if isinstance(placed := self._parse_store_urc(urc), MessageArrived | ReportArrived):
                self._record_announcement(placed.slot)
            return urc
        if urc.text.startswith(CONTENTION_PREFIX) or (colon and name in {"+CMT", "+CDS"}):
            return urc
        if name in REGISTRATION_DOMAINS:
            return urc if self._update_registration(name, parse_registration_urc(urc.text)) else None
        if _MAYBE_BOOT_RE.match(urc.text):
            return None if self._is_initialising or self.has_lost_settings else URCS_DROPPED
        if boots := _BOOT_RE.match(urc.text):
            self.last_boot_code, self.is_booting = urc.text, True
        elif self._is_sms_ready_urc(urc.text):
            self.is_booting = False
        if urc is ECHO_RETURNED or urc.text.startswith(_SETTINGS_LOST_PREFIX) or boots:
            return self._mark_settings_lost(urc)
        if _READY_RE.match(urc.text) or urc.text.startswith((*self._boot_codes, self._ready_code)):
            fresh = self._loop.time() - self._initialised_at < BOOT_URC_WINDOW_S
            if fresh and not self._is_initialising and not self.has_lost_settings:
                return URCS_DROPPED  # there may be more to be seen than before
            return None if self._is_initialising else self._mark_settings_lost(urc)
        if _SIM_REMOVED_RE.match(urc.text):
            return None if self._is_initialising else self._mark_settings_lost(urc)
        return urc if _STORE_FULL_RE.match(urc.text) else None

    def _mark_settings_lost(self, urc: Unsolicited) -> Unsolicited | None:
        """The first sign of a restart is told; further ones are of the same restart."""
        if self.has_lost_settings:
            return None
        self.echo_restarts += urc is ECHO_RETURNED
        self.has_lost_settings = True
        self.initialised.clear()
        self._settings.selected_store = None
        return None if self._is_initialising else urc

    def _update_registration(self, domain: str, state: int | None) -> bool:
        """Take over a state; whether it is another one."""
        if state is None:
            return False
        before, self._settings.registration = (
            self._settings.registration,
            self._settings.registration.with_state(domain, state),
        )
        if before.can_send != self._settings.registration.can_send:
            self.status_changed.set()
        return before != self._settings.registration

    # What it means

    def interpret(self, urc: Unsolicited) -> ModemEvent:
        """The news that an admitted line is."""
        name, colon, _ = urc.text.partition(":")
        if colon and name in {"+CMT", "+CDS"}:
            message = self._format.parse_direct(urc)
            return DirectDelivery(message, partial(self._acknowledge, message))
        if name in REGISTRATION_DOMAINS:
            return RegistrationChanged(self._settings.registration)
        if urc.text.startswith(CONTENTION_PREFIX):
            return PortContention(urc.text.removeprefix(CONTENTION_PREFIX).strip())
        return self._parse_store_urc(urc) or SettingsLost(urc.text)

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

    def _parse_store_urc(self, urc: Unsolicited) -> MessageArrived | ReportArrived | StoreFull | None:
        """What a line says about the stores, None if nothing."""
        if urc is URCS_DROPPED:
            return MessageArrived(UNKNOWN_SLOT)
        name, _, _ = urc.text.partition(":")
        found = parse_values(urc.text)
        if name in {"+CMTI", "+CDSI"}:
            store, index = found.get(0), found.get(1)
            if index.text == "-1":
                return StoreFull(store.text)
            slot = UNKNOWN_SLOT
            if index.number is not None and store.quoted and not self._settings.has_unknown_stores:
                slot = Slot(store.text if self._settings.store else "", index.number)
            return MessageArrived(slot) if name == "+CMTI" else ReportArrived(slot)
        if _STORE_FULL_RE.match(urc.text):
            return StoreFull(found.get(-1).text if found.get(-1).quoted else "")
        return None
