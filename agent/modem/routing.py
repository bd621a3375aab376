"""+CNMI: how the module tells of messages, and out of which of its ports.

Read back: some modules accept what they then ignore. Sources of the fall-backs: modules.md 0.
"""

from __future__ import annotations

from collections.abc import Iterator

from agent.at.command import Answer, AtCommand
from agent.at.error import CommandRefused, CommandTimedOut
from agent.at.parameters import ranges, values
from agent.modem.commands import SETTING_S, read, routing, write
from agent.modem.negotiation import Negotiation
from agent.modem.setup import Setup
from hardware.quirks import Quirk

_PORTS = {
    "+QURCCFG": {"at": "usbat", "modem": "usbmodem", "uart": "uart1"},
    "+CATR": {"at": "3", "modem": "2", "uart": "1"},
}
"""How Quectel and SIMCom call the ports, by the role that ours has."""
_EVERYWHERE = {"all", "0"}


class Routing:
    """One walk through the settings of unsolicited codes."""

    def __init__(self, talk: Negotiation, setup: Setup) -> None:
        self._talk = talk
        self._setup = setup
        self._quirks = setup.driver.quirks

    async def agree(self) -> None:
        """Bring the module to tell of messages, on our port. A module that does not is noted."""
        await self._port()
        setup = self._setup
        current = await self._current()
        if self._fits(current):
            setup.routing = current
            if Quirk.CODES_WHERE_CNMI_WAS_SET in self._quirks:
                await self._talk.try_out(routing(current))  # else they go to whoever set it last
            return
        response = await self._talk.try_out(read("+CNMI", "=?"))
        offered = ranges(response.text) if response is not None else ()
        for wanted in _routings(offered, setup):
            if await self._route(wanted):
                return
        if self._tells(current):  # with more than is wanted
            setup.routing = current
            self._talk.note(f"+CNMI stays {','.join(map(str, current))}: the module takes nothing else")
            return
        setup.routing = ()
        self._talk.note("no notification of messages could be had; the store is looked at every minute")

    async def _port(self) -> None:
        """Where one port alone gets codes: make it ours, if it is known which one ours is."""
        command, role = self._setup.driver.code_port_command, self._setup.role
        if command is None or not role:
            return
        name = command.removeprefix("AT").partition("=")[0]
        ours = _PORTS.get(name, {}).get(role)
        if ours is None:
            return
        question = command if "=" in command else f"{command}?"
        response = await self._talk.try_out(AtCommand(question, SETTING_S, (Answer(name),)))
        standing = values(response.text).at(-1).text if response is not None and response.text else ""
        if not standing or standing.lower() in {ours, *_EVERYWHERE}:
            return
        change = f'{command},"{ours}"' if "=" in command else f"{command}={ours}"
        self._talk.note(f"codes came out of another port ({name}: {standing})")
        await self._talk.try_out(write(change))

    async def _current(self) -> tuple[int, ...]:
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
            standing = await self._current() or wanted
            if standing[:2] == wanted[:2]:
                self._setup.routing = standing
                return True
        return False

    def _fits(self, standing: tuple[int, ...]) -> bool:
        """Whether what stands will do: codes are passed on; messages stored, or else handed over."""
        if only := _only(self._setup):
            return standing[: len(only)] == only
        _, _, broadcasts, reports, _ = (*standing, 0, 0, 0, 0, 0)[:5]
        return self._tells(standing) and broadcasts == 0 and (reports != 0 or not self._setup.reports)

    def _tells(self, standing: tuple[int, ...]) -> bool:
        """Whether messages are told of, or handed over where nothing can be read."""
        mode, delivery = (*standing, 0, 0)[:2]
        return mode != 0 and (delivery == 1 if self._setup.stores_messages else delivery in {2, 3})


def _only(setup: Setup) -> tuple[int, ...]:
    """The one setting that works on this module, if its profile knows one."""
    return tuple(int(value) for value in (setup.driver.cnmi or "").split(",") if value.isdigit())


def _routings(offered: tuple[frozenset[str], ...], setup: Setup) -> Iterator[tuple[int, ...]]:
    """Values of +CNMI to try, best first: `<mode>,<mt>,<bm>,<ds>,<bfr>`, then with fewer values.

    Mode 2 keeps codes while the line is in data mode; several families advertise it and refuse it. Some
    demand mode 1 for status reports, some a <bfr> of 1.
    """

    def may(position: int, value: int) -> bool:
        return len(offered) <= position or not offered[position] - {""} or str(value) in offered[position]

    def agrees(mode: int, delivery: int, report: int) -> bool:
        """SIMCom: <mt> 3 and <ds> 1 need <mode> 1, <mt> 2 needs 1 or 2."""
        if Quirk.CNMI_NEEDS_MODE not in setup.driver.quirks:
            return True
        return mode == 1 or (delivery != 3 and report != 1 and (delivery != 2 or mode == 2))

    if only := _only(setup):
        yield only
    stored = (1, 3, 2) if setup.stores_messages else (2, 3)
    reports = (2, 1, 0) if setup.reports else (0,)
    flushes = [bfr for bfr in (0, 1) if may(4, bfr)]
    for delivery in stored:
        for report in reports:
            for mode in (2, 1, 3):
                known = may(0, mode) and may(1, delivery) and may(3, report)
                if known and agrees(mode, delivery, report):
                    yield from ((mode, delivery, 0, report, bfr) for bfr in flushes)
        for mode in (2, 1):
            if may(0, mode) and may(1, delivery) and agrees(mode, delivery, 0):
                yield mode, delivery
