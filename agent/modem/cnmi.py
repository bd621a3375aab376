"""+CNMI: make the module report new messages, on the port in use.

The setting is read back, because some modules accept what they then ignore.
"""

from __future__ import annotations

from collections.abc import Iterator

from agent.at.command import AtCommand, ResponsePattern
from agent.at.errors import CommandRefused, CommandTimedOut
from agent.at.parameters import parse_ranges, parse_values
from agent.modem.at_commands import SETTING_TIMEOUT_S, cnmi_command, read_command, set_command
from agent.modem.settings import ModemSettings, SettingsHolder
from agent.modem.setup_client import SetupClient
from hardware.quirks import Quirk

_URC_PORT_VALUES = {
    "+QURCCFG": {"at": "usbat", "modem": "usbmodem", "uart": "uart1"},
    "+CATR": {"at": "3", "modem": "2", "uart": "1"},
}
"""The values by which Quectel and SIMCom name their ports, by the role of the port."""
_ALL_PORTS_VALUES = {"all", "0"}


class NotificationSetup:
    """Negotiates the notifications of new messages, once."""

    def __init__(self, *, client: SetupClient, settings: SettingsHolder) -> None:
        self._client = client
        self._settings = settings

    async def negotiate(self) -> None:
        """Make the module report messages on the port in use. If that fails, it is noted in the status."""
        await self._select_urc_port()
        current = await self._read_cnmi()
        if self._is_acceptable(current):
            self._settings.set_cnmi(current)
            if Quirk.URCS_ON_CNMI_PORT in self._settings.current.driver.quirks:
                # Otherwise the URCs go to the port that set +CNMI last.
                await self._client.try_command(cnmi_command(current))
            return
        response = await self._client.try_command(read_command("+CNMI", "=?"))
        offered = parse_ranges(response.text) if response is not None else ()
        for wanted in _cnmi_candidates(offered, self._settings.current):
            if await self._set_and_verify(wanted):
                return
        if self._has_notifications(current):  # together with others that are not wanted
            self._settings.set_cnmi(current)
            self._settings.add_note(
                f"+CNMI stays {','.join(map(str, current))}: the module accepts nothing else"
            )
            return
        self._settings.set_cnmi(())
        self._settings.add_note("notifications cannot be enabled; the store is read every minute")

    async def _select_urc_port(self) -> None:
        """If the module prints URCs on one port only, select the port in use, if its role is known."""
        settings = self._settings.current
        command, role = settings.driver.urc_port_command, settings.port_role
        if command is None or not role:
            return
        name = command.removeprefix("AT").partition("=")[0]
        own_value = _URC_PORT_VALUES.get(name, {}).get(role)
        if own_value is None:
            return
        query = command if "=" in command else f"{command}?"
        response = await self._client.try_command(
            AtCommand(query, SETTING_TIMEOUT_S, (ResponsePattern(name),))
        )
        current = parse_values(response.text).get(-1).text if response is not None and response.text else ""
        if not current or current.lower() in {own_value, *_ALL_PORTS_VALUES}:
            return
        change = f'{command},"{own_value}"' if "=" in command else f"{command}={own_value}"
        self._settings.add_note(f"URCs were printed on another port ({name}: {current})")
        await self._client.try_command(set_command(change))

    async def _read_cnmi(self) -> tuple[int, ...]:
        response = await self._client.try_command(read_command("+CNMI"))
        if response is None:
            return ()
        return tuple(value.number or 0 for value in parse_values(response.text))

    async def _set_and_verify(self, wanted: tuple[int, ...]) -> bool:
        """Set a value and read it back, twice if the answer is lost. Return True if it is set."""
        for _ in range(2):
            try:
                await self._client.exchange(cnmi_command(wanted))
            except CommandRefused:
                return False
            except CommandTimedOut:
                continue
            current = await self._read_cnmi() or wanted
            if current[:2] == wanted[:2]:
                self._settings.set_cnmi(current, count=len(wanted))
                return True
        return False

    def _is_acceptable(self, current: tuple[int, ...]) -> bool:
        """Return True if the current setting can stay: it has notifications and nothing unwanted."""
        settings = self._settings.current
        if only := _profile_cnmi(settings):
            return current[: len(only)] == only
        _, _, broadcasts, reports, _ = (*current, 0, 0, 0, 0, 0)[:5]
        return (
            self._has_notifications(current)
            and broadcasts == 0
            and (reports != 0 or not settings.status_reports)
        )

    def _has_notifications(self, current: tuple[int, ...]) -> bool:
        """Return True if messages are reported, or delivered directly if the module has no stores."""
        mode, delivery = (*current, 0, 0)[:2]
        return mode != 0 and (delivery == 1 if self._settings.current.has_stores else delivery in {2, 3})


def _profile_cnmi(settings: ModemSettings) -> tuple[int, ...]:
    """Return the only value that works according to the profile; empty if the profile names none."""
    return tuple(int(value) for value in (settings.driver.cnmi or "").split(",") if value.isdigit())


def _cnmi_candidates(
    offered: tuple[frozenset[str], ...], settings: ModemSettings
) -> Iterator[tuple[int, ...]]:
    """Yield values of +CNMI to try, best first: `<mode>,<mt>,<bm>,<ds>,<bfr>`, then with fewer values.

    <mode> 2 buffers URCs while the line is in data mode; several families advertise it and refuse it. Some
    require <mode> 1 for status reports, some a <bfr> of 1.
    """

    def is_offered(position: int, value: int) -> bool:
        return len(offered) <= position or not offered[position] - {""} or str(value) in offered[position]

    def is_consistent(mode: int, delivery: int, report: int) -> bool:
        """Return False for what SIMCom forbids: <mt> 3 and <ds> 1 need <mode> 1, <mt> 2 needs 1 or 2."""
        if Quirk.CNMI_NEEDS_MODE not in settings.driver.quirks:
            return True
        return mode == 1 or (delivery != 3 and report != 1 and (delivery != 2 or mode == 2))

    if only := _profile_cnmi(settings):
        yield only
    deliveries = (1, 3, 2) if settings.has_stores else (2, 3)
    reports = (2, 1, 0) if settings.status_reports else (0,)
    flushes = [bfr for bfr in (0, 1) if is_offered(4, bfr)]
    for delivery in deliveries:
        for report in reports:
            for mode in (2, 1, 3):
                offers = is_offered(0, mode) and is_offered(1, delivery) and is_offered(3, report)
                if offers and is_consistent(mode, delivery, report):
                    yield from ((mode, delivery, 0, report, bfr) for bfr in flushes)
        for mode in (2, 1):
            if is_offered(0, mode) and is_offered(1, delivery) and is_consistent(mode, delivery, 0):
                yield mode, delivery
