"""+CPMS: in which of its stores the module keeps what arrives, and where else messages may be.

An answer that was lost on the line is no refusal, and neither is one for the sake of a SIM that is busy: what
it would have told is asked for again in the session, as long as the stores are not known. A module that
refuses is believed at once.
"""

from __future__ import annotations

import asyncio

from agent.at.command import AtCommand
from agent.at.errors import CommandRefused, CommandTimedOut
from agent.at.parameters import parse_ranges, parse_values
from agent.modem.at_commands import read_command, set_command
from agent.modem.error import ModemUnusable
from agent.modem.message_format import MessageFormat
from agent.modem.message_store import is_empty_slot_error
from agent.modem.negotiation import Negotiator
from agent.modem.settings import ModemSettings
from agent.modem.sim import is_sim_error

LIST_READY_TIMEOUT_S = 20.0
"""Some modules list nothing for some seconds after they are ready for messages."""
RECEIVING_STORES = ("ME", "SM")
"""Stores that messages land in: module and SIM. "MT" means both together and shows them once more."""
RETRY_INTERVAL_S = 60.0
"""At least so long from one time that the stores are asked for to the next; it doubles each time."""
MAX_RETRIES = 6
"""So often in a session, with two to five questions each: a module that never answers is left in peace."""
_CPMS_NAME_POSITIONS = (0, 3, 6)
"""Where the names stand in the answer to +CPMS?."""


