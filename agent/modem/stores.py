"""+CPMS: in which of its stores the module keeps what arrives, and where else messages may be.

An answer that was lost on the line is no refusal, and neither is one for the sake of a SIM that is busy: what
it would have told is asked for again in the session, as long as the stores are not known. A module that
refuses is believed at once.
"""

from __future__ import annotations

import asyncio

from agent.at.command import AtCommand
from agent.at.error import CommandRefused, CommandTimedOut
from agent.at.parameters import ranges, values
from agent.modem.card import blames
from agent.modem.commands import read, write
from agent.modem.error import ModemUnusable
from agent.modem.formats import MessageFormat
from agent.modem.negotiation import Negotiation
from agent.modem.setup import Setup
from agent.modem.storage import nothing_there

LISTING_S = 20.0
"""Some modules list nothing for some seconds after they are ready for messages."""
RECEIVING = ("ME", "SM")
"""Stores that messages land in: module and SIM. "MT" means both together and shows them once more."""
AGAIN_S = 60.0
"""At least so long from one time that the stores are asked for to the next; it doubles each time."""
TIMES = 6
"""So often in a session, with two to five questions each: a module that never answers is left in peace."""
_MEMORIES = (0, 3, 6)
"""Where the names stand in the answer to +CPMS?."""


class Stores:
    """What is agreed with one module about its stores."""

    def __init__(self, talk: Negotiation, setup: Setup, message_format: MessageFormat) -> None:
        self._talk = talk
        self._setup = setup
        self._format = message_format
        self._loop = asyncio.get_running_loop()
        self._lost = False
        self._times = 0
        self._not_before = 0.0

    async def agree(self) -> None:
        """All three memories the same, where messages arrive, and where else they may be.

        Raises ModemUnusable where the SIM is in the way.
        """
        setup = self._setup
        last, setup.store, setup.selected, setup.memories = setup.store, "", None, ()
        self._lost = False
        names, offered = await self._memories(), await self._offered()
        if not names and not offered:
            setup.stores_messages = await self._readable()
            if not setup.stores_messages:
                return self._talk.note("the module has no store of messages that can be read")
            # It was not ready before, or the answers were lost.
            self._lost = False
            names, offered = await self._memories(), await self._offered()
        setup.stores_messages = True
        return await self._choose(last, names, offered)

    async def clear_up(self) -> bool:
        """Ask again for what was lost; True where the stores are known since.

        Not too often: nothing is asked before it is time for it. Raises ModemLost.
        """
        if not self._setup.stores_unclear or self._times == TIMES or self._loop.time() < self._not_before:
            return False
        self._not_before = self._loop.time() + AGAIN_S * 2.0**self._times
        self._times += 1
        self._lost = False
        names, offered = await self._memories(), await self._offered()
        if names or offered:
            await self._choose(self._setup.store, names, offered)
        return not self._lost

    async def _choose(self, last: str, names: tuple[str, ...], offered: tuple[frozenset[str], ...]) -> None:
        """Take one of them. `last`: the one used before; `names`, `offered`: what the module told."""
        setup = self._setup
        if names and not offered and setup.driver.stores:
            offered = (frozenset({*setup.driver.stores, *names}),)
        for store in _candidates(last, names, offered):
            standing = names if set(names) == {store} else await self._set(store)
            if standing is not None:
                setup.store = setup.selected = store
                setup.memories = _MEMORIES[: len(standing)]
                break
            if self._lost:
                break  # perhaps it stands, perhaps not: the next time tells
        else:
            if not self._lost:
                stays = f"+CPMS stays {','.join(names)}" if names or offered else "+CPMS refused"
                self._talk.note(stays if names else f"{stays}: the module chooses its store")
        if not setup.store and names:
            setup.store = names[0]
            setup.selected = None if self._lost else setup.store
        setup.stores_unclear = self._lost
        readable = offered[0] if offered else frozenset(names)
        others = [] if setup.store == "MT" else [store for store in RECEIVING if store in readable]
        others += ["SR"] if setup.reports and "SR" in readable else []
        # Without a name for the first nobody gets back to it, and a slot with two names is emptied twice.
        setup.others = tuple(store for store in others if store != setup.store) if setup.store else ()

    async def _memories(self) -> tuple[str, ...]:
        """The names as they stand; empty where the module does not tell."""
        found = values(await self._told(read("+CPMS")))
        stores = [
            (found.at(at).text.upper(), found.at(at + 1).number or 0, found.at(at + 2).number or 0)
            for at in _MEMORIES
            if found.at(at).text
        ]
        self._setup.capacity = tuple(dict.fromkeys(stores)) or self._setup.capacity
        return tuple(name for name, _, _ in stores)

    async def _offered(self) -> tuple[frozenset[str], ...]:
        told = await self._told(read("+CPMS", "=?"))
        return ranges(told) if told else ()

    async def _told(self, question: AtCommand) -> str:
        """The answer; empty where it was refused, or lost, which is remembered."""
        try:
            told = (await self._talk.ask(question)).text
        except CommandRefused as error:
            self._lost = self._lost or blames(error)
            return ""
        except CommandTimedOut:
            told = ""
        self._lost = self._lost or not told
        return told

    async def _set(self, store: str) -> tuple[str, ...] | None:
        """Set all memories, or as many as it knows, and read them back; None where it does not stand."""
        for memories in (3, 2, 1):
            try:
                await self._talk.ask(write("AT+CPMS=" + ",".join([f'"{store}"'] * memories)))
            except CommandRefused as error:
                if blames(error):
                    self._lost = True
                    return None
                continue
            except CommandTimedOut:
                self._lost = True
                return None
            standing = await self._memories()
            return standing if set(standing) <= {store} else None
        return None

    async def _readable(self) -> bool:
        """Whether messages can be listed or read, which tells one that is not ready from one without stores.

        A module takes the message format when it is ready for messages; listing may lag behind a little.
        Raises ModemUnusable where the SIM is what is in the way: that says nothing about stores.
        """
        try:
            await self._talk.insist(write(f"AT+CMGF={self._format.code}"))
            await self._talk.insist(self._format.list_messages(), LISTING_S, unless_unknown=True)
        except CommandRefused as error:
            if blames(error):
                raise ModemUnusable(f"no message can be read: {error}") from error
            return not error.unknown and await self._reads_one()
        except CommandTimedOut:
            return False
        return True

    async def _reads_one(self) -> bool:
        """Whether a slot can be looked into where nothing can be listed."""
        try:
            await self._talk.ask(self._format.read_message(1))
        except CommandRefused as error:
            return nothing_there(error)
        except CommandTimedOut:
            return False
        return True


def _candidates(last: str, names: tuple[str, ...], offered: tuple[frozenset[str], ...]) -> list[str]:
    """Stores to try, best first: the one used before, the one where messages arrive now, module, SIM.

    "MT" only where there is nothing else: its indices are not those that notifications tell.
    """
    everywhere = frozenset.intersection(*offered) if offered else frozenset(names)
    now = [name for name in names[2:] if name != "MT"]
    wanted = dict.fromkeys((last, *now, *RECEIVING, "MT"))
    return [store for store in wanted if store in everywhere and store in {*RECEIVING, "MT"}]
