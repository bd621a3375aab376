"""+CPMS: select the store in which messages arrive, and find the other stores that may hold messages.

A lost answer is not a refusal, and neither is an error of a busy SIM: the stores are then unknown and are
queried again later in the session. Any other refusal is final at once.
"""

from __future__ import annotations

import asyncio
from functools import partial

from agent.at.command import AtCommand
from agent.at.error_codes import EMPTY_SLOT_ERRORS, SIM_ERRORS
from agent.at.errors import CommandRefused, CommandTimedOut
from agent.at.parameters import parse_ranges, parse_values
from agent.modem.at_commands import read_command, set_command
from agent.modem.error import ModemUnusable
from agent.modem.message_format import MessageFormat
from agent.modem.settings import SettingsHolder, StoreUsage
from agent.modem.setup_client import SetupClient
from agent.modem.store_command import select_store
from agent.modem.stored_message import REPORT_STORE
from agent.modem.text_mode_codec import decode_setting

LIST_READY_TIMEOUT_S = 20.0
"""Some modules list nothing for some seconds after they report that messages are ready."""
RECEIVING_STORES = ("ME", "SM")
"""The stores in which messages arrive: module and SIM. "MT" is the union of both and shows them once more."""
RETRY_INTERVAL_S = 60.0
"""The first pause between two queries of unknown stores; it doubles each time."""
MAX_RETRIES = 6
"""Queries of unknown stores in one session. Each sends two to five commands."""
_CPMS_NAME_POSITIONS = (0, 3, 6)
"""The positions of the names in the answer to +CPMS?."""


