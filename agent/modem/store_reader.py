"""Reads one store of a module: its list, its slots, and its number of messages.

Each method works within one exclusive access. A store that cannot be listed is read slot by slot. A message
that looks damaged is read until it reads the same twice.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from functools import partial

from agent.at.client import ExclusiveAccess, Response
from agent.at.command import AtCommand
from agent.at.error_codes import EMPTY_SLOT_ERRORS, MEMORY_FAILURE_ERRORS, SIM_ERRORS
from agent.at.errors import CommandRefused, CommandTimedOut, ModemLost
from agent.at.events import Information
from agent.at.parameters import ParameterValues, parse_values
from agent.modem.at_commands import read_command, set_command
from agent.modem.fresh_slots import FreshSlots
from agent.modem.message_format import MessageFormat, PduFormat
from agent.modem.settings import SettingsHolder
from agent.modem.silent_slots import SilentSlots
from agent.modem.store_command import select_store
from agent.modem.stored_message import Slot, StoredMessage, Undecodable
from agent.modem.text_mode_codec import decode_setting
from pdu.record import Record

_log = logging.getLogger("modem-agent.modem")

MAX_READS = 5
"""Reads of a message that reads differently each time, before it is left for the next sweep."""
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


class StoreReader:
    """Reads the stores of one module."""

    def __init__(
        self, *, settings: SettingsHolder, message_format: MessageFormat, silent_slots: SilentSlots
    ) -> None:
        self._settings = settings
        self._format = message_format
        self._silent_slots = silent_slots
        self._miscounts_length = False
        """True if the module is known to count <length> in its own way."""
        self._scan_results: dict[str, _ScanResult] = {}
        """The last scan of each store, if it found nothing."""
        self.fresh_slots = FreshSlots()
        self.damaged_stores: set[str] = set()
        """The stores of this sweep with an entry that could not be parsed."""
        self.has_unlistable_store = False
        """True if a store of this sweep could not be listed."""

    def begin_sweep(self) -> None:
        """Forget what the last sweep has found."""
        self.fresh_slots.clear()
        self.damaged_stores.clear()
        self.has_unlistable_store = False

    def mark_changed(self, slot: Slot) -> None:
        """Record that a slot, perhaps under another name of its store, may hold another message now."""
        self.fresh_slots.forget(slot)

    def forget_scans(self) -> None:
        """Scan stores again that cannot be listed."""
        self._scan_results.clear()

    async def read_store(self, access: ExclusiveAccess, store: str) -> list[StoredMessage]:
        """List a store, or read it slot by slot if listing is refused or shows too few entries.

        Each sweep tries the list first, because a module may refuse it for a while only. An error of the SIM
        is raised, since it would prevent reading, too.
        """
        await self.select_store(access, store)
        if self._silent_slots.is_unlistable(store, _now()):
            return await self._scan_slots(access, store, None)
        try:
            return await self._list_store(access, store)
        except CommandRefused as error:
            if error.is_one_of(SIM_ERRORS):
                raise
            self.has_unlistable_store = True
            return await self._scan_slots(access, store, error)

    async def _list_store(self, access: ExclusiveAccess, store: str) -> list[StoredMessage]:
        try:
            used_format, response = await self._exchange_with_pdu_fallback(
                access, lambda message_format: message_format.cmgl_command()
            )
        except (CommandTimedOut, ModemLost) as error:
            if not is_restart(error):
                self._silent_slots.record_list(store, _now())
                _log.warning("%s; store %s is read slot by slot for a while", error, store)
            raise
        entries = [used_format.parse_list_entry(line, store) for line in response.information]
        lacks_payload = used_format.cmgf == 0 and any(isinstance(entry, Slot) for entry in entries)
        is_doubtful = response.is_doubtful or lacks_payload
        indices = {parse_values(line.text).get(0).number for line in response.information} - {None}
        if is_doubtful or len(indices) < len(response.information):
            self.damaged_stores.add(store)
        if is_doubtful:  # a payload may be that of another entry: each slot is read alone
            entries = [entry.slot if isinstance(entry, StoredMessage) else entry for entry in entries]
        found: dict[Slot, StoredMessage] = {}
        for entry in entries:
            message = await self._resolve_list_entry(access, entry)
            if message is None or message.slot is None:
                continue
            if message.slot in found:  # a digit of an index was lost: read the slot to get its real message
                message = await self._read_once(access, message.slot)
            if (
                message := await self._read_consistently(access, message)
            ) is not None and message.slot is not None:
                found[message.slot] = message
        if store in self.damaged_stores:
            used, _ = await self.read_usage(access, store)
            if used is None or used > len(indices):  # the header of an entry is missing
                return await self._scan_slots(access, store, None)
        self.fresh_slots.add(found)
        return list(found.values())

    async def _scan_slots(
        self, access: ExclusiveAccess, store: str, refusal: CommandRefused | None
    ) -> list[StoredMessage]:
        """Read slot by slot until as many messages were found as +CPMS? reports.

        Modules differ in how they answer for an empty slot; some answer with a plain ERROR. If no slot could
        be read although there are messages, `refusal` is raised, which is the error of the list; None if it
        was not answered.
        """
        used, total = await self.read_usage(access, store)
        now = _now()
        last = self._scan_results.get(store)
        if last is not None and last.used == used and now < last.valid_until:
            if last.refusal is not None:
                raise last.refusal
            return []
        found: list[StoredMessage] = []
        silent = [slot for slot in self._silent_slots.skipped if slot.store == store]
        seen, any_slot_answered = 0, False
        slots = [Slot(store, index) for index in range(total + 1)]  # some count from 0, most from 1
        if self._silent_slots.is_unlistable(store, now):  # what came before the others silences the module
            slots.reverse()
        # A silent slot may be empty, too: octets may have been lost on the line.
        for slot in [*(slot for slot in slots if slot not in silent), *silent]:
            if slot in silent:
                if found or self._silent_slots.is_skipped(slot, now):
                    continue  # what was found is returned before a slot that may silence the module is read
            elif seen == used:
                continue
            try:
                used_format, response = await self._exchange_for_slot(access, slot)
            except (CommandTimedOut, ModemLost):
                if found:  # is committed first
                    return found
                raise
            except CommandRefused as error:
                if error.is_one_of(SIM_ERRORS):
                    raise
                any_slot_answered = any_slot_answered or error.is_one_of(EMPTY_SLOT_ERRORS)
                continue
            any_slot_answered = True
            if not response.information or not _is_occupied(response.information[0]):
                continue
            seen += 1
            message = await self._read_consistently(access, _parse_slot(used_format, response, slot))
            if message is not None:
                found.append(message)
                self.fresh_slots.add([slot])
        self._scan_results.pop(store, None)
        failed = refusal is not None and not any_slot_answered and bool(used)
        if not found and used != 0:
            until = now + (FAILED_SCAN_RETRY_S if failed else RESCAN_INTERVAL_S)
            until = min(until, self._silent_slots.next_retry_at)
            self._scan_results[store] = _ScanResult(used, until, refusal if failed else None)
        if failed and refusal is not None:
            raise refusal
        return found

    async def read_slot(self, access: ExclusiveAccess, slot: Slot) -> StoredMessage | None:
        """Return the received message in a slot, None if there is none. Raises CommandRefused."""
        return await self._read_consistently(access, await self._read_once(access, slot))

    async def read_usage(self, access: ExclusiveAccess, store: str) -> tuple[int | None, int]:
        """Return how many messages the selected store holds, None if unknown, and how many slots it has."""
        try:
            values = parse_values((await self.exchange(access, read_command("+CPMS"))).text)
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
            return self._format, await self.exchange(access, make_command(self._format))
        except CommandRefused as error:
            if error.is_one_of(EMPTY_SLOT_ERRORS):
                return self._format, Response()
            if not error.is_one_of(MEMORY_FAILURE_ERRORS) or self._format.cmgf == _PDU_FORMAT.cmgf:
                raise
        await self.exchange(access, set_command(f"AT+CMGF={_PDU_FORMAT.cmgf}"))
        try:
            return _PDU_FORMAT, await self.exchange(access, make_command(_PDU_FORMAT))
        finally:
            await self.exchange(access, set_command(f"AT+CMGF={self._format.cmgf}"))

    async def _resolve_list_entry(
        self, access: ExclusiveAccess, entry: StoredMessage | Slot | None
    ) -> StoredMessage | None:
        """Return the message of a list entry, and read its slot if the format requires that."""
        if not isinstance(entry, Slot):
            return entry
        if self._silent_slots.is_skipped(entry, _now()):
            return None
        try:
            return await self._read_once(access, entry)
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
                message = await self._read_once(access, message.slot)
            except CommandRefused:
                refusals += 1
                continue
            if message == previous:
                if not message.is_intact:
                    self._miscounts_length = not isinstance(message.message, Undecodable)
                return message
        if message is None or message.slot is None or (refusals == MAX_READS and not message.is_doubtful):
            return message
        self.damaged_stores.add(message.slot.store)
        return None  # its content is still unknown: the next sweep reads it again

    def _has_only_wrong_length(self, message: StoredMessage) -> bool:
        """Return True if only the length is wrong, on a module that counts it in its own way."""
        return self._miscounts_length and not isinstance(message.message, Undecodable)

    async def _read_once(self, access: ExclusiveAccess, slot: Slot) -> StoredMessage | None:
        await self.select_store(access, slot.store)
        used_format, response = await self._exchange_for_slot(access, slot)
        self.fresh_slots.add([slot])
        return _parse_slot(used_format, response, slot)

    async def _exchange_for_slot(self, access: ExclusiveAccess, slot: Slot) -> tuple[MessageFormat, Response]:
        """Read one slot, and record if the module does not answer."""
        try:
            answer = await self._exchange_with_pdu_fallback(
                access, lambda message_format: message_format.cmgr_command(slot.index)
            )
        except (CommandTimedOut, ModemLost) as error:
            if not is_restart(error):
                self._silent_slots.record_slot(slot, _now(), is_lost=isinstance(error, ModemLost))
            raise
        self._silent_slots.record_answer(slot)
        return answer

    async def select_store(self, access: ExclusiveAccess, store: str) -> None:
        """Make a store <mem1>, on which list, read and delete operate."""
        if store != self._settings.current.selected_store and self._settings.current.store:
            await select_store(
                partial(self.exchange, access), self._settings, store, self._settings.current.store
            )
            self._settings.set_selected_store(store)

    async def exchange(self, access: ExclusiveAccess, command: AtCommand) -> Response:
        """Execute a command. If it is not answered, nothing is known of the module's stores any more."""
        try:
            return await access.exchange(command)
        except CommandTimedOut:  # the module may have restarted, with another store selected
            self._settings.set_selected_store(None)
            self.fresh_slots.clear()
            raise


class _ScanResult(Record):
    """A scan of a store that found no message."""

    used: int | None
    """The number of messages that the module reported."""
    valid_until: float
    """The loop time until which the scan is not repeated."""
    refusal: CommandRefused | None
    """The error of the list, if no slot could be read."""


def _now() -> float:
    return asyncio.get_running_loop().time()


def is_restart(error: CommandTimedOut | ModemLost) -> bool:
    """Return True if a command was not answered because the module has restarted."""
    return isinstance(error, CommandTimedOut) and error.module_restarted


def _parse_slot(used_format: MessageFormat, response: Response, slot: Slot) -> StoredMessage | None:
    """Return the received message in the response to +CMGR, None if there is none."""
    if not response.information:
        return None
    message = used_format.parse_read_response(response.information[0], slot)
    return message.replace(is_doubtful=True) if message is not None and response.is_doubtful else message


def _is_occupied(line: Information) -> bool:
    """Return True if a slot holds any message, also an outgoing one. `+CMGR: 0,,0` shows an empty slot."""
    return bool(line.payload) or any(value.text not in {"", "0"} for value in parse_values(line.text))
