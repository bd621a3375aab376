"""The stores of a module: list, read, delete. Choosing the store and using it are one turn."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass

from agent.at.client import AtClient, ExclusiveAccess
from agent.at.command import AtCommand, ResponsePattern
from agent.at.error_codes import EMPTY_SLOT_ERRORS, MEMORY_FAILURE_ERRORS, ErrorKind
from agent.at.errors import CommandRefused, CommandTimedOut
from agent.at.events import Information
from agent.at.parameters import ParameterValues, parse_values
from agent.modem.at_commands import read_command, set_command
from agent.modem.message_format import MessageFormat, PduFormat
from agent.modem.settings import ModemSettings
from agent.modem.sim import is_sim_error
from agent.modem.stored_message import Slot, StoredMessage, Undecodable

_log = logging.getLogger("modem-agent.modem")

SELECT_TIMEOUT_S = 10.0
DELETE_TIMEOUT_S = 30.0
"""SIM7000 and SIM7080 allow 25 s."""
MAX_READS = 5
"""Of a message that reads differently each time, before it is left for another sweep."""
SECONDARY_STORE_INTERVAL_S = 3600.0
"""Between visits to stores that messages do not arrive in. Choosing a store is written to flash by some
modules (A76xx, EC2x); a notification, or a full store, sends us there at once anyway."""

RESCAN_INTERVAL_S = 3600.0
"""Before a store that cannot be listed is read slot by slot again, where that found nothing the last time and
the module tells of no other number of messages in it."""
FAILED_SCAN_RETRY_S = 600.0
"""The same where there is something and no slot could be read."""
DEFAULT_SLOTS = 50
"""Slots that are looked into where the module does not tell how many there are: what most SIMs have."""
MAX_SLOTS = 1000
"""Slots that are looked into at all."""

_PDU_FORMAT = PduFormat()


class MessageStore:
    """What arrives, and what may be deleted."""

    def __init__(self, client: AtClient, settings: ModemSettings, message_format: MessageFormat) -> None:
        self._client = client
        self._settings = settings
        self._format = message_format
        self._secondary_stores_due_at = 0.0
        self._scheduled_stores: set[str] = set()
        self._damaged_stores: set[str] = set()
        """Stores of which something could not be understood: the next sweep looks again."""
        self._miscounts_length = False
        self._scan_results: dict[str, _ScanResult] = {}
        """The last in each store, where it found nothing."""
        self.has_unlistable_store = False
        """Whether a store could not be listed in the last sweep."""

    def schedule(self, store: str) -> None:
        """Look into that store with the next sweep."""
        if store in self._settings.secondary_stores:
            self._scheduled_stores.add(store)
        elif store != self._settings.store:
            self.schedule_all()

    def schedule_all(self) -> None:
        """Look everywhere with the next sweep."""
        self._secondary_stores_due_at = 0.0
        self._scan_results.clear()

    async def sweep(self, store: str | None = None) -> list[StoredMessage]:
        """Every received message, ordered by service centre time stamp, then slot; `None`: in every store.

        One entry that cannot be read hides no other. Raises what `Channel.exchange` does.
        """
        if not self._settings.has_stores:
            return []
        now = asyncio.get_running_loop().time()
        home = self._settings.store
        stores = [home if store is None else store]
        if store is None and now >= self._secondary_stores_due_at:
            stores += self._settings.secondary_stores
        elif store is None:
            stores += sorted(self._scheduled_stores)
        found: list[StoredMessage] = []
        self._damaged_stores.clear()
        self.has_unlistable_store = False
        async with self._client.exclusive() as turn:
            for name in stores:
                try:
                    found += await self._read_store(turn, name)
                except CommandRefused as error:
                    if name == stores[0]:
                        raise
                    _log.info("store %s cannot be looked at: %s", name, error)
            if self._settings.selected_store != home:
                await self._select_store(turn, home)
        if store is None:
            if now >= self._secondary_stores_due_at:
                self._secondary_stores_due_at = now + SECONDARY_STORE_INTERVAL_S
            # What is found elsewhere frees slots when it is deleted, and more may follow.
            self._scheduled_stores = self._damaged_stores | {
                each.slot.store for each in found if each.slot is not None
            }
            self._scheduled_stores -= {home}
        return sorted(found, key=lambda message: message.sort_key)

    async def read(self, slot: Slot) -> StoredMessage | None:
        """The received message in a slot, None where there is none. Raises what `Channel.exchange` does."""
        if slot.index < 0:
            return None
        async with self._client.exclusive() as turn:
            try:
                return await self._read_consistently(turn, await self._read_slot(turn, slot))
            except CommandRefused as error:
                if error.kind is not ErrorKind.PLAIN:
                    raise
            # A plain ERROR may mean that nothing is there. The whole list knows.
            listed = await self._read_store(turn, slot.store)
        return next((message for message in listed if message.slot == slot), None)

    async def delete(self, slot: Slot) -> None:
        """Delete one message: this index and no other. An empty slot is as good as deleted.

        Raises CommandTimedOut where nobody knows whether it is gone: read it again before anything else.
        """
        async with self._client.exclusive() as turn:
            await self._select_store(turn, slot.store)
            try:
                await self._exchange(turn, AtCommand(f"AT+CMGD={slot.index}", DELETE_TIMEOUT_S))
            except CommandRefused as error:
                if not error.is_one_of(EMPTY_SLOT_ERRORS):
                    raise

    # Inside a turn

    async def _read_store(self, turn: ExclusiveAccess, store: str) -> list[StoredMessage]:
        """What stands in a store: as it is listed, or slot by slot where that is refused.

        Nothing of that is remembered: a module that lists later is believed. A SIM that is in the way is in
        the way of reading, too.
        """
        await self._select_store(turn, store)
        try:
            return await self._list_store(turn, store)
        except CommandRefused as error:
            if is_sim_error(error):
                raise
            self.has_unlistable_store = True
            return await self._scan_slots(turn, store, error)

    async def _list_store(self, turn: ExclusiveAccess, store: str) -> list[StoredMessage]:
        spoken, response = await self._exchange_with_pdu_fallback(turn, lambda spoken: spoken.cmgl_command())
        found: dict[Slot, StoredMessage] = {}
        for line in response:
            if parse_values(line.text).get(0).number is None:
                self._damaged_stores.add(store)
                continue
            message = await self._resolve_list_entry(turn, spoken.parse_list_entry(line, store))
            if message is None or message.slot is None:
                continue
            if message.slot in found:  # a digit of an index was lost: what lies where, reading tells
                message = await self._read_slot(turn, message.slot)
            if (
                message := await self._read_consistently(turn, message)
            ) is not None and message.slot is not None:
                found[message.slot] = message
        return list(found.values())

    async def _scan_slots(
        self, turn: ExclusiveAccess, store: str, refusal: CommandRefused
    ) -> list[StoredMessage]:
        """Read slot by slot until as many were seen as the module says that it holds.

        What an empty slot is answered with differs, a plain ERROR among it. Where nothing could be read
        although there is something, that is what `refusal` says, which is raised then.
        """
        used, total = await self._read_usage(turn, store)
        now = asyncio.get_running_loop().time()
        last = self._scan_results.get(store)
        if last is not None and last.used == used and now < last.valid_until:
            if last.refusal is not None:
                raise last.refusal
            return []
        found: list[StoredMessage] = []
        seen, looked = 0, False
        for index in range(total + 1):  # some count from 0, most from 1
            if seen == used:
                break
            try:
                spoken, response = await self._exchange_with_pdu_fallback(turn, _cmgr_command_for(index))
            except CommandRefused as error:
                if is_sim_error(error):
                    raise
                looked = looked or is_empty_slot_error(error)
                continue
            looked = True
            if not response or not _is_occupied(response[0]):
                continue
            seen += 1
            message = await self._read_consistently(
                turn, spoken.parse_read_response(response[0], Slot(store, index))
            )
            if message is not None:
                found.append(message)
        self._scan_results.pop(store, None)
        blind = not looked and bool(used)
        if not found and used != 0:
            until = now + (FAILED_SCAN_RETRY_S if blind else RESCAN_INTERVAL_S)
            self._scan_results[store] = _ScanResult(used, until, refusal if blind else None)
        if blind:
            raise refusal
        return found

    async def _read_usage(self, turn: ExclusiveAccess, store: str) -> tuple[int | None, int]:
        """How many messages the chosen store holds, None where that is not told; how many slots it has."""
        try:
            response = await self._exchange(turn, read_command("+CPMS"))
        except CommandRefused:
            response = ()
        told = parse_values(response[0].text) if response else ParameterValues()
        at = next((at for at in range(0, len(told), 3) if told.get(at).text.upper() == store), 0)
        used, total = told.get(at + 1).number, told.get(at + 2).number
        return used, min(total or DEFAULT_SLOTS, MAX_SLOTS)

    async def _exchange_with_pdu_fallback(
        self, turn: ExclusiveAccess, make_command: Callable[[MessageFormat], AtCommand]
    ) -> tuple[MessageFormat, tuple[Information, ...]]:
        """What the module shows, and in which format: what text mode cannot show, PDU mode can."""
        try:
            return self._format, await self._exchange(turn, make_command(self._format))
        except CommandRefused as error:
            if error.is_one_of(EMPTY_SLOT_ERRORS):
                return self._format, ()
            if not error.is_one_of(MEMORY_FAILURE_ERRORS) or self._format.cmgf == _PDU_FORMAT.cmgf:
                raise
        await self._exchange(turn, set_command(f"AT+CMGF={_PDU_FORMAT.cmgf}"))
        try:
            return _PDU_FORMAT, await self._exchange(turn, make_command(_PDU_FORMAT))
        finally:
            await self._exchange(turn, set_command(f"AT+CMGF={self._format.cmgf}"))

    async def _resolve_list_entry(
        self, turn: ExclusiveAccess, entry: StoredMessage | Slot | None
    ) -> StoredMessage | None:
        """The message of a list entry, read by itself where the format wants that."""
        if not isinstance(entry, Slot):
            return entry
        try:
            return await self._read_slot(turn, entry)
        except CommandRefused as error:  # left where it is: nothing of it was seen
            _log.warning("the message in %s cannot be read: %s", entry, error)
            return None

    async def _read_consistently(
        self, turn: ExclusiveAccess, message: StoredMessage | None
    ) -> StoredMessage | None:
        """Octets get lost on the line: what is not sound is read again, until it reads the same twice."""
        refusals = 0
        for _ in range(MAX_READS):
            if (
                message is None
                or message.slot is None
                or message.is_intact
                or self._has_only_wrong_length(message)
            ):
                return message
            before = message
            try:
                message = await self._read_slot(turn, message.slot)
            except CommandRefused:
                refusals += 1
                continue
            if message == before:
                self._miscounts_length = not isinstance(message.message, Undecodable)
                return message
        if message is None or message.slot is None or refusals == MAX_READS:
            return message
        self._damaged_stores.add(message.slot.store)
        return None  # nothing is known of it yet: the next sweep looks again

    def _has_only_wrong_length(self, message: StoredMessage) -> bool:
        """Whether only the length is wrong, on a module that counts it in its own way."""
        return self._miscounts_length and not isinstance(message.message, Undecodable)

    async def _read_slot(self, turn: ExclusiveAccess, slot: Slot) -> StoredMessage | None:
        await self._select_store(turn, slot.store)
        spoken, response = await self._exchange_with_pdu_fallback(turn, _cmgr_command_for(slot.index))
        return spoken.parse_read_response(response[0], slot) if response else None

    async def _select_store(self, turn: ExclusiveAccess, store: str) -> None:
        """Make a store <mem1>, which is what list, read and delete work on."""
        if store != self._settings.selected_store and self._settings.store:
            await self._exchange(
                turn, AtCommand(f'AT+CPMS="{store}"', SELECT_TIMEOUT_S, (ResponsePattern("+CPMS"),))
            )
            self._settings.selected_store = store

    async def _exchange(self, turn: ExclusiveAccess, command: AtCommand) -> tuple[Information, ...]:
        try:
            return (await turn.exchange(command)).information
        except CommandTimedOut:
            self._settings.selected_store = None  # it may have restarted, with another store chosen
            raise


@dataclass(frozen=True, slots=True)
class _ScanResult:
    """One that found nothing."""

    used: int | None
    """What the module said that it holds."""
    valid_until: float
    """Before then it is not done again."""
    refusal: CommandRefused | None
    """Why nothing could be read, where it was so."""


def is_empty_slot_error(error: CommandRefused) -> bool:
    """Whether a slot was not shown because it holds nothing."""
    return error.is_one_of(EMPTY_SLOT_ERRORS)


def _cmgr_command_for(index: int) -> Callable[[MessageFormat], AtCommand]:
    return lambda spoken: spoken.cmgr_command(index)


def _is_occupied(line: Information) -> bool:
    """Whether a slot holds something, be it our own: some show an empty one as `+CMGR: 0,,0`."""
    return bool(line.payload) or any(value.text not in {"", "0"} for value in parse_values(line.text))
