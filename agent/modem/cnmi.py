"""+CNMI: how the module tells of messages, and out of which of its ports.

Read back: some modules accept what they then ignore. Sources of the fall-backs: modules.md 0.
"""

from __future__ import annotations

from collections.abc import Iterator

from agent.at.command import AtCommand, ResponsePattern
from agent.at.errors import CommandRefused, CommandTimedOut
from agent.at.parameters import parse_ranges, parse_values
from agent.modem.at_commands import SETTING_TIMEOUT_S, cnmi_command, read_command, set_command
from agent.modem.negotiation import Negotiator
from agent.modem.settings import ModemSettings
from hardware.quirks import Quirk

_URC_PORT_VALUES = {
    "+QURCCFG": {"at": "usbat", "modem": "usbmodem", "uart": "uart1"},
    "+CATR": {"at": "3", "modem": "2", "uart": "1"},
}
"""How Quectel and SIMCom call the ports, by the role that ours has."""
_ALL_PORTS_VALUES = {"all", "0"}


class NotificationSetup:
    """One walk through the settings of unsolicited codes."""

    def __init__(self, negotiator: Negotiator, settings: ModemSettings) -> None:
        self._negotiator = negotiator
        self._settings = settings
        self._quirks = settings.driver.quirks

    async def negotiate(self) -> None:
        """Bring the module to tell of messages, on our port. A module that does not is noted."""
        await self._select_urc_port()
        setup = self._settings
        current = await self._read_cnmi()
        if self._is_acceptable(current):
            setup.cnmi = current
            if Quirk.URCS_ON_CNMI_PORT in self._quirks:
                await self._negotiator.try_command(
                    cnmi_command(current)
                )  # else they go to whoever set it last
            return
        response = await self._negotiator.try_command(read_command("+CNMI", "=?"))
        offered = parse_ranges(response.text) if response is not None else ()
        for wanted in _cnmi_candidates(offered, setup):
            if await self._set_and_verify(wanted):
                return
        if self._has_notifications(current):  # with more than is wanted
            setup.cnmi = current
            self._negotiator.add_note(
                f"+CNMI stays {','.join(map(str, current))}: the module takes nothing else"
            )
            return
        setup.cnmi = ()
        self._negotiator.add_note(
            "no notification of messages could be had; the store is looked at every minute"
        )

    async def _select_urc_port(self) -> None:
        """Where one port alone gets codes: make it ours, if it is known which one ours is."""
        command, role = self._settings.driver.urc_port_command, self._settings.port_role
        if command is None or not role:
            return
        name = command.removeprefix("AT").partition("=")[0]
        ours = _URC_PORT_VALUES.get(name, {}).get(role)
        if ours is None:
            return
        question = command if "=" in command else f"{command}?"
        response = await self._negotiator.try_command(
            AtCommand(question, SETTING_TIMEOUT_S, (ResponsePattern(name),))
        )
        standing = parse_values(response.text).get(-1).text if response is not None and response.text else ""
        if not standing or standing.lower() in {ours, *_ALL_PORTS_VALUES}:
            return
        change = f'{command},"{ours}"' if "=" in command else f"{command}={ours}"
        self._negotiator.add_note(f"codes came out of another port ({name}: {standing})")
        await self._negotiator.try_command(set_command(change))

    async def _read_cnmi(self) -> tuple[int, ...]:
        response = await self._negotiator.try_command(read_command("+CNMI"))
        if response is None:
            return ()
        return tuple(value.number or 0 for value in parse_values(response.text))

    async def _set_and_verify(self, wanted: tuple[int, ...]) -> bool:
        """Set it and read it back; once more where the answer was lost, which is no refusal."""
        for _ in range(2):
            try:
                await self._negotiator.exchange(cnmi_command(wanted))
            except CommandRefused:
                return False
            except CommandTimedOut:
                continue
            standing = await self._read_cnmi() or wanted
            if standing[:2] == wanted[:2]:
                self._settings.cnmi = standing
                return True
        return False

    def _is_acceptable(self, current: tuple[int, ...]) -> bool:
        """Whether what stands will do: codes are passed on; messages stored, or else handed over."""
        if only := _profile_cnmi(self._settings):
            return current[: len(only)] == only
        _, _, broadcasts, reports, _ = (*current, 0, 0, 0, 0, 0)[:5]
        return (
            self._has_notifications(current)
            and broadcasts == 0
            and (reports != 0 or not self._settings.status_reports)
        )

    def _has_notifications(self, current: tuple[int, ...]) -> bool:
        """Whether messages are told of, or handed over where nothing can be read."""
        mode, delivery = (*current, 0, 0)[:2]
        return mode != 0 and (delivery == 1 if self._settings.has_stores else delivery in {2, 3})


def _profile_cnmi(settings: ModemSettings) -> tuple[int, ...]:
    """The one setting that works on this module, if its profile knows one."""
    return tuple(int(value) for value in (settings.driver.cnmi or "").split(",") if value.isdigit())


def _cnmi_candidates(
    offered: tuple[frozenset[str], ...], settings: ModemSettings
) -> Iterator[tuple[int, ...]]:
    """Values of +CNMI to try, best first: `<mode>,<mt>,<bm>,<ds>,<bfr>`, then with fewer values.

    Mode 2 keeps codes while the line is in data mode; several families advertise it and refuse it. Some
    demand mode 1 for status reports, some a <bfr> of 1.
    """

    def may(position: int, value: int) -> bool:
        return len(offered) <= position or not offered[position] - {""} or str(value) in offered[position]

    def agrees(mode: int, delivery: int, report: int) -> bool:
        """SIMCom: <mt> 3 and <ds> 1 need <mode> 1, <mt> 2 needs 1 or 2."""
        if Quirk.CNMI_NEEDS_MODE not in settings.driver.quirks:
            return True
        return mode == 1 or (delivery != 3 and report != 1 and (delivery != 2 or mode == 2))

    if only := _profile_cnmi(settings):
        yield only
    stored = (1, 3, 2) if settings.has_stores else (2, 3)
    reports = (2, 1, 0) if settings.status_reports else (0,)
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
