"""`port = "auto"`: the AT port of the one USB module that a profile names, found anew at each opening.

A port is known by vendor, product and interface; ttyUSB2 may be anybody's after the next plug. A port that no
profile names is never taken: what looks like a serial adapter may be somebody's bus. Modules on a UART cannot
be told from anything else there, so they are named in agent.toml.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from hardware import identify, profile, serial_console
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

REAPPEAR_GRACE_S = 120.0
"""How long a module that was used is waited for before another one is taken in its place. The slowest known
ones need 20 to 30 s to come back from a restart."""
UART_PREFIXES = ("ttyS", "ttyAMA", "ttyO", "ttymxc", "ttyTHS", "ttySC")
"""How the kernel names the UARTs of boards."""
MAX_LISTED_PORTS = 6
"""Most ports named in one sentence."""
CONFIG_KEY = "[modem] port in agent.toml"


class PortSelectionError(Exception):
    """No port can be taken now; the text is one sentence that says what was seen and what to do."""

    def __init__(self, kind: str, sentence: str) -> None:
        """`kind` is "absent", "forbidden", "busy" or "ambiguous"."""
        super().__init__(sentence)
        self.kind = kind


@dataclass(frozen=True, slots=True)
class PortCandidate:
    """An AT port that profiles name."""

    port: UsbPort
    rank: int
    profiles: tuple[str, ...]

    @property
    def description(self) -> str:
        """What is known of it: `SIM7000 or SIM7600 at USB 1-1.2`."""
        return f"{_join_profile_names(self.profiles)} at USB {self.port.device.usb_path}"


def read_port_info(node: Path, root: Path = ROOT) -> PortInfo:
    """Look at the port of this path, links followed."""
    port = find_usb_port(node, root)
    if port is None:
        uart = node.resolve().name.startswith(UART_PREFIXES)
        return PortInfo(role="uart" if uart else "")
    drivers = profile.load_driver_profiles(port.device.product)
    known = identify.match_usb_id(port.device.vendor, port.device.product, drivers)
    if not known:
        return PortInfo(role="uart")  # an adapter: what hangs on it hangs there by its UART
    ranks = [rank for name in known if (rank := _rank_port(drivers[name], port)) is not None]
    role = ("at", "modem")[min(ranks)] if ranks else ""
    return PortInfo(tuple(known), port.device.usb_id, role)


class PortFinder:
    """Finds the AT port, and the same module again after it went away."""

    def __init__(self, root: Path = ROOT) -> None:
        self._root = root
        self._last_used: PortCandidate | None = None
        self._other_usb_paths: frozenset[str] = frozenset()
        """Where other modules were plugged in when the one in use was taken."""
        self._missing_since: float | None = None

    def find(self, now: float) -> Path:
        """The device path of the AT port; `now` is monotonic time in seconds. Raises NoPort."""
        ports = list_usb_ports(self._root)
        drivers = profile.load_driver_profiles(*{port.device.vendor for port in ports}) if ports else {}
        modules = _find_candidates(ports, drivers)
        if (again := self._find_last_used(modules)) is not None:
            return self._select(again, modules)
        if self._last_used is not None:
            self._enforce_grace(self._last_used, modules, now)
        if not modules:
            raise PortSelectionError("absent", explain_none(ports, drivers, self._root))
        if len(modules) > 1:
            raise PortSelectionError("ambiguous", explain_several(modules, self._root))
        return self._select(modules[0], modules)

    def _find_last_used(self, modules: list[PortCandidate]) -> PortCandidate | None:
        """The module in use: what is at its place, or the same at a place where none was."""
        if self._last_used is None:
            return None
        was = self._last_used.port.device
        here = [found for found in modules if found.port.device.usb_path == was.usb_path]
        moved = [
            found
            for found in modules
            if _is_same_device(found.port.device, was)
            and found.port.device.usb_path not in self._other_usb_paths
        ]
        return here[0] if here else moved[0] if len(moved) == 1 else None

    def _enforce_grace(self, last_used: PortCandidate, modules: list[PortCandidate], now: float) -> None:
        """Take no other module while the one in use may be restarting."""
        self._missing_since = now if self._missing_since is None else self._missing_since
        if now - self._missing_since >= REAPPEAR_GRACE_S:
            return
        other = f"; {modules[0].description} is not taken in its place before that" if modules else ""
        raise PortSelectionError(
            "absent",
            f"the AT port of {last_used.description} (last {last_used.port.node}) is gone; a module that "
            f"restarts is back within {REAPPEAR_GRACE_S:.0f} s{other}",
        )

    def _select(self, candidate: PortCandidate, modules: list[PortCandidate]) -> Path:
        self._last_used, self._missing_since = candidate, None
        self._other_usb_paths = frozenset(
            other.port.device.usb_path for other in modules if other is not candidate
        )
        return candidate.port.node


def refuse_login_console(node: Path, root: Path = ROOT) -> None:
    """Raise NoPort if a login console has the port."""
    if unit := serial_console.find_login_console(node, root):
        raise PortSelectionError(
            "busy", f"{unit} is a login console on port {node}; {serial_console.fix_hint(node, root)}"
        )


def explain_none(ports: list[UsbPort], drivers: Mapping[str, DriverProfile], root: Path) -> str:
    """Why no port is taken, and what can be done."""
    seen = [
        *_explain_known_modules(ports, drivers),
        *_explain_modules_without_tty(ports, root),
        *_explain_unknown_ports(ports, drivers),
    ]
    listed = "; ".join(seen[:MAX_LISTED_PORTS]) + (
        f"; and {len(seen) - MAX_LISTED_PORTS} more" if len(seen) > MAX_LISTED_PORTS else ""
    )
    if not seen:
        listed = (
            "there is no USB serial port (nothing in /dev/serial/by-id), so it is not plugged in or not on"
        )
    nameable = next((port for port in ports if port.is_present), None)
    example = (
        f"; if one of these is it, write its name to {CONFIG_KEY}: {_stable_name(nameable, root)}"
        if nameable
        else ""
    )
    return f'port = "auto" finds no AT port of a module it knows: {listed}{example}; {_explain_uart(root)}'


def explain_several(modules: list[PortCandidate], root: Path) -> str:
    """Which modules there are, and how to name one."""
    # Modules of one kind often have one serial number and then share one link by-id: the place tells them.
    ids = [(found.port.device.usb_id, found.port.device.serial) for found in modules]
    alike = len(set(ids)) < len(ids)
    names = [
        f"{_stable_name(found.port, root, prefer_path=alike)} ({found.description})" for found in modules
    ]
    return (
        f'port = "auto" finds {len(modules)} modules: {", ".join(names)}; '
        f"write one of these names to {CONFIG_KEY}"
    )


def _find_candidates(ports: Iterable[UsbPort], drivers: Mapping[str, DriverProfile]) -> list[PortCandidate]:
    """The best AT port of each module."""
    best: dict[str, PortCandidate] = {}
    for port in ports:
        ranks = {
            name: rank
            for name, driver in drivers.items()
            if (rank := _rank_port(driver, port)) is not None and port.is_present
        }
        if ranks:
            found = PortCandidate(port, min(ranks.values()), tuple(ranks))
            other = best.get(port.device.usb_path)
            if other is None or found.rank < other.rank:
                best[port.device.usb_path] = found
    return list(best.values())


def _rank_port(driver: DriverProfile, port: UsbPort) -> int | None:
    return identify.rank_at_port(
        driver, port.device.vendor, port.device.product, port.interface, port.interface_class
    )


def _is_same_device(one: UsbDevice, other: UsbDevice) -> bool:
    return (one.usb_id, one.serial) == (other.usb_id, other.serial)


def _explain_known_modules(ports: list[UsbPort], drivers: Mapping[str, DriverProfile]) -> list[str]:
    """One clause for each module that is known and has no AT port to take."""
    clauses = []
    for device in _unique_devices(ports):
        known = identify.match_usb_id(device.vendor, device.product, drivers)
        if not known:
            continue
        own = [port for port in ports if port.device.usb_path == device.usb_path]
        nodes = ", ".join(str(port.node) for port in own)
        named = [port for port in own if any(_rank_port(drivers[name], port) is not None for name in known)]
        if named:
            reason = f"whose AT port {named[0].node} was not given to this container or is still being made"
        elif any(_has_at_port(drivers[name], device) for name in known):
            reason = "none of which is its AT port"
        else:
            reason = "and which of them takes AT commands is not published"
        clauses.append(f"{nodes} belong to {_join_profile_names(known)} ({device.usb_id}), {reason}")
    return clauses


def _has_at_port(driver: DriverProfile, device: UsbDevice) -> bool:
    return any(
        layout.at_interface is not None or bool(layout.at_interface_classes)
        for layout in driver.usb
        if layout.vendor == device.vendor and device.product in layout.products
    )


def _explain_modules_without_tty(ports: list[UsbPort], root: Path) -> list[str]:
    """One clause for each known module that is plugged in and has no serial port at all."""
    with_tty = {port.device.usb_path for port in ports}
    devices = [device for device in list_usb_devices(root) if device.usb_path not in with_tty]
    drivers = profile.load_driver_profiles(*{device.vendor for device in devices}) if devices else {}
    clauses = []
    for device in devices:
        known = identify.match_usb_id(device.vendor, device.product, drivers)
        if known and any(
            layout.no_at and device.product in layout.products
            for name in known
            for layout in drivers[name].usb
        ):
            clauses.append(
                f"{_join_profile_names(known)} at USB {device.usb_path} is in a mode without AT port "
                f"({device.usb_id})"
            )
        elif known:
            clauses.append(
                f"{_join_profile_names(known)} at USB {device.usb_path} ({device.usb_id}) has no serial port: "
                "the kernel's driver for it (option, cdc_acm) is missing"
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
    """A module on the header is named, not guessed."""
    node = root / "dev/serial0"
    port = '"/dev/serial0" on a Raspberry Pi'
    sentence = f"a module on a UART (a HAT) is not looked for: write its port ({port}) to {CONFIG_KEY}"
    steps = serial_console.fix_hint(node, root) if node.exists() else None
    return f"{sentence}, but first {steps}" if steps else sentence


def _stable_name(port: UsbPort, root: Path, *, prefer_path: bool = False) -> str:
    """The name of a port that stays."""
    by_id, by_path = find_udev_links(port.node, root)
    return str((by_path or by_id if prefer_path else by_id or by_path) or port.node)


def _join_profile_names(profiles: Iterable[str]) -> str:
    """`SIM7000 or SIM7600`."""
    return " or ".join(name.replace("_", " ").upper() for name in profiles)