class StoreSelection:
    """Selects the stores of one module."""

    def __init__(
        self, *, client: SetupClient, settings: SettingsHolder, message_format: MessageFormat
    ) -> None:
        self._client = client
        self._settings = settings
        self._format = message_format
        self._loop = asyncio.get_running_loop()
        self._answer_lost = False
        self._retries = 0
        self._retry_not_before = 0.0

    async def negotiate(self) -> None:
        """Set all three memories to one store, and find the secondary stores.

        Raises ModemUnusable if messages cannot be read because of the SIM.
        """
        previous = self._settings.current.store
        self._settings.reset_stores()
        self._answer_lost = False
        names, offered = await self._read_memories(), await self._read_offered()
        if not names and not offered:
            has_stores = await self._can_read_messages()
            self._settings.set_has_stores(has_stores)
            if not has_stores:
                return self._settings.add_note("the module has no readable message store")
            # The module was not ready before, or the answers were lost.
            self._answer_lost = False
            names, offered = await self._read_memories(), await self._read_offered()
        self._settings.set_has_stores(True)
        return await self._select(previous, names, offered)

    async def retry_unknown(self) -> bool:
        """Query unknown stores again if a query is due. Return True if the stores have become known.

        Raises ModemLost.
        """
        if (
            not self._settings.current.has_unknown_stores
            or self._retries == MAX_RETRIES
            or self._loop.time() < self._retry_not_before
        ):
            return False
        self._retry_not_before = self._loop.time() + RETRY_INTERVAL_S * 2.0**self._retries
        self._retries += 1
        self._answer_lost = False
        names, offered = await self._read_memories(), await self._read_offered()
        if names or offered:
            await self._select(self._settings.current.store, names, offered)
        return not self._answer_lost

    async def _select(
        self, previous: str, current: tuple[str, ...], offered: tuple[frozenset[str], ...]
    ) -> None:
        """Select a store.

        `previous`: the one used before; `current`, `offered`: the answers of the module.
        """
        known_stores = self._settings.current.driver.stores
        if current and not offered and known_stores:
            offered = (frozenset({*known_stores, *current}),)
        for store in _candidates(previous, current, offered):
            names = current if _receives_in(store, current) else await self._set_and_verify(store)
            if names is not None:
                positions = zip(_CPMS_NAME_POSITIONS, names, strict=False)
                self._settings.set_store(store, tuple(at for at, name in positions if name == store))
                break
            if self._answer_lost:
                break  # it may be set or not: the next query shows it
        else:
            if not self._answer_lost:
                stays = f"+CPMS stays {','.join(current)}" if current or offered else "+CPMS refused"
                self._settings.add_note(stays if current else f"{stays}: the module chooses its store")
        if not self._settings.current.store and current:
            self._settings.adopt_store(current[0], is_selected=not self._answer_lost)
        readable = offered[0] if offered else frozenset(current)
        secondary, others = self._further_stores(readable)
        self._settings.set_further_stores(secondary, others, has_unknown_stores=self._answer_lost)

    def _further_stores(self, readable: frozenset[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Return the stores beside the selected one that hold messages or reports, and the rest."""
        settings = self._settings.current
        # If the first store has no name, it cannot be selected again, and one slot would have two names.
        if not settings.store:
            return (), ()
        names = [] if settings.store == "MT" else [name for name in RECEIVING_STORES if name in readable]
        names += [REPORT_STORE] if settings.status_reports and REPORT_STORE in readable else []
        secondary = tuple(name for name in names if name != settings.store)
        others = readable - {*RECEIVING_STORES, *secondary, settings.store, "MT", "BM", ""}
        return secondary, tuple(sorted(others))

    async def _read_memories(self) -> tuple[str, ...]:
        """Return the names of <mem1> to <mem3>; empty if the module does not report them."""
        text = await self._query_text(read_command("+CPMS"))
        usages = parse_store_usage(text, self._settings.current.charset)
        if usages:
            self._settings.set_store_usage(tuple(dict.fromkeys(usages)))
        return tuple(usage.store for usage in usages)

    async def _read_offered(self) -> tuple[frozenset[str], ...]:
        text = await self._query_text(read_command("+CPMS", "=?"))
        decode = partial(decode_setting, charset=self._settings.current.charset)
        return tuple(frozenset(map(decode, names)) for names in parse_ranges(text)) if text else ()

    async def _query_text(self, command: AtCommand) -> str:
        """Return the answer, empty if it was refused or lost. A lost answer is recorded."""
        try:
            text = (await self._client.exchange(command)).text
        except CommandRefused as error:
            self._answer_lost = self._answer_lost or error.is_one_of(SIM_ERRORS)
            return ""
        except CommandTimedOut:
            text = ""
        self._answer_lost = self._answer_lost or not text
        return text

    async def _set_and_verify(self, store: str) -> tuple[str, ...] | None:
        """Set as many memories as the module takes; return their names as read back, None if it failed."""
        try:
            await select_store(self._client.exchange, self._settings, store, store, (3, 2, 1))
        except CommandRefused as error:
            self._answer_lost = self._answer_lost or error.is_one_of(SIM_ERRORS)
            return None
        except CommandTimedOut:
            self._answer_lost = True
            return None
        names = await self._read_memories()
        return names if not names or _receives_in(store, names) else None

    async def _can_read_messages(self) -> bool:
        """Return True if messages can be listed or read, False if the module has no stores.

        A module accepts the message format when it is ready for messages; listing may become possible a
        little later. Raises ModemUnusable if the SIM prevents it, which shows nothing about stores.
        """
        try:
            await self._client.retry_until_accepted(set_command(f"AT+CMGF={self._format.cmgf}"))
            await self._client.retry_until_accepted(
                self._format.cmgl_command(), LIST_READY_TIMEOUT_S, stop_if_unsupported=True
            )
        except CommandRefused as error:
            if error.is_one_of(SIM_ERRORS):
                raise ModemUnusable(f"messages cannot be read: {error}") from error
            return not error.is_unsupported and await self._can_read_slot()
        except CommandTimedOut:
            return False
        return True

    async def _can_read_slot(self) -> bool:
        """Return True if a single slot can be read, for modules that cannot list."""
        try:
            await self._client.exchange(self._format.cmgr_command(1))
        except CommandRefused as error:
            return error.is_one_of(EMPTY_SLOT_ERRORS)
        except CommandTimedOut:
            return False
        return True


def parse_store_usage(text: str, charset: str) -> list[StoreUsage]:
    """Return the usage of <mem1> to <mem3> from the answer to +CPMS?; empty for another text."""
    values = parse_values(text)
    return [
        StoreUsage(
            decode_setting(values.get(at).text, charset).upper(),
            values.get(at + 1).number or 0,
            values.get(at + 2).number or 0,
        )
        for at in _CPMS_NAME_POSITIONS
        if values.get(at).text
    ]


def _receives_in(store: str, names: tuple[str, ...]) -> bool:
    """Return True if messages are read from this store (<mem1>) and arrive there (<mem3>).

    The agent never uses <mem2>, in which messages are written. Older modules have two memories only.
    """
    return bool(names) and {names[0], names[-1]} == {store}


def _candidates(previous: str, current: tuple[str, ...], offered: tuple[frozenset[str], ...]) -> list[str]:
    """Return the stores to try, best first: the previous one, the current <mem3>, module, SIM.

    "MT" comes last, because its indices are not those of notifications.
    """
    usable = frozenset.intersection(*offered) if offered else frozenset(current)
    receiving = [name for name in current[2:] if name != "MT"]
    wanted = dict.fromkeys((previous, *receiving, *RECEIVING_STORES, "MT"))
    return [store for store in wanted if store in usable and store in {*RECEIVING_STORES, "MT"}]
