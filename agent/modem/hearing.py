"""From unsolicited lines to news: what is dropped at the door, what it means, and what it says of the module.

Each line is looked at when it comes, so that one that nobody needs wakes nobody, and so that a restart is
known before anything else is written. The lines that a module prints while it starts are one restart.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from functools import partial

from agent.at.event import Unsolicited
from agent.at.news import ANOTHER, ECHO_RETURNED, OVERFLOW, NewsQueue
from agent.at.parameters import values
from agent.modem.formats import MessageFormat
from agent.modem.news import (
    Arrived,
    Direct,
    Disturbed,
    News,
    RegistrationChanged,
    ReportStored,
    Restarted,
    StoreFull,
)
from agent.modem.setup import Setup
from agent.modem.state import DOMAINS, told_state
from agent.modem.stored import NOWHERE, Slot, StoredMessage
from hardware.profile import DriverProfile

BOOT_S = 60.0
"""The lines of one start come within this time: they ask for another look, not for another start."""
ANNOUNCED_S = 5.0
"""A notification that is later than this after its message was found does not come. Modules hold them back
while a command runs."""

_BOOT = re.compile(r"(APP )?RDY$|Ready$|\^SYSSTART|\*ATREADY|\+KSUP|\+AT: READY")
"""Printed only by a module that has just started."""
_PERHAPS_BOOT = re.compile(r"\^BOOT\b")
"""Printed at the start, too, and by many Huawei sticks again and again while they work: the settings tell."""
_READY = re.compile(
    r"(Call Ready|SMS Ready|SMS DONE|PB DONE)$|\+QIND: (SMS|PB) DONE|\+CPIN: READY|\+QUSIM: 1"
)
"""Printed when SIM and messages have been read: after a start, after +CFUN=1, after the PIN."""
_MESSAGES = re.compile(r"SMS (Ready|DONE)$|\+QIND: SMS DONE")
"""The last of these: messages can be read now."""
_SIM_GONE = re.compile(r"\+CPIN: |\+QUSIM: 0")
_FULL = re.compile(
    r'\+(QIND|CIEV): ?"?SMSFULL|[+^*%]?(SMS ?|SM)?(MEM(ORY)? ?)?FULL\b|\^SMGO: ?[12]', re.IGNORECASE
)
"""What makers say when a message found no room; another look costs little."""
_SETTINGS_LOST = "settings lost: "


def is_ready(text: str) -> bool:
    """Whether a line says that messages can be read now."""
    return _READY.match(text) is not None


class Hearing:
    """What was heard, and whether the module still is as it was set up."""

    def __init__(
        self,
        news: NewsQueue,
        setup: Setup,
        message_format: MessageFormat,
        acknowledge: Callable[[StoredMessage], Awaitable[None]],
    ) -> None:
        self._news = news
        self._setup = setup
        self._format = message_format
        self._acknowledge = acknowledge
        self._loop = asyncio.get_running_loop()
        self._initialising = False
        self._settled_at = -BOOT_S
        self._announced: set[Slot] = set()
        self._silent: dict[Slot, float] = {}
        self._known: set[Slot] | None = None
        self._said_silent = False
        self._codes: tuple[str, ...] = ()
        self._ready_code = "\n"
        self.boot_code = ""
        """What the module said of its start last."""
        self.starting = False
        """A boot code came, and no code yet that messages can be read."""
        self.restarted = False
        """The module has to be initialised again."""
        self.echo_alarms = 0
        """How often nothing but an echo told of a restart."""
        self.ready = asyncio.Event()
        """Set while it need not."""
        self.moved = asyncio.Event()
        """Set when the network was found or lost; cleared by whoever looks."""

    def drive(self, driver: DriverProfile) -> None:
        """Take over by which codes this module tells of its start."""
        self._codes = tuple(code for code in driver.boot_codes if not _BOOT.match(code))
        self._ready_code = driver.ready_code or "\n"  # which no line begins with

    async def wait_for(self, text: str, seconds: float) -> None:
        """Wait for a line, or until the time has passed, which is no failure."""
        await self._news.heard(lambda news: news.text == text, seconds)

    async def wait_for_messages(self, seconds: float) -> None:
        """Wait for the code that says that messages can be read; it may have been switched off."""
        await self._news.heard(lambda news: self._says_ready(news.text), seconds)

    def _says_ready(self, text: str) -> bool:
        return _MESSAGES.match(text) is not None or text.startswith(self._ready_code)

    def begin(self) -> None:
        """The module is being initialised: what it says of its start is answered by that."""
        self._initialising = True
        self.restarted = False
        self.ready.clear()

    def end(self, *, settled: bool) -> None:
        """It has been initialised, or not."""
        self._initialising = False
        if settled:
            self.starting = False
            self._settled_at = self._loop.time()
            self.restarted = False
            self.forget()
            self.ready.set()

    def settings_lost(self, how: str) -> Unsolicited:
        """The line that stands for what no line said."""
        return Unsolicited(_SETTINGS_LOST + how)

    # The door

    def door(self, news: Unsolicited) -> Unsolicited | None:
        """What becomes of a line."""
        name, colon, _ = news.text.partition(":")
        if name in {"+CMTI", "+CDSI"} or news is OVERFLOW:
            if isinstance(placed := self._place(news), Arrived | ReportStored):
                self._announce(placed.slot)
            return news
        if news.text.startswith(ANOTHER) or (colon and name in {"+CMT", "+CDS"}):
            return news
        if name in DOMAINS:
            return news if self._registered(name, told_state(news.text)) else None
        if _PERHAPS_BOOT.match(news.text):
            return None if self._initialising or self.restarted else OVERFLOW
        if boots := _BOOT.match(news.text):
            self.boot_code, self.starting = news.text, True
        elif self._says_ready(news.text):
            self.starting = False
        if news is ECHO_RETURNED or news.text.startswith(_SETTINGS_LOST) or boots:
            return self._restart(news)
        if _READY.match(news.text) or news.text.startswith((*self._codes, self._ready_code)):
            fresh = self._loop.time() - self._settled_at < BOOT_S
            if fresh and not self._initialising and not self.restarted:
                return OVERFLOW  # there may be more to be seen than before
            return None if self._initialising else self._restart(news)
        if _SIM_GONE.match(news.text):
            return None if self._initialising else self._restart(news)
        return news if _FULL.match(news.text) else None

    def _restart(self, news: Unsolicited) -> Unsolicited | None:
        """The first sign of a restart is told; further ones are of the same restart."""
        if self.restarted:
            return None
        self.echo_alarms += news is ECHO_RETURNED
        self.restarted = True
        self.ready.clear()
        self._setup.selected = None
        return None if self._initialising else news

    def _registered(self, domain: str, state: int | None) -> bool:
        """Take over a state; whether it is another one."""
        if state is None:
            return False
        before, self._setup.registration = (
            self._setup.registration,
            self._setup.registration.changed(domain, state),
        )
        if before.can_send != self._setup.registration.can_send:
            self.moved.set()
        return before != self._setup.registration

    # What it means

    def understand(self, news: Unsolicited) -> News:
        """The news that an admitted line is."""
        name, colon, _ = news.text.partition(":")
        if colon and name in {"+CMT", "+CDS"}:
            message = self._format.direct(news)
            return Direct(message, partial(self._acknowledge, message))
        if name in DOMAINS:
            return RegistrationChanged(self._setup.registration)
        if news.text.startswith(ANOTHER):
            return Disturbed(news.text.removeprefix(ANOTHER).strip())
        return self._place(news) or Restarted(news.text)

    # Whether notifications come at all

    def found(self, messages: list[StoredMessage]) -> bool:
        """Compare a sweep with what was announced; True once it is clear that notifications do not come.

        The first sweep finds what came while nobody listened.
        """
        now = self._loop.time()
        news = self.silent and not self._said_silent
        self._said_silent = self._said_silent or news
        slots = {message.slot for message in messages if message.slot is not None}
        if self._known is not None:
            self._silent |= dict.fromkeys(slots - self._announced - self._known - self._silent.keys(), now)
        self._known = slots
        self._announced.clear()
        return news

    @property
    def silent(self) -> bool:
        """Whether messages were found that the module never told of."""
        now = self._loop.time()
        return any(now - found > ANNOUNCED_S for found in self._silent.values())

    @property
    def doubts(self) -> bool:
        """The same, though it may still tell: codes are held back while a command runs."""
        return bool(self._silent)

    def forget(self) -> None:
        """Begin anew to compare what is found with what was announced."""
        self._announced.clear()
        self._silent.clear()
        self._known = None
        self._said_silent = False

    def _announce(self, slot: Slot) -> None:
        self._announced.add(slot)
        if slot is not NOWHERE:
            if slot in self._silent:
                del self._silent[slot]
            elif self.silent:
                self._silent.clear()  # it does tell, after all

    def _place(self, news: Unsolicited) -> Arrived | ReportStored | StoreFull | None:
        """What a line says about the stores, None if nothing."""
        if news is OVERFLOW:
            return Arrived(NOWHERE)
        name, _, _ = news.text.partition(":")
        found = values(news.text)
        if name in {"+CMTI", "+CDSI"}:
            store, index = found.at(0), found.at(1)
            if index.text == "-1":
                return StoreFull(store.text)
            slot = NOWHERE
            if index.number is not None and store.quoted and not self._setup.stores_unclear:
                slot = Slot(store.text if self._setup.store else "", index.number)
            return Arrived(slot) if name == "+CMTI" else ReportStored(slot)
        if _FULL.match(news.text):
            return StoreFull(found.at(-1).text if found.at(-1).quoted else "")
        return None
