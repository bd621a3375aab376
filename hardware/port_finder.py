"""Finds the port for `port = "auto"`: the AT port of the one USB module that a profile names.

The search runs before each opening, because ttyUSB2 may be another device after a reconnect; a port is
identified by vendor, product and interface. A port that no profile names is never opened: a serial adapter
may lead to some other bus. A module on a UART cannot be identified without writing to it, so its port is set
in agent.toml.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from hardware import header_uart, identify, profile, serial_console
from hardware.identify import PortInfo
from hardware.profile import DriverProfile
from hardware.sysfs import (
    ROOT,
    UsbDevice,
    UsbPort,
    find_udev_links,
    find_usb_port,
    list_usb_devices,
    list_usb_ports,
)
from pdu.record import Record

REAPPEAR_GRACE_S = 120.0
"""Time for a module that was in use to reappear before another one may be chosen. The slowest known modules
need 20 to 30 s for a restart."""
UART_PREFIXES = ("ttyS", "ttyAMA", "ttyO", "ttymxc", "ttyTHS", "ttySC")
"""Names that the kernel gives to the UARTs of boards."""
MAX_LISTED_PORTS = 6
"""Maximum number of ports in one sentence."""
CONFIG_KEY = "[modem] port in agent.toml"


class PortSelectionError(Exception):
    """No port can be chosen now; the text is one sentence with what was found and what to do."""

    def __init__(self, kind: str, sentence: str) -> None:
        """`kind` is "absent", "forbidden", "busy" or "ambiguous"."""
        super().__init__(sentence)
        self.kind = kind


class PortCandidate(Record):
    """An AT port that one or more profiles name."""

    port: UsbPort
    rank: int
    profiles: tuple[str, ...]

    @property
    def description(self) -> str:
        """Names of the profiles and USB path: `SIM7000 or SIM7600 at USB 1-1.2`."""
        return f"{_join_profile_names(self.profiles)} at USB {self.port.device.usb_path}"


def read_port_info(node: Path, root: Path = ROOT) -> PortInfo:
    """Return what is known about the port at a device path, links followed. Reads /sys only."""
    port = find_usb_port(node, root)
    if port is None:
        uart = node.resolve().name.startswith(UART_PREFIXES)
        return PortInfo(role="uart" if uart else "")
    drivers = profile.load_driver_profiles(port.device.product)
    known = identify.match_usb_id(port.device.vendor, port.device.product, drivers)
    if not known:
        return PortInfo(role="uart")  # an adapter: it is wired to the UART of the module
    ranks = [rank for name in known if (rank := identify.rank_at_port(drivers[name], port)) is not None]
    role = ("at", "modem")[min(ranks)] if ranks else ""
    return PortInfo(tuple(known), port.device.usb_id, role)


class PortFinder:
    """Finds the AT port, and after a disconnect the port of the same module."""

    def __init__(self, root: Path = ROOT) -> None:
        self._root = root
        self._last_used: PortCandidate | None = None
        self._other_usb_paths: frozenset[str] = frozenset()
        """USB paths of the other modules at the time when the one in use was chosen."""
        self._missing_since: float | None = None

    def find(self, now: float) -> Path:
        """Return the device path of the AT port.

        Raises PortSelectionError. `now` is monotonic time in seconds.
        """
        ports = list_usb_ports(self._root)
        drivers = profile.load_driver_profiles(*{port.device.vendor for port in ports}) if ports else {}
        candidates = _find_candidates(ports, drivers)
        if (last_used := self._find_last_used(candidates)) is not None:
            return self._select(last_used, candidates)
        if self._last_used is not None:
            self._enforce_grace(self._last_used, candidates, now)
        if not candidates:
            raise PortSelectionError("absent", explain_none(ports, drivers, self._root))
        if len(candidates) > 1:
            raise PortSelectionError("ambiguous", explain_several(candidates, self._root))
        return self._select(candidates[0], candidates)

    def _find_last_used(self, candidates: list[PortCandidate]) -> PortCandidate | None:
        """Return the module at the USB path of the last used one, else the same device at a new path."""
        if self._last_used is None:
            return None
        device = self._last_used.port.device
        same_path = [found for found in candidates if found.port.device.usb_path == device.usb_path]
        moved = [
            found
            for found in candidates
            if _is_same_device(found.port.device, device)
            and found.port.device.usb_path not in self._other_usb_paths
        ]
        return same_path[0] if same_path else moved[0] if len(moved) == 1 else None

    def _enforce_grace(self, last_used: PortCandidate, candidates: list[PortCandidate], now: float) -> None:
        """Raise PortSelectionError while the module in use may be restarting."""
        self._missing_since = now if self._missing_since is None else self._missing_since
        if now - self._missing_since >= REAPPEAR_GRACE_S:
            return
        other = f"; until then {candidates[0].description} is not used instead" if candidates else ""
        raise PortSelectionError(
            "absent",
            f"the AT port of {last_used.description} (last {last_used.port.node}) has disappeared; a "
            f"module that restarts is back within {REAPPEAR_GRACE_S:.0f} s{other}",
        )

    def _select(self, candidate: PortCandidate, candidates: list[PortCandidate]) -> Path:
        self._last_used, self._missing_since = candidate, None
        self._other_usb_paths = frozenset(
            other.port.device.usb_path for other in candidates if other is not candidate
        )
        return candidate.port.node


def refuse_login_console(node: Path, root: Path = ROOT) -> None:
    """Raise PortSelectionError if the port is a login console."""
    if unit := serial_console.find_login_console(node, root):
        advice = header_uart.explain_debug_plug(node, root) or serial_console.fix_hint(node, root)
        raise PortSelectionError("busy", f"port {node} is a login console ({unit}); {advice}")


def explain_none(ports: list[UsbPort], drivers: Mapping[str, DriverProfile], root: Path) -> str:
    """Return a sentence that says why no port is chosen, and what to do."""
    findings = [
        *_explain_known_modules(ports, drivers),
        *_explain_modules_without_tty(ports, root),
        *_explain_unknown_ports(ports, drivers),
    ]
    listed = "; ".join(findings[:MAX_LISTED_PORTS]) + (
        f"; and {len(findings) - MAX_LISTED_PORTS} more" if len(findings) > MAX_LISTED_PORTS else ""
    )
    if not findings:
        listed = (
            "there is no USB serial port (nothing in /dev/serial/by-id): the module is off or not plugged in"
        )
    present = next((port for port in ports if port.is_present), None)
    example = (
        f"; if one of these is the AT port, set {CONFIG_KEY} to its name: {_stable_name(present, root)}"
        if present
        else ""
    )
    return f'port = "auto" finds no AT port of a known module: {listed}{example}; {_explain_uart(root)}'


def explain_several(candidates: list[PortCandidate], root: Path) -> str:
    """Return a sentence that lists the modules and says how to choose one."""
    names = [f"{name} ({description})" for name, description in _name_candidates(candidates, root)]
    return (
        f'port = "auto" finds {len(candidates)} modules: {", ".join(names)}; '
        f"set {CONFIG_KEY} to one of these names"
    )


def list_candidates(root: Path = ROOT) -> list[tuple[str, str]]:
    """Return a stable name of the AT port of each known module that is plugged in, and its description."""
    ports = list_usb_ports(root)
    drivers = profile.load_driver_profiles(*{port.device.vendor for port in ports}) if ports else {}
    return _name_candidates(_find_candidates(ports, drivers), root)


def _name_candidates(candidates: list[PortCandidate], root: Path) -> list[tuple[str, str]]:
    # Modules of one kind often have the same serial number and then share one by-id link.
    ids = [(found.port.device.usb_id, found.port.device.serial) for found in candidates]
    share_id = len(set(ids)) < len(ids)
    return [(_stable_name(found.port, root, prefer_path=share_id), found.description) for found in candidates]


def _find_candidates(ports: Iterable[UsbPort], drivers: Mapping[str, DriverProfile]) -> list[PortCandidate]:
    """Return the best AT port of each module."""
    best: dict[str, PortCandidate] = {}
    for port in ports:
        ranks = {
            name: rank
            for name, driver in drivers.items()
            if (rank := identify.rank_at_port(driver, port)) is not None and port.is_present
        }
        if ranks:
            found = PortCandidate(port, min(ranks.values()), tuple(ranks))
            other = best.get(port.device.usb_path)
            if other is None or found.rank < other.rank:
                best[port.device.usb_path] = found
    return list(best.values())


def _is_same_device(one: UsbDevice, other: UsbDevice) -> bool:
    return (one.usb_id, one.serial) == (other.usb_id, other.serial)


def _explain_known_modules(ports: list[UsbPort], drivers: Mapping[str, DriverProfile]) -> list[str]:
    """Return a clause for each known module that has no usable AT port."""
    clauses = []
    for device in _unique_devices(ports):
        known = identify.match_usb_id(device.vendor, device.product, drivers)
        if not known:
            continue
        own = [port for port in ports if port.device.usb_path == device.usb_path]
        nodes = ", ".join(str(port.node) for port in own)
        named = [
            port
            for port in own
            if any(identify.rank_at_port(drivers[name], port) is not None for name in known)
        ]
        if named:
            reason = f"whose AT port {named[0].node} is not passed to this container or not created yet"
        elif any(_has_at_port(drivers[name], device) for name in known):
            reason = "none of which is its AT port"
        else:
            reason = "and which of them takes AT commands is not published"
        clauses.append(f"{nodes} belong to {_join_profile_names(known)} ({device.usb_id}), {reason}")
    return clauses


def _has_at_port(driver: DriverProfile, device: UsbDevice) -> bool:
    return any(
        layout.at_interface is not None or bool(layout.at_interface_classes)
        for layout in driver.usb_layouts(device.vendor, device.product)
    )


def _explain_modules_without_tty(ports: list[UsbPort], root: Path) -> list[str]:
    """Return a clause for each known module that is plugged in but has no serial port."""
    with_tty = {port.device.usb_path for port in ports}
    devices = [device for device in list_usb_devices(root) if device.usb_path not in with_tty]
    drivers = profile.load_driver_profiles(*{device.vendor for device in devices}) if devices else {}
    clauses = []
    for device in devices:
        known = identify.match_usb_id(device.vendor, device.product, drivers)
        layouts = [
            layout for name in known for layout in drivers[name].usb_layouts(device.vendor, device.product)
        ]
        if any(layout.no_at for layout in layouts):
            clauses.append(
                f"{_join_profile_names(known)} at USB {device.usb_path} is in a mode without an AT port "
                f"({device.usb_id})"
            )
        elif known:
            clauses.append(
                f"{_join_profile_names(known)} at USB {device.usb_path} ({device.usb_id}) has no serial "
                "port: the kernel's driver for it (option, cdc_acm) is missing"
            )
    return clauses


def _explain_unknown_ports(ports: list[UsbPort], drivers: Mapping[str, DriverProfile]) -> list[str]:
    return [
        f"{port.node} ({port.device.usb_id} {port.device.description}".rstrip()
        + f", interface {port.interface}) is in no profile"
        for port in ports
        if not identify.match_usb_id(port.device.vendor, port.device.product, drivers)
    ]


def _unique_devices(ports: list[UsbPort]) -> list[UsbDevice]:
    return list({port.device.usb_path: port.device for port in ports}.values())


def _explain_uart(root: Path) -> str:
    """Return the clause for a module on the UART, which the operator must configure."""
    port = header_uart.describe_header_uart(root)
    return f"a module on a UART (a HAT) is not searched for: set {CONFIG_KEY} to its port ({port})"


def _stable_name(port: UsbPort, root: Path, *, prefer_path: bool = False) -> str:
    """Return a name of the port that does not change: a udev link if there is one."""
    by_id, by_path = find_udev_links(port.node, root)
    return str((by_path or by_id if prefer_path else by_id or by_path) or port.node)


def _join_profile_names(profiles: Iterable[str]) -> str:
    """Return `SIM7000 or SIM7600`."""
    return " or ".join(name.replace("_", " ").upper() for name in profiles)
