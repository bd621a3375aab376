"""The message stores of a module: list, read, delete.

Selecting a store and using it happen within one exclusive access. A store that cannot be listed is read slot
by slot. A message that looks damaged is read until it reads the same twice.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

from agent.at.client import AtClient, ExclusiveAccess, Response
from agent.at.command import AtCommand
from agent.at.error_codes import EMPTY_SLOT_ERRORS, MEMORY_FAILURE_ERRORS, SIM_ERRORS, ErrorKind
from agent.at.errors import CommandRefused, CommandTimedOut
from agent.at.events import Information
from agent.at.parameters import ParameterValues, parse_values
from agent.modem.at_commands import read_command, set_command
from agent.modem.message_format import MessageFormat, PduFormat
from agent.modem.settings import SettingsHolder
from agent.modem.store_command import select_store
from agent.modem.stored_message import REPORT_STORE, Slot, StoredMessage, Undecodable
from agent.modem.text_mode_codec import decode_setting

_log = logging.getLogger("modem-agent.modem")

DELETE_TIMEOUT_S = 30.0
"""SIM7000 and SIM7080 allow 25 s."""
MAX_READS = 5
"""Reads of a message that reads differently each time, before it is left for the next sweep."""
SECONDARY_STORE_INTERVAL_S = 3600.0
"""Interval between two reads of the secondary stores. Some modules write the selected store to flash (A76xx,
EC2x); after a notification, or when a store is full, secondary stores are read at once anyway."""

RESCAN_INTERVAL_S = 3600.0
"""Time until a store that cannot be listed is read slot by slot again, if the last scan found nothing and
the module still reports the same number of messages."""
FAILED_SCAN_RETRY_S = 600.0
"""Time until the next scan, if the module reports messages and no slot could be read."""
DEFAULT_SLOTS = 50
"""The slots to scan if the module does not report their number: most SIMs have 50."""
MAX_SLOTS = 1000
"""The limit of slots to scan."""

_PDU_FORMAT = PduFormat()


class MessageStore:
    """Lists, reads and deletes the received messages of one module."""

    def __init__(self, *, client: AtClient, settings: SettingsHolder, message_format: MessageFormat) -> None:
        self._client = client
        self._settings = settings
        self._format = message_format
        self._secondary_stores_due_at = 0.0
        self._scheduled_stores: set[str] = set()
        self._looks_everywhere = False
        """True if the next sweep reads every readable store: a notification named the wrong place."""
        self._looks_for_report = False
        """True if a status report is among what was announced so."""
        self._damaged_stores: set[str] = set()
        """The stores with an entry that could not be parsed: the next sweep reads them again."""
        self._miscounts_length = False
        """True if the module is known to count <length> in its own way."""
        self._scan_results: dict[str, _ScanResult] = {}
        """The last scan of each store, if it found nothing."""
        self.has_unlistable_store = False
        """True if a store could not be listed in the last sweep."""

    def schedule(self, store: str) -> None:
        """Include this store in the next sweep."""
        if store in self._settings.current.secondary_stores:
            self._scheduled_stores.add(store)
        elif store != self._settings.current.store:
            self.schedule_all()

    def schedule_all(self) -> None:
        """Include all stores in the next sweep."""
        self._secondary_stores_due_at = 0.0
        self._scan_results.clear()

    def look_everywhere(self, *, for_report: bool = False) -> None:
        """Include every readable store in the next sweep; report stores first, if a report was announced."""
        self.schedule_all()
        self._looks_everywhere = True
        self._looks_for_report = self._looks_for_report or for_report

    async def sweep(self, store: str | None = None) -> list[StoredMessage]:
        """Return the received messages, ordered by service centre timestamp, then by slot.

        `store` limits the sweep to one store; None means every store that is due. An entry that cannot be
        read does not prevent others from being returned. Raises CommandRefused, CommandTimedOut, ModemLost.
        """
        settings = self._settings.current
        if not settings.has_stores:
            return []
        now = asyncio.get_running_loop().time()
        primary = settings.store
        stores = self._due_stores() if store is None else [store]
        found: list[StoredMessage] = []
        self._damaged_stores.clear()
        self.has_unlistable_store = False
        async with self._client.exclusive() as access:
            for name in stores:
                try:
                    found += await self._read_store(access, name)
                except CommandRefused as error:
                    if name == (primary if store is None else store):
                        raise
                    _log.info("store %s cannot be read: %s", name, error)
            if self._settings.current.selected_store != primary:
                await self._select_store(access, primary)
        if store is None:
            self._looks_everywhere = self._looks_for_report = False
            if now >= self._secondary_stores_due_at:
                self._secondary_stores_due_at = now + SECONDARY_STORE_INTERVAL_S
            # Deleting messages of a secondary store frees slots, into which more messages may arrive.
            self._scheduled_stores = self._damaged_stores | {
                message.slot.store for message in found if message.slot is not None
            }
            self._scheduled_stores -= {primary}
        return sorted(found, key=lambda message: message.sort_key)

    async def read(self, slot: Slot) -> StoredMessage | None:
        """Return the received message in a slot, None if there is none.

        Raises CommandRefused, CommandTimedOut, ModemLost.
        """
        if slot.index < 0:
            return None
        async with self._client.exclusive() as access:
            try:
                return await self._read_consistently(access, await self._read_slot(access, slot))
            except CommandRefused as error:
                if error.kind is not ErrorKind.PLAIN:
                    raise
            # A plain ERROR may mean that the slot is empty. The list of the store shows it.
            listed = await self._read_store(access, slot.store)
        return next((message for message in listed if message.slot == slot), None)

    async def delete(self, slot: Slot) -> None:
        """Delete the message in one slot. An empty slot counts as deleted.

        Raises CommandRefused, ModemLost, and CommandTimedOut if the result is unknown: read the slot again
        then.
        """
        async with self._client.exclusive() as access:
            await self._select_store(access, slot.store)
            try:
                await self._exchange(access, AtCommand(f"AT+CMGD={slot.index}", DELETE_TIMEOUT_S))
            except CommandRefused as error:
                if not error.is_one_of(EMPTY_SLOT_ERRORS):
                    raise

    def _due_stores(self) -> list[str]:
        """Return the stores of the next sweep in the order in which they are read."""
        settings = self._settings.current
        if self._looks_everywhere:
            stores = [settings.store, *settings.secondary_stores, *settings.other_stores]
            if self._looks_for_report:
                return sorted(stores, key=lambda name: name != REPORT_STORE)
            return [name for name in stores if name != REPORT_STORE or name in settings.secondary_stores]
        if asyncio.get_running_loop().time() >= self._secondary_stores_due_at:
            return [settings.store, *settings.secondary_stores]
        return [settings.store, *sorted(self._scheduled_stores)]

    # Within exclusive access

    async def _read_store(self, access: ExclusiveAccess, store: str) -> list[StoredMessage]:
        """List a store, or read it slot by slot if listing is refused.

        Each sweep tries the list first, because a module may refuse it for a while only. An error of the SIM
        is raised, since it would prevent reading, too.
        """
        await self._select_store(access, store)
        try:
            return await self._list_store(access, store)
        except CommandRefused as error:
            if error.is_one_of(SIM_ERRORS):
                raise
            self.has_unlistable_store = True
            return await self._scan_slots(access, store, error)

    async def _list_store(self, access: ExclusiveAccess, store: str) -> list[StoredMessage]:
        used_format, response = await self._exchange_with_pdu_fallback(
            access, lambda message_format: message_format.cmgl_command()
        )
        entries = [used_format.parse_list_entry(line, store) for line in response.information]
        lacks_payload = used_format.cmgf == 0 and any(isinstance(entry, Slot) for entry in entries)
        is_doubtful = response.is_doubtful or lacks_payload
        if is_doubtful or any(parse_values(line.text).get(0).number is None for line in response.information):
            self._damaged_stores.add(store)
        if is_doubtful:  # a payload may be that of another entry: each slot is read alone
            entries = [entry.slot if isinstance(entry, StoredMessage) else entry for entry in entries]
        found: dict[Slot, StoredMessage] = {}
        for entry in entries:
            message = await self._resolve_list_entry(access, entry)
            if message is None or message.slot is None:
                continue
            if message.slot in found:  # a digit of an index was lost: read the slot to get its real message
                message = await self._read_slot(access, message.slot)
            if (
                message := await self._read_consistently(access, message)
            ) is not None and message.slot is not None:
                found[message.slot] = message
        return list(found.values())

    async def _scan_slots(
        self, access: ExclusiveAccess, store: str, refusal: CommandRefused
    ) -> list[StoredMessage]:
        """Read slot by slot until as many messages were found as +CPMS? reports.

        Modules differ in how they answer for an empty slot; some answer with a plain ERROR. If no slot could
        be read although there are messages, `refusal` is raised, which is the error of the list.
        """
        used, total = await self._read_usage(access, store)
        now = asyncio.get_running_loop().time()
        last = self._scan_results.get(store)
        if last is not None and last.used == used and now < last.valid_until:
            if last.refusal is not None:
                raise last.refusal
            return []
        found: list[StoredMessage] = []
        seen, any_slot_answered = 0, False
        for index in range(total + 1):  # some count from 0, most from 1
            if seen == used:
                break
            try:
                used_format, response = await self._exchange_with_pdu_fallback(
                    access, _cmgr_command_for(index)
                )
            except CommandRefused as error:
                if error.is_one_of(SIM_ERRORS):
                    raise
                any_slot_answered = any_slot_answered or error.is_one_of(EMPTY_SLOT_ERRORS)
                continue
            any_slot_answered = True
            if not response.information or not _is_occupied(response.information[0]):
                continue
            seen += 1
            message = await self._read_consistently(
                access, _parse_slot(used_format, response, Slot(store, index))
            )
            if message is not None:
                found.append(message)
        self._scan_results.pop(store, None)
        failed = not any_slot_answered and bool(used)
        if not found and used != 0:
            until = now + (FAILED_SCAN_RETRY_S if failed else RESCAN_INTERVAL_S)
            self._scan_results[store] = _ScanResult(used, until, refusal if failed else None)
        if failed:
            raise refusal
        return found

    async def _read_usage(self, access: ExclusiveAccess, store: str) -> tuple[int | None, int]:
        """Return how many messages the selected store holds, None if unknown, and how many slots it has."""
        try:
            values = parse_values((await self._exchange(access, read_command("+CPMS"))).text)
        except CommandRefused:
            values = ParameterValues()
        position = next(
            (at for at in range(0, len(values), 3) if decode_setting(values.get(at).text).upper() == store), 0
        )
        used, total = values.get(position + 1).number, values.get(position + 2).number
        return used, min(total or DEFAULT_SLOTS, MAX_SLOTS)

    async def _exchange_with_pdu_fallback(
        self, access: ExclusiveAccess, make_command: Callable[[MessageFormat], AtCommand]
    ) -> tuple[MessageFormat, Response]:
        """Send a command in the format in use, or in PDU mode for a message that text mode cannot show.

        Returns the format that was used and the response, which has no information for an empty slot.
        """
        try:
            return self._format, await self._exchange(access, make_command(self._format))
        except CommandRefused as error:
            if error.is_one_of(EMPTY_SLOT_ERRORS):
                return self._format, Response()
            if not error.is_one_of(MEMORY_FAILURE_ERRORS) or self._format.cmgf == _PDU_FORMAT.cmgf:
                raise
        await self._exchange(access, set_command(f"AT+CMGF={_PDU_FORMAT.cmgf}"))
        try:
            return _PDU_FORMAT, await self._exchange(access, make_command(_PDU_FORMAT))
        finally:
            await self._exchange(access, set_command(f"AT+CMGF={self._format.cmgf}"))

    async def _resolve_list_entry(
        self, access: ExclusiveAccess, entry: StoredMessage | Slot | None
    ) -> StoredMessage | None:
        """Return the message of a list entry, and read its slot if the format requires that."""
        if not isinstance(entry, Slot):
            return entry
        try:
            return await self._read_slot(access, entry)
        except CommandRefused as error:  # it stays in the store, because its content is unknown
            _log.warning("the message in %s cannot be read: %s", entry, error)
            return None

    async def _read_consistently(
        self, access: ExclusiveAccess, message: StoredMessage | None
    ) -> StoredMessage | None:
        """Read a damaged or doubtful message again until it reads the same twice: octets may get lost."""
        refusals = 0
        for _ in range(MAX_READS):
            if (
                message is None
                or message.slot is None
                or (not message.is_doubtful and (message.is_intact or self._has_only_wrong_length(message)))
            ):
                return message
            previous = message
            try:
                message = await self._read_slot(access, message.slot)
            except CommandRefused:
                refusals += 1
                continue
            if message == previous:
                if not message.is_intact:
                    self._miscounts_length = not isinstance(message.message, Undecodable)
                return message
        if message is None or message.slot is None or refusals == MAX_READS:
            return message
        self._damaged_stores.add(message.slot.store)
        return None  # its content is still unknown: the next sweep reads it again

    def _has_only_wrong_length(self, message: StoredMessage) -> bool:
        """Return True if only the length is wrong, on a module that counts it in its own way."""
        return self._miscounts_length and not isinstance(message.message, Undecodable)

    async def _read_slot(self, access: ExclusiveAccess, slot: Slot) -> StoredMessage | None:
        await self._select_store(access, slot.store)
        used_format, response = await self._exchange_with_pdu_fallback(access, _cmgr_command_for(slot.index))
        return _parse_slot(used_format, response, slot)

    async def _select_store(self, access: ExclusiveAccess, store: str) -> None:
        """Make a store <mem1>, on which list, read and delete operate."""
        if store != self._settings.current.selected_store and self._settings.current.store:
            await select_store(
                partial(self._exchange, access), self._settings, store, self._settings.current.store
            )
            self._settings.set_selected_store(store)

    async def _exchange(self, access: ExclusiveAccess, command: AtCommand) -> Response:
        try:
            return await access.exchange(command)
        except CommandTimedOut:
            self._settings.set_selected_store(
                None
            )  # the module may have restarted with another store selected
            raise


@dataclass(frozen=True, slots=True)
class _ScanResult:
    """A scan of a store that found no message."""

    used: int | None
    """The number of messages that the module reported."""
    valid_until: float
    """The loop time until which the scan is not repeated."""
    refusal: CommandRefused | None
    """The error of the list, if no slot could be read."""


def _cmgr_command_for(index: int) -> Callable[[MessageFormat], AtCommand]:
    return lambda message_format: message_format.cmgr_command(index)


def _parse_slot(used_format: MessageFormat, response: Response, slot: Slot) -> StoredMessage | None:
    """Return the received message in the response to +CMGR, None if there is none."""
    if not response.information:
        return None
    message = used_format.parse_read_response(response.information[0], slot)
    return replace(message, is_doubtful=True) if message is not None and response.is_doubtful else message


def _is_occupied(line: Information) -> bool:
    """Return True if a slot holds any message, also an outgoing one. `+CMGR: 0,,0` shows an empty slot."""
    return bool(line.payload) or any(value.text not in {"", "0"} for value in parse_values(line.text))
