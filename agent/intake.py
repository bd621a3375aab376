"""From the module into the journal. News is a hint, storage is the truth.

A notification says where to look; what is found there is committed before it is deleted. The sweep over
whole stores finds what no notification told of: at start, after a restart of the module, after a drain, and
now and then without any hint.
"""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections import deque
from collections.abc import Callable, Iterable

from agent.arrivals import Arrivals
from agent.at.error import CommandRefused, CommandTimedOut, ModemLost
from agent.health import Health
from agent.journal.inbox import Inbox
from agent.journal.rows import Kept, Outcome
from agent.journal.skin import COMMITS_AGAIN, Skin, cannot_commit, insist
from agent.modem.modem import Modem
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
from agent.modem.stored import Slot, StoredMessage, Undecodable
from agent.service.message import Received, Stray
from agent.service.profile import ServiceProfile
from agent.service.receive import Memory, receive
from agent.story import Step, Tell, Weight

SWEEP_S = 300.0
"""Between sweeps without a hint: what a lost notification can cost."""
SWEEP_WITHOUT_NEWS_S = 60.0
"""The same where the module sends no notifications at all."""
EARLY_S = 5.0
"""Some modules tell of a message before it is there; then it is looked for once more."""
JOURNAL_S = 6.0
"""A journal that could not commit is asked again after this."""
FILLING = 0.8
"""Of a store's capacity: from here on somebody should know of it."""
REFILL_S = 15.0
"""After a drain that made room: the network delivers what it held within seconds, perhaps without a word."""
STEP_S = 600.0
"""Longest time that listing a full store, or taking one message, may need before the watchdog worries: three
minutes, and before that the line may belong to a message that is being sent, for six and more."""


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
        others: Callable[[], str] = lambda: "",
        *,
        run_first: bool = True,
    ) -> None:
        """`received` is called after each commit that may have made work for others.

        `others` tells in a sentence who else may be on the port and what to do; it may block.
        `run_first`: whether Commands that the module holds at the first start of a journal are carried out.
        """
        self._modem = modem
        self._skin = skin
        self._inbox = inbox
        self._service = service
        self._tell = tell
        self._health = health
        self._received = received
        self._others = others
        self._run_first = run_first
        self._arrivals = Arrivals(tell, run_first=run_first)
        self._journal_failed = False
        self._news: deque[News] = deque()
        """What was told and not yet dealt with."""
        self._sweep_at = 0.0
        self._early: set[Slot] = set()
        """Slots that were told of and had nothing."""
        self._freed: set[Slot] = set()
        """Slots that the last sweep has emptied: their notifications may still come."""
        self._filling: set[str] = set()
        """Stores that were said to fill up."""

    async def run(self) -> None:
        """Receive until the session ends. A command without an answer, twice in a row, ends it."""
        loop = asyncio.get_running_loop()
        silences = 0
        try:
            while True:
                try:
                    await self._look()
                    silences = 0
                except CommandTimedOut as error:
                    silences += 1
                    self._tell(Step("silence", str(error), weight=Weight.WARNING))
                    if silences == 2:
                        self._modem.close("two commands in a row had no answer")
                    self._sweep_at = loop.time()  # nobody knows what there was to be taken
                except CommandRefused as error:
                    silences = 0
                    self._arrivals.refused(error)
                    self._sweep_at = loop.time() + SWEEP_WITHOUT_NEWS_S
                except sqlite3.Error as error:
                    self._say_journal(error)
                    await self._modem.wait(asyncio.Event(), JOURNAL_S)
                    self._sweep_at = loop.time()
        except ModemLost:
            await self._last()
        finally:
            self._health.ended("intake")

    async def _look(self) -> None:
        """Once: sweep when it is time for it, else wait for news and follow them."""
        loop = asyncio.get_running_loop()
        if loop.time() >= self._sweep_at:
            self._health.within("intake", STEP_S)
            self._freed.clear()
            await self._drain()
            told = self._modem.notifies and not self._modem.doubts
            pause = SWEEP_S if told else SWEEP_WITHOUT_NEWS_S
            pause = REFILL_S if self._filling and self._freed else pause
            self._sweep_at = loop.time() + (EARLY_S if self._early - self._freed else pause)
            self._early.clear()
        if not self._news:
            self._health.within("intake", self._sweep_at - loop.time() + STEP_S)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout_at(self._sweep_at):
                    self._news.append(await self._modem.next_news())
        self._gather()
        self._health.within("intake", STEP_S)
        await self._follow()

    def _gather(self) -> None:
        """Everything that the module has told so far: a burst is followed at once."""
        while (news := self._modem.news_at_hand()) is not None:
            self._news.append(news)

    async def _follow(self) -> None:
        """Look where the news point. What was handed over stays with us until it is committed."""
        slots: dict[Slot, None] = {}
        while self._news:
            match self._news[0]:
                case Arrived(slot) | ReportStored(slot):
                    slots[slot] = None
                case Direct(message, acknowledge):
                    kept = await self._keep(message)
                    self._news.popleft()
                    self._arrivals.told(kept)
                    await acknowledge()
                    continue
                case StoreFull():
                    self._tell(Step("store full", "draining it", weight=Weight.WARNING))
                    self._sweep_at = 0.0
                case Restarted(line):
                    # Its settings are gone, and whatever is sent now may be misread: begin anew.
                    self._arrivals.restarted(line)
                    self._modem.close("the module is to be set up again")
                case Disturbed(sign):
                    await self._say_disturbed(sign)
                case RegistrationChanged(registration):
                    self._tell(Step("registration", str(registration)))
            self._news.popleft()
        for each in sorted(await self._read(slots), key=lambda each: each.order):
            await self._take(each)

    async def _read(self, slots: Iterable[Slot]) -> list[StoredMessage]:
        """What stands in these slots; where one holds nothing, only a sweep tells the truth."""
        loop = asyncio.get_running_loop()
        found = []
        for slot in slots:
            self._health.within("intake", STEP_S)
            try:
                stored = await self._modem.read(slot)
            except CommandRefused as error:
                self._arrivals.refused(error)
                self._sweep_at = min(self._sweep_at, loop.time() + SWEEP_WITHOUT_NEWS_S)
                continue
            if stored is None:
                self._sweep_at = 0.0
                if slot.index >= 0 and slot not in self._freed:
                    self._early.add(slot)
                self._freed.discard(slot)
            else:
                found.append(stored)
        return found

    async def _last(self) -> None:
        """The line is gone: what was handed over before has no second copy and is committed all the same."""
        self._health.ended("intake")
        self._gather()
        for news in self._news:
            if isinstance(news, Direct):
                self._arrivals.told(await insist(self._skin, self._tell, self._commit, news.message))
            elif isinstance(news, Disturbed):  # most likely it is why the line is gone
                await self._say_disturbed(news.sign)

    async def _drain(self) -> None:
        """Sweep until nothing is left to take: space in a full store lets the network send more."""
        first = not self._inbox.swept
        gone: set[tuple[Slot | None, str]] = set()
        filling = False
        while messages := await self._modem.sweep():
            filling = self._is_filling(messages) or filling
            if first:
                self._arrivals.found(
                    [message for message in messages if (message.slot, message.raw) not in gone]
                )
            freed = 0
            for message in messages:
                here = (message.slot, message.raw)
                if here in gone:
                    continue  # the module only says that it deletes: the next sweep tries again
                if await self._take(message, run=self._run_first or not first):
                    gone.add(here)
                    freed += 1
                    if message.slot is not None:
                        self._freed.add(message.slot)
            if not freed:
                break
        if not filling:
            self._filling.clear()
        if first and not self._modem.restarted:
            await self._skin.run(self._inbox.note_swept)

    def _is_filling(self, messages: list[StoredMessage]) -> bool:
        """Whether a store is nearly full; warns of it once, until a drain finds it with room again."""
        filling = False
        for store, _, capacity in self._modem.condition.capacity:
            held = sum(message.slot is not None and message.slot.store == store for message in messages)
            if held and held >= FILLING * capacity:
                filling = True
                if store not in self._filling:
                    self._filling.add(store)
                    holds = f"{store} holds {held} of {capacity}"
                    self._tell(Step("store filling", holds, weight=Weight.WARNING))
        return filling

    async def _take(self, message: StoredMessage, *, run: bool = True) -> bool:
        """Commit, then delete: this slot only, and only now. True where the slot is free after it."""
        self._health.within("intake", STEP_S)
        kept = await self._keep(message, run=run)
        self._arrivals.told(kept)
        return message.slot is not None and await self._delete(message.slot, message.raw)

    async def _keep(self, message: StoredMessage, *, run: bool = True) -> Kept:
        kept = await self._skin.run(self._commit, message, run=run)
        if self._journal_failed:
            self._journal_failed = False
            self._tell(COMMITS_AGAIN)
        if kept.outcome in (Outcome.NEW, Outcome.REPORT):
            self._received()
        return kept

    def _commit(self, message: StoredMessage, *, run: bool = True) -> Kept:
        slot = None if message.slot is None else (message.slot.store, message.slot.index)
        return self._inbox.keep(slot, message.raw, lambda memory: self._classify(message, memory), run=run)

    def _classify(self, message: StoredMessage, memory: Memory) -> Received:
        """What it is. One message must never stop the others, whatever pure code makes of it."""
        if isinstance(message.message, Undecodable):
            return Stray(f"cannot be read: {message.message.reason}", None, None)
        try:
            return receive(message.message, message.raw, self._service, memory)
        except sqlite3.Error:
            raise  # a fault of the disk, not of the message
        except (OSError, MemoryError):
            raise  # and here of the host: the message stays in the module until another session reads it
        except Exception as error:  # noqa: BLE001  (quarantine: the message is kept raw, the rest goes on)
            return Stray(f"cannot be read: {error}", None, None)

    async def _delete(self, slot: Slot, raw: str) -> bool:
        """Delete one index. Without a result the slot is read again before anything else is done to it."""
        for _ in range(3):
            try:
                await self._modem.delete(slot)
            except CommandRefused as error:
                kept = f"{slot}: {error}; it is kept and not run again"
                self._tell(Step("not deleted", kept, weight=Weight.WARNING))
                return False
            except CommandTimedOut:
                there = await self._modem.read(slot)
                if there is not None and there.raw == raw:
                    continue
            self._inbox.free((slot.store, slot.index))
            return True
        return False

    async def _say_disturbed(self, sign: str) -> None:
        """Once a session; whoever looks for the other one looks into the processes, which may block."""
        who = await self._skin.run(self._others)
        text = f"another program seems to use the module's port: {sign}; {who}"
        self._tell(Step("disturbed", text, weight=Weight.WARNING))

    def _say_journal(self, error: sqlite3.Error) -> None:
        """Once for each trouble: messages stay in the module until the journal can commit again."""
        if not self._journal_failed:
            self._journal_failed = True
            self._tell(cannot_commit(error))
