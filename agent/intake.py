"""From the module into the journal. News is a hint, storage is the truth.

A notification says where to look; what is found there is committed before it is deleted. The sweep over
whole stores finds what no notification told of: at start, after a restart of the module, after a drain, and
now and then without any hint.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable

from agent.at.error import CommandRefused, CommandTimedOut, ModemLost
from agent.health import Health
from agent.journal.inbox import Inbox
from agent.journal.rows import Kept, Outcome
from agent.journal.skin import Skin
from agent.modem.modem import Modem
from agent.modem.news import Arrived, Direct, News, RegistrationChanged, ReportStored, Restarted, StoreFull
from agent.modem.stored import Slot, StoredMessage, Undecodable
from agent.service.message import Received, Stray
from agent.service.profile import ServiceProfile
from agent.service.receive import receive
from agent.story import Step, Tell, Weight

SWEEP_S = 300.0
"""Between sweeps without a hint: what a lost notification can cost."""
SWEEP_WITHOUT_NEWS_S = 60.0
"""The same where the module sends no notifications at all."""
STEP_S = 180.0
"""Longest time that a sweep of a full store may take on a slow line before the watchdog worries."""

_WORDS = {
    Outcome.NEW: "received",
    Outcome.DOUBLE: "double",
    Outcome.KNOWN: "known",
    Outcome.EXPIRED: "expired",
    Outcome.PART: "part",
    Outcome.STRAY: "stray",
    Outcome.REPORT: "report",
}


class Intake:
    """The receiving task of one session."""

    def __init__(
        self,
        modem: Modem,
        skin: Skin,
        inbox: Inbox,
        service: ServiceProfile,
        tell: Tell,
        health: Health,
        received: Callable[[], None],
    ) -> None:
        """`received` is called after each commit that may have made work for others."""
        self._modem = modem
        self._skin = skin
        self._inbox = inbox
        self._service = service
        self._tell = tell
        self._health = health
        self._received = received
        self._journal_failed = False

    async def run(self) -> None:
        """Receive until the session ends. A command without an answer, twice in a row, ends it."""
        loop = asyncio.get_running_loop()
        silences = 0
        sweep_at = loop.time()
        try:
            while True:
                try:
                    if loop.time() >= sweep_at:
                        self._health.within("intake", STEP_S)
                        await self._drain()
                        sweep_at = loop.time() + self._interval()
                    self._health.within("intake", sweep_at - loop.time() + STEP_S)
                    news = await self._news(sweep_at)
                    self._health.within("intake", STEP_S)
                    if news and await self._follow(news):
                        sweep_at = loop.time()
                    silences = 0
                except CommandTimedOut as error:
                    silences += 1
                    self._tell(Step("silence", str(error), weight=Weight.WARNING))
                    if silences == 2:
                        self._modem.close()
                except CommandRefused as error:
                    self._tell(Step("refused", str(error), weight=Weight.WARNING))
                    sweep_at = loop.time() + SWEEP_WITHOUT_NEWS_S
                except sqlite3.Error as error:
                    self._say_journal(error)
                    sweep_at = loop.time() + SWEEP_WITHOUT_NEWS_S / 10
        except ModemLost:
            return
        finally:
            self._health.ended("intake")

    def _interval(self) -> float:
        return SWEEP_S if self._modem.notifies else SWEEP_WITHOUT_NEWS_S

    async def _news(self, until: float) -> list[News]:
        """Everything that is new, waiting for it if need be; nothing once it is time to sweep."""
        try:
            async with asyncio.timeout_at(until):
                news = [await self._modem.next_news()]
        except TimeoutError:
            return []
        while (more := self._modem.news_at_hand()) is not None:
            news.append(more)
        return news

    async def _follow(self, news: list[News]) -> bool:
        """Look where the news point; True where only a sweep tells the truth."""
        sweep = False
        slots: dict[Slot, None] = {}
        for item in news:
            match item:
                case Arrived(slot) | ReportStored(slot):
                    slots[slot] = None
                case Direct(message, acknowledge):
                    kept = await self._keep(message)
                    await acknowledge()
                    self._say(kept)
                case StoreFull():
                    self._tell(Step("store full", "draining it", weight=Weight.WARNING))
                    sweep = True
                case Restarted(line):
                    # Its settings are gone, and whatever is sent now may be misread: begin anew.
                    self._tell(Step("module restarted", line, weight=Weight.WARNING))
                    self._modem.close()
                case RegistrationChanged(registration):
                    self._tell(Step("registration", str(registration)))
        found = [stored for slot in slots if (stored := await self._modem.read(slot)) is not None]
        if len(found) < len(slots):
            sweep = True
        for each in sorted(found, key=lambda each: each.order):
            await self._take(each)
        return sweep

    async def _drain(self) -> None:
        """Sweep until nothing is left to take: space in a full store lets the network send more."""
        while messages := await self._modem.sweep():
            freed = 0
            for message in messages:
                freed += await self._take(message)
            if not freed:
                return

    async def _take(self, message: StoredMessage) -> bool:
        """Commit, then delete: this slot only, and only now. True where the slot is free after it."""
        kept = await self._keep(message)
        self._say(kept)
        return message.slot is not None and await self._delete(message.slot, message.raw)

    async def _keep(self, message: StoredMessage) -> Kept:
        slot = None if message.slot is None else (message.slot.store, message.slot.index)
        kept = await self._skin.run(
            self._inbox.keep, slot, message.raw, lambda memory: self._classify(message, memory)
        )
        self._journal_failed = False
        if kept.outcome in (Outcome.NEW, Outcome.REPORT):
            self._received()
        return kept

    def _classify(self, message: StoredMessage, memory: Inbox) -> Received:
        """What it is. One message must never stop the others, whatever pure code makes of it."""
        if isinstance(message.message, Undecodable):
            return Stray(f"cannot be read: {message.message.reason}", None, None)
        try:
            return receive(message.message, message.raw, self._service, memory)
        except Exception as error:  # noqa: BLE001  (quarantine: the message is kept raw, the rest goes on)
            return Stray(f"cannot be read: {error}", None, None)

    async def _delete(self, slot: Slot, raw: str) -> bool:
        """Delete one index. Without a result the slot is read again before anything else is done to it."""
        for _ in range(3):
            try:
                await self._modem.delete(slot)
            except CommandRefused as error:
                self._tell(Step("not deleted", f"{slot}: {error}; it is kept and not run again"))
                return False
            except CommandTimedOut:
                there = await self._modem.read(slot)
                if there is not None and there.raw == raw:
                    continue
            self._inbox.free((slot.store, slot.index))
            return True
        return False

    def _say(self, kept: Kept) -> None:
        detail = kept.detail
        if kept.outcome is Outcome.DOUBLE and kept.command is not None:
            detail = f"delivery {kept.deliveries}, not run again"
        self._tell(
            Step(
                _WORDS[kept.outcome],
                detail,
                command=kept.command,
                sid=kept.sid,
                reply=kept.reply,
                content=kept.content,
                weight=Weight.DETAIL if kept.outcome is Outcome.KNOWN else Weight.NORMAL,
            )
        )

    def _say_journal(self, error: sqlite3.Error) -> None:
        """Once for each trouble: messages stay in the module until the journal can commit again."""
        if not self._journal_failed:
            self._journal_failed = True
            text = f"{error}; messages stay in the module until it can"
            self._tell(Step("journal cannot commit", text, weight=Weight.ERROR))
