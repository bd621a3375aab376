"""Getting a module ready for work: read what stands, write only what differs, read back what matters.

Some modules save each setting to flash, and some refuse or ignore what others demand. Fatal is only what the
work cannot do without: a SIM that is open, and the message format. Sources of the fall-backs: modules.md 0.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

from agent.at.channel import Channel
from agent.at.error import CommandRefused, CommandTimedOut
from agent.at.parameters import ranges, values
from agent.modem.commands import read, routing, write
from agent.modem.error import ModemUnusable
from agent.modem.formats import Choice, MessageFormat
from agent.modem.negotiation import Negotiation
from agent.modem.setup import Setup
from agent.modem.state import DOMAINS, query, read_state

RADIO_S = 30.0
"""+CFUN=1 was seen to take 14 s; Quectel allows 15 s."""
LISTING_S = 20.0
"""Some modules list nothing for some seconds after they are ready for messages."""
SIM_S = 15.0
"""A SIM that is reported as absent for so long is absent; while starting, modules say so of a good one."""

RECEIVING = ("ME", "SM")
"""Stores that messages land in: module and SIM. "MT" means both together and shows them once more."""
_MEMORIES = (0, 3, 6)
"""Where the names stand in the answer to +CPMS?."""


class Initialisation:
    """One walk through all settings of a module that answers."""

    def __init__(self, channel: Channel, setup: Setup, message_format: MessageFormat) -> None:
        self._setup = setup
        self._format = message_format
        self._talk = Negotiation(channel, setup.notes)

    async def run(self) -> None:
        """Raises ModemUnusable where it cannot be used, CommandTimedOut where it stops answering."""
        await self._speak()
        await self._radio()
        await self._sim()
        await self._message_format()
        await self._format_settings()
        await self._service()
        await self._stores()
        await self._routing()
        await self._registration()
        await self._service_centre()
        self._setup.echo = self._talk.echoed

    async def _speak(self) -> None:
        """No echo, results in words, errors in numbers."""
        if await self._talk.try_out(write("ATE0V1Q0")) is None:
            await self._talk.try_out(write("ATE0"))
        await self._talk.try_out(write("AT+CMEE=1"))

    async def _radio(self) -> None:
        """+CFUN: with the radio off everything works except the network."""
        response = await self._talk.try_out(read("+CFUN"))
        state = None if response is None else values(response.text).at(0).number
        if state == 1:
            return
        if state is not None:
            self._talk.note(f"the radio was off (+CFUN: {state})")
        if await self._talk.try_out(write("AT+CFUN=1", RADIO_S)) is None or state is None:
            return
        response = await self._talk.try_out(read("+CFUN"))
        if response is not None and values(response.text).at(0).number != 1:
            self._talk.note("the radio stays off")

    async def _sim(self) -> None:
        """+CPIN: a SIM that is open."""
        attempt = 0
        loop = asyncio.get_running_loop()
        until = loop.time() + SIM_S
        while True:
            try:
                said = (await self._talk.ask(read("+CPIN"))).text
            except CommandTimedOut:
                return self._talk.note("AT+CPIN? ignored")
            except CommandRefused as error:
                if (error.kind, error.code) not in {("cme", 10), ("cms", 310)}:
                    return self._talk.note(f"AT+CPIN? refused ({error.name or 'ERROR'})")
                said = "+CPIN: NOT INSERTED"
            state = said.partition(":")[2].strip().strip('"').upper()
            if state in {"READY", ""}:
                return None
            if state == "NOT READY":
                until = loop.time() + SIM_S
            elif state != "NOT INSERTED":
                raise ModemUnusable(
                    f"the SIM asks for {state}; switch it off in a phone (the PIN is never guessed)"
                )
            if loop.time() > until or not await self._talk.wait(attempt):
                raise ModemUnusable("the module sees no SIM; is it in its holder?")
            attempt += 1

    async def _message_format(self) -> None:
        """+CMGF: the one setting without which nothing can be read. Also the sign that SMS is ready."""
        wanted = self._format.code
        response = await self._talk.try_out(read("+CMGF"))
        if response is not None and values(response.text).at(0).number == wanted:
            return
        self._setup.format_drifts = response is not None
        try:
            await self._talk.insist(write(f"AT+CMGF={wanted}"))
        except CommandRefused as error:
            raise ModemUnusable(f"the module does not take messages in this format: {error}") from error

    async def _format_settings(self) -> None:
        """What the format needs beyond +CMGF: text mode its lengths and a character set."""
        self._format.agreed.clear()
        for choice in self._format.choices:
            standing = await self._standing(choice.name)
            offered: tuple[frozenset[str], ...] = ()
            if standing != choice.values[0]:
                response = await self._talk.try_out(read(choice.name, "=?"), tell=False)
                offered = ranges(response.text) if response is not None else ()
            for value in choice.values:
                if value == standing or await self._set(choice, value, offered):
                    self._format.agreed[choice.name] = value
                    break
            else:
                raise ModemUnusable(f"{choice.reason} (AT{choice.name} stays {standing or 'unknown'})")
            if value != choice.values[0]:
                self._talk.note(f"{choice.name} is {value}: the module does not take {choice.values[0]}")
            self._setup.format_drifts = True  # after a restart a body would be read in another way

    async def _standing(self, name: str) -> str:
        """A setting as it is; empty where the module does not tell. UCS2 may be told in its own way."""
        response = await self._talk.try_out(read(name), tell=False)
        return "" if response is None else self._format.string(values(response.text).at(0).text).upper()

    async def _set(self, choice: Choice, value: str, offered: tuple[frozenset[str], ...]) -> bool:
        """Set it and read it back: some modules accept what they then ignore."""
        if offered and value not in offered[0] and offered[0] - {""}:
            return False
        shown = value if value.isdigit() else f'"{value}"'
        if await self._talk.try_out(write(f"AT{choice.name}={shown}"), tell=False) is None:
            return False
        return await self._standing(choice.name) in {value, ""}

    async def _service(self) -> None:
        """+CSMS=1: what is handed over directly waits for our acknowledgement."""
        response = await self._talk.try_out(read("+CSMS"))
        self._setup.service = (values(response.text).at(0).number or 0) if response is not None else 0
        if self._setup.service == 0:
            accepted = await self._talk.try_out(write("AT+CSMS=1"), tell=False)
            self._setup.service = 1 if accepted is not None else 0
        if self._setup.service == 0:
            self._talk.note("AT+CSMS=1 refused: a message that is handed over directly has no second copy")

    # Stores

    async def _stores(self) -> None:
        """+CPMS: all three memories the same, where messages arrive, and where else they may be."""
        setup = self._setup
        last, setup.store, setup.selected, setup.memories = setup.store, "", None, ()
        names, offered = await self._memories(), await self._offered()
        if not names and not offered:
            setup.stores_messages = await self._readable()
            if not setup.stores_messages:
                return self._talk.note("the module has no store of messages that can be read")
            names, offered = await self._memories(), await self._offered()  # it was not ready before
        setup.stores_messages = True
        if not names and not offered:
            return self._talk.note("+CPMS refused: the module chooses its store")
        for store in _candidates(last, names, offered):
            if set(names) == {store} or await self._choose(store):
                setup.store = setup.selected = store
                setup.memories = _MEMORIES[: len(names)]
                break
        else:
            setup.store = names[0] if names else ""
            setup.selected = setup.store or None
            self._talk.note(f"+CPMS stays {','.join(names)}")
        readable = offered[0] if offered else frozenset(names)
        others = [] if setup.store == "MT" else [store for store in RECEIVING if store in readable]
        others += ["SR"] if setup.reports and "SR" in readable else []
        setup.others = tuple(store for store in others if store != setup.store)
        return None

    async def _memories(self) -> tuple[str, ...]:
        """The names as they stand; empty where the module does not tell."""
        response = await self._talk.try_out(read("+CPMS"), tell=False)
        if response is None:
            return ()
        found = values(response.text)
        stores = [
            (found.at(at).text.upper(), found.at(at + 1).number or 0, found.at(at + 2).number or 0)
            for at in _MEMORIES
            if found.at(at).text
        ]
        self._setup.capacity = tuple(dict.fromkeys(stores))
        return tuple(name for name, _, _ in stores)

    async def _offered(self) -> tuple[frozenset[str], ...]:
        response = await self._talk.try_out(read("+CPMS", "=?"), tell=False)
        return ranges(response.text) if response is not None else ()

    async def _choose(self, store: str) -> bool:
        """Set all memories and read them back; some modules know fewer than three."""
        for memories in (3, 2, 1):
            try:
                await self._talk.ask(write("AT+CPMS=" + ",".join([f'"{store}"'] * memories)))
            except CommandRefused:
                continue
            except CommandTimedOut:
                return False
            return set(await self._memories()) <= {store}
        return False

    async def _readable(self) -> bool:
        """Whether messages can be listed: what tells a module that is not ready from one without a choice.

        A module takes the message format when it is ready for messages; listing may lag behind a little.
        """
        try:
            await self._talk.insist(write(f"AT+CMGF={self._format.code}"))
            await self._talk.insist(self._format.list_messages(), LISTING_S)
        except (CommandRefused, CommandTimedOut):
            return False
        return True

    # Notifications

    async def _routing(self) -> None:
        """+CNMI: how the module tells of messages. Read back: some modules accept what they then ignore."""
        setup = self._setup
        current = await self._current_routing()
        if self._fits(current):
            setup.routing = current
            return
        response = await self._talk.try_out(read("+CNMI", "=?"))
        offered = ranges(response.text) if response is not None else ()
        for wanted in _routings(offered, setup):
            if await self._route(wanted):
                return
        setup.routing = ()
        self._talk.note("no notification of messages could be had; the store is looked at every minute")

    async def _current_routing(self) -> tuple[int, ...]:
        response = await self._talk.try_out(read("+CNMI"))
        if response is None:
            return ()
        return tuple(value.number or 0 for value in values(response.text))

    async def _route(self, wanted: tuple[int, ...]) -> bool:
        """Set it and read it back; once more where the answer was lost, which is no refusal."""
        for _ in range(2):
            try:
                await self._talk.ask(routing(wanted))
            except CommandRefused:
                return False
            except CommandTimedOut:
                continue
            standing = await self._current_routing() or wanted
            if standing[:2] == wanted[:2]:
                self._setup.routing = standing
                return True
        return False

    def _fits(self, standing: tuple[int, ...]) -> bool:
        """Whether what stands will do: codes are passed on; messages stored, or else handed over."""
        mode, delivery, broadcasts, reports, _ = (*standing, 0, 0, 0, 0, 0)[:5]
        fits = delivery == 1 if self._setup.stores_messages else delivery in {2, 3}
        return mode != 0 and fits and broadcasts == 0 and (reports != 0 or not self._setup.reports)

    async def _registration(self) -> None:
        """+CREG and its kin: let the module tell of changes, in each domain that it knows."""
        known = []
        for domain in DOMAINS:
            try:
                response = await self._talk.ask(query(domain))
            except (CommandRefused, CommandTimedOut):
                continue
            number, state = read_state(response.text)
            known.append(domain)
            if state is not None:
                self._setup.registration = self._setup.registration.changed(domain, state)
            if number == 0:
                await self._talk.try_out(write(f"AT{domain}=1"))
        self._setup.domains = tuple(known)

    async def _service_centre(self) -> None:
        """+CSCA: without its number nothing can be sent."""
        try:
            response = await self._talk.ask(read("+CSCA"))
        except (CommandRefused, CommandTimedOut):
            return
        self._setup.service_centre = self._format.string(values(response.text).at(0).text)
        if response.text and not self._setup.service_centre:
            self._talk.note(
                "the SIM knows no service centre number (+CSCA): sending will be refused with 330"
            )


def _candidates(last: str, names: tuple[str, ...], offered: tuple[frozenset[str], ...]) -> list[str]:
    """Stores to try, best first: the one used before, the one where messages arrive now, module, SIM.

    "MT" only where there is nothing else: its indices are not those that notifications tell.
    """
    everywhere = frozenset.intersection(*offered) if offered else frozenset(names)
    now = [name for name in names[2:] if name != "MT"]
    wanted = dict.fromkeys((last, *now, *RECEIVING, "MT"))
    return [store for store in wanted if store in everywhere and store in {*RECEIVING, "MT"}]


def _routings(offered: tuple[frozenset[str], ...], setup: Setup) -> Iterator[tuple[int, ...]]:
    """Values of +CNMI to try, best first: `<mode>,<mt>,<bm>,<ds>,<bfr>`, then with fewer values.

    Mode 2 keeps codes while the line is in data mode; several families advertise it and refuse it. Some
    demand mode 1 for status reports, some a <bfr> of 1.
    """

    def may(position: int, value: int) -> bool:
        return len(offered) <= position or not offered[position] - {""} or str(value) in offered[position]

    stored = (1, 3, 2) if setup.stores_messages else (2, 3)
    reports = (2, 1, 0) if setup.reports else (0,)
    flushes = [bfr for bfr in (0, 1) if may(4, bfr)]
    for delivery in stored:
        for report in reports:
            for mode in (2, 1, 3):
                if may(0, mode) and may(1, delivery) and may(3, report):
                    yield from ((mode, delivery, 0, report, bfr) for bfr in flushes)
        yield from ((mode, delivery) for mode in (2, 1) if may(0, mode) and may(1, delivery))