class StoreSelection:
    """What is agreed with one module about its stores."""

    def __init__(
        self, negotiator: Negotiator, settings: ModemSettings, message_format: MessageFormat
    ) -> None:
        self._negotiator = negotiator
        self._settings = settings
        self._format = message_format
        self._loop = asyncio.get_running_loop()
        self._answer_lost = False
        self._retries = 0
        self._retry_not_before = 0.0

    async def negotiate(self) -> None:
        """All three memories the same, where messages arrive, and where else they may be.

        Raises ModemUnusable where the SIM is in the way.
        """
        setup = self._settings
        last, setup.store, setup.selected_store, setup.cpms_positions = setup.store, "", None, ()
        self._answer_lost = False
        names, offered = await self._read_memories(), await self._read_offered()
        if not names and not offered:
            setup.has_stores = await self._can_read_messages()
            if not setup.has_stores:
                return self._negotiator.add_note("the module has no store of messages that can be read")
            # It was not ready before, or the answers were lost.
            self._answer_lost = False
            names, offered = await self._read_memories(), await self._read_offered()
        setup.has_stores = True
        return await self._select(last, names, offered)

    async def retry_unknown(self) -> bool:
        """Ask again for what was lost; True where the stores are known since.

        Not too often: nothing is asked before it is time for it. Raises ModemLost.
        """
        if (
            not self._settings.has_unknown_stores
            or self._retries == MAX_RETRIES
            or self._loop.time() < self._retry_not_before
        ):
            return False
        self._retry_not_before = self._loop.time() + RETRY_INTERVAL_S * 2.0**self._retries
        self._retries += 1
        self._answer_lost = False
        names, offered = await self._read_memories(), await self._read_offered()
        if names or offered:
            await self._select(self._settings.store, names, offered)
        return not self._answer_lost

    async def _select(
        self, previous: str, current: tuple[str, ...], offered: tuple[frozenset[str], ...]
    ) -> None:
        """Take one of them. `last`: the one used before; `names`, `offered`: what the module told."""
        setup = self._settings
        if current and not offered and setup.driver.stores:
            offered = (frozenset({*setup.driver.stores, *current}),)
        for store in _candidates(previous, current, offered):
            standing = current if set(current) == {store} else await self._set_and_verify(store)
            if standing is not None:
                setup.store = setup.selected_store = store
                setup.cpms_positions = _CPMS_NAME_POSITIONS[: len(standing)]
                break
            if self._answer_lost:
                break  # perhaps it stands, perhaps not: the next time tells
        else:
            if not self._answer_lost:
                stays = f"+CPMS stays {','.join(current)}" if current or offered else "+CPMS refused"
                self._negotiator.add_note(stays if current else f"{stays}: the module chooses its store")
        if not setup.store and current:
            setup.store = current[0]
            setup.selected_store = None if self._answer_lost else setup.store
        setup.has_unknown_stores = self._answer_lost
        readable = offered[0] if offered else frozenset(current)
        others = [] if setup.store == "MT" else [store for store in RECEIVING_STORES if store in readable]
        others += ["SR"] if setup.status_reports and "SR" in readable else []
        # Without a name for the first nobody gets back to it, and a slot with two names is emptied twice.
        setup.secondary_stores = (
            tuple(store for store in others if store != setup.store) if setup.store else ()
        )

    async def _read_memories(self) -> tuple[str, ...]:
        """The names as they stand; empty where the module does not tell."""
        found = parse_values(await self._query_text(read_command("+CPMS")))
        stores = [
            (found.get(at).text.upper(), found.get(at + 1).number or 0, found.get(at + 2).number or 0)
            for at in _CPMS_NAME_POSITIONS
            if found.get(at).text
        ]
        self._settings.store_usage = tuple(dict.fromkeys(stores)) or self._settings.store_usage
        return tuple(name for name, _, _ in stores)

    async def _read_offered(self) -> tuple[frozenset[str], ...]:
        told = await self._query_text(read_command("+CPMS", "=?"))
        return parse_ranges(told) if told else ()

    async def _query_text(self, command: AtCommand) -> str:
        """The answer; empty where it was refused, or lost, which is remembered."""
        try:
            told = (await self._negotiator.exchange(command)).text
        except CommandRefused as error:
            self._answer_lost = self._answer_lost or is_sim_error(error)
            return ""
        except CommandTimedOut:
            told = ""
        self._answer_lost = self._answer_lost or not told
        return told

    async def _set_and_verify(self, store: str) -> tuple[str, ...] | None:
        """Set all memories, or as many as it knows, and read them back; None where it does not stand."""
        for memories in (3, 2, 1):
            try:
                await self._negotiator.exchange(set_command("AT+CPMS=" + ",".join([f'"{store}"'] * memories)))
            except CommandRefused as error:
                if is_sim_error(error):
                    self._answer_lost = True
                    return None
                continue
            except CommandTimedOut:
                self._answer_lost = True
                return None
            standing = await self._read_memories()
            return standing if set(standing) <= {store} else None
        return None

    async def _can_read_messages(self) -> bool:
        """Whether messages can be listed or read, which tells one that is not ready from one without stores.

        A module takes the message format when it is ready for messages; listing may lag behind a little.
        Raises ModemUnusable where the SIM is what is in the way: that says nothing about stores.
        """
        try:
            await self._negotiator.retry_until_accepted(set_command(f"AT+CMGF={self._format.cmgf}"))
            await self._negotiator.retry_until_accepted(
                self._format.cmgl_command(), LIST_READY_TIMEOUT_S, stop_if_unknown=True
            )
        except CommandRefused as error:
            if is_sim_error(error):
                raise ModemUnusable(f"no message can be read: {error}") from error
            return not error.is_unsupported and await self._can_read_slot()
        except CommandTimedOut:
            return False
        return True

    async def _can_read_slot(self) -> bool:
        """Whether a slot can be looked into where nothing can be listed."""
        try:
            await self._negotiator.exchange(self._format.cmgr_command(1))
        except CommandRefused as error:
            return is_empty_slot_error(error)
        except CommandTimedOut:
            return False
        return True


def _candidates(previous: str, current: tuple[str, ...], offered: tuple[frozenset[str], ...]) -> list[str]:
    """Stores to try, best first: the one used before, the one where messages arrive now, module, SIM.

    "MT" only where there is nothing else: its indices are not those that notifications tell.
    """
    everywhere = frozenset.intersection(*offered) if offered else frozenset(current)
    now = [name for name in current[2:] if name != "MT"]
    wanted = dict.fromkeys((previous, *now, *RECEIVING_STORES, "MT"))
    return [store for store in wanted if store in everywhere and store in {*RECEIVING_STORES, "MT"}]
