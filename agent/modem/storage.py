"""The stores of a module: list, read, delete. Choosing the store and using it are one turn."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass

from agent.at.channel import Channel, Turn
from agent.at.command import Answer, AtCommand
from agent.at.error import CommandRefused, CommandTimedOut
from agent.at.event import Information
from agent.at.parameters import Values, values
from agent.modem.card import blames
from agent.modem.commands import read, write
from agent.modem.formats import MessageFormat, PduFormat
from agent.modem.setup import Setup
from agent.modem.stored import Slot, StoredMessage, Undecodable

_log = logging.getLogger("modem-agent.modem")

SELECT_S = 10.0
DELETE_S = 30.0
"""SIM7000 and SIM7080 allow 25 s."""
READINGS = 5
"""Of a message that reads differently each time, before it is left for another sweep."""
OTHERS_S = 3600.0
"""Between visits to stores that messages do not arrive in. Choosing a store is written to flash by some
modules (A76xx, EC2x); a notification, or a full store, sends us there at once anyway."""

WALK_S = 3600.0
"""Before a store that cannot be listed is read slot by slot again, where that found nothing the last time and
the module tells of no other number of messages in it."""
BLIND_S = 600.0
"""The same where there is something and no slot could be read."""
UNTOLD = 50
"""Slots that are looked into where the module does not tell how many there are: what most SIMs have."""
MOST = 1000
"""Slots that are looked into at all."""

_EMPTY = {("cms", 321), ("cme", 21), ("cme", 22)}
"""Invalid index, not found: there is nothing in that slot."""
_NOT_SHOWN = ("cms", 320)
"""Memory failure: what is stored is no message that text mode has a form for."""
_PLAIN = PduFormat()


class Storage:
    """What arrives, and what may be deleted."""

    def __init__(self, channel: Channel, setup: Setup, message_format: MessageFormat) -> None:
        self._channel = channel
        self._setup = setup
        self._format = message_format
        self._visit_others_at = 0.0
        self._visit: set[str] = set()
        self._damaged: set[str] = set()
        """Stores of which something could not be understood: the next sweep looks again."""
        self._lengths_differ = False
        self._walks: dict[str, _Walk] = {}
        """The last in each store, where it found nothing."""
        self.unlisted = False
        """Whether a store could not be listed in the last sweep."""

    def visit(self, store: str) -> None:
        """Look into that store with the next sweep."""
        if store in self._setup.others:
            self._visit.add(store)
        elif store != self._setup.store:
            self.visit_all()

    def visit_all(self) -> None:
        """Look everywhere with the next sweep."""
        self._visit_others_at = 0.0
        self._walks.clear()

    async def sweep(self, store: str | None = None) -> list[StoredMessage]:
        """Every received message, ordered by service centre time stamp, then slot; `None`: in every store.

        One entry that cannot be read hides no other. Raises what `Channel.exchange` does.
        """
        if not self._setup.stores_messages:
            return []
        now = asyncio.get_running_loop().time()
        home = self._setup.store
        stores = [home if store is None else store]
        if store is None and now >= self._visit_others_at:
            stores += self._setup.others
        elif store is None:
            stores += sorted(self._visit)
        found: list[StoredMessage] = []
        self._damaged.clear()
        self.unlisted = False
        async with self._channel.turn() as turn:
            for name in stores:
                try:
                    found += await self._look(turn, name)
                except CommandRefused as error:
                    if name == stores[0]:
                        raise
                    _log.info("store %s cannot be looked at: %s", name, error)
            if self._setup.selected != home:
                await self._select(turn, home)
        if store is None:
            if now >= self._visit_others_at:
                self._visit_others_at = now + OTHERS_S
            # What is found elsewhere frees slots when it is deleted, and more may follow.
            self._visit = self._damaged | {each.slot.store for each in found if each.slot is not None}
            self._visit -= {home}
        return sorted(found, key=lambda message: message.order)

    async def read(self, slot: Slot) -> StoredMessage | None:
        """The received message in a slot, None where there is none. Raises what `Channel.exchange` does."""
        if slot.index < 0:
            return None
        async with self._channel.turn() as turn:
            try:
                return await self._surely(turn, await self._read(turn, slot))
            except CommandRefused as error:
                if error.kind != "error":
                    raise
            # A plain ERROR may mean that nothing is there. The whole list knows.
            listed = await self._look(turn, slot.store)
        return next((message for message in listed if message.slot == slot), None)

    async def delete(self, slot: Slot) -> None:
        """Delete one message: this index and no other. An empty slot is as good as deleted.

        Raises CommandTimedOut where nobody knows whether it is gone: read it again before anything else.
        """
        async with self._channel.turn() as turn:
            await self._select(turn, slot.store)
            try:
                await self._exchange(turn, AtCommand(f"AT+CMGD={slot.index}", DELETE_S))
            except CommandRefused as error:
                if (error.kind, error.code) not in _EMPTY:
                    raise

    # Inside a turn

    async def _look(self, turn: Turn, store: str) -> list[StoredMessage]:
        """What stands in a store: as it is listed, or slot by slot where that is refused.

        Nothing of that is remembered: a module that lists later is believed. A SIM that is in the way is in
        the way of reading, too.
        """
        await self._select(turn, store)
        try:
            return await self._list(turn, store)
        except CommandRefused as error:
            if blames(error):
                raise
            self.unlisted = True
            return await self._walk(turn, store, error)

    async def _list(self, turn: Turn, store: str) -> list[StoredMessage]:
        spoken, response = await self._shown(turn, lambda spoken: spoken.list_messages())
        found: dict[Slot, StoredMessage] = {}
        for line in response:
            if values(line.text).at(0).number is None:
                self._damaged.add(store)
                continue
            message = await self._listed(turn, spoken.listed(line, store))
            if message is None or message.slot is None:
                continue
            if message.slot in found:  # a digit of an index was lost: what lies where, reading tells
                message = await self._read(turn, message.slot)
            if (message := await self._surely(turn, message)) is not None and message.slot is not None:
                found[message.slot] = message
        return list(found.values())

    async def _walk(self, turn: Turn, store: str, refusal: CommandRefused) -> list[StoredMessage]:
        """Read slot by slot until as many were seen as the module says that it holds.

        What an empty slot is answered with differs, a plain ERROR among it. Where nothing could be read
        although there is something, that is what `refusal` says, which is raised then.
        """
        used, total = await self._held(turn, store)
        now = asyncio.get_running_loop().time()
        last = self._walks.get(store)
        if last is not None and last.used == used and now < last.until:
            if last.refusal is not None:
                raise last.refusal
            return []
        found: list[StoredMessage] = []
        seen, looked = 0, False
        for index in range(total + 1):  # some count from 0, most from 1
            if seen == used:
                break
            try:
                spoken, response = await self._shown(turn, _reading(index))
            except CommandRefused as error:
                if blames(error):
                    raise
                looked = looked or nothing_there(error)
                continue
            looked = True
            if not response or not _occupied(response[0]):
                continue
            seen += 1
            message = await self._surely(turn, spoken.read(response[0], Slot(store, index)))
            if message is not None:
                found.append(message)
        self._walks.pop(store, None)
        blind = not looked and bool(used)
        if not found and used != 0:
            until = now + (BLIND_S if blind else WALK_S)
            self._walks[store] = _Walk(used, until, refusal if blind else None)
        if blind:
            raise refusal
        return found

    async def _held(self, turn: Turn, store: str) -> tuple[int | None, int]:
        """How many messages the chosen store holds, None where that is not told; how many slots it has."""
        try:
            response = await self._exchange(turn, read("+CPMS"))
        except CommandRefused:
            response = ()
        told = values(response[0].text) if response else Values()
        at = next((at for at in range(0, len(told), 3) if told.at(at).text.upper() == store), 0)
        used, total = told.at(at + 1).number, told.at(at + 2).number
        return used, min(total or UNTOLD, MOST)

    async def _shown(
        self, turn: Turn, command: Callable[[MessageFormat], AtCommand]
    ) -> tuple[MessageFormat, tuple[Information, ...]]:
        """What the module shows, and in which format: what text mode cannot show, PDU mode can."""
        try:
            return self._format, await self._exchange(turn, command(self._format))
        except CommandRefused as error:
            if (error.kind, error.code) in _EMPTY:
                return self._format, ()
            if (error.kind, error.code) != _NOT_SHOWN or self._format.code == _PLAIN.code:
                raise
        await self._exchange(turn, write(f"AT+CMGF={_PLAIN.code}"))
        try:
            return _PLAIN, await self._exchange(turn, command(_PLAIN))
        finally:
            await self._exchange(turn, write(f"AT+CMGF={self._format.code}"))

    async def _listed(self, turn: Turn, entry: StoredMessage | Slot | None) -> StoredMessage | None:
        """The message of a list entry, read by itself where the format wants that."""
        if not isinstance(entry, Slot):
            return entry
        try:
            return await self._read(turn, entry)
        except CommandRefused as error:  # left where it is: nothing of it was seen
            _log.warning("the message in %s cannot be read: %s", entry, error)
            return None

    async def _surely(self, turn: Turn, message: StoredMessage | None) -> StoredMessage | None:
        """Octets get lost on the line: what is not sound is read again, until it reads the same twice."""
        refusals = 0
        for _ in range(READINGS):
            if message is None or message.slot is None or message.sound or self._counts_otherwise(message):
                return message
            before = message
            try:
                message = await self._read(turn, message.slot)
            except CommandRefused:
                refusals += 1
                continue
            if message == before:
                self._lengths_differ = not isinstance(message.message, Undecodable)
                return message
        if message is None or message.slot is None or refusals == READINGS:
            return message
        self._damaged.add(message.slot.store)
        return None  # nothing is known of it yet: the next sweep looks again

    def _counts_otherwise(self, message: StoredMessage) -> bool:
        """Whether only the length is wrong, on a module that counts it in its own way."""
        return self._lengths_differ and not isinstance(message.message, Undecodable)

    async def _read(self, turn: Turn, slot: Slot) -> StoredMessage | None:
        await self._select(turn, slot.store)
        spoken, response = await self._shown(turn, _reading(slot.index))
        return spoken.read(response[0], slot) if response else None

    async def _select(self, turn: Turn, store: str) -> None:
        """Make a store <mem1>, which is what list, read and delete work on."""
        if store != self._setup.selected and self._setup.store:
            await self._exchange(turn, AtCommand(f'AT+CPMS="{store}"', SELECT_S, (Answer("+CPMS"),)))
            self._setup.selected = store

    async def _exchange(self, turn: Turn, command: AtCommand) -> tuple[Information, ...]:
        try:
            return (await turn.exchange(command)).information
        except CommandTimedOut:
            self._setup.selected = None  # it may have restarted, with another store chosen
            raise


@dataclass(frozen=True, slots=True)
class _Walk:
    """One that found nothing."""

    used: int | None
    """What the module said that it holds."""
    until: float
    """Before then it is not done again."""
    refusal: CommandRefused | None
    """Why nothing could be read, where it was so."""


def nothing_there(error: CommandRefused) -> bool:
    """Whether a slot was not shown because it holds nothing."""
    return (error.kind, error.code) in _EMPTY


def _reading(index: int) -> Callable[[MessageFormat], AtCommand]:
    return lambda spoken: spoken.read_message(index)


def _occupied(line: Information) -> bool:
    """Whether a slot holds something, be it our own: some show an empty one as `+CMGR: 0,,0`."""
    return bool(line.payload) or any(value.text not in {"", "0"} for value in values(line.text))
