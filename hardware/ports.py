"""`port = "auto"`: the AT port of the one USB module that a profile names, found anew at each opening.

A port is known by vendor, product and interface; ttyUSB2 may be anybody's after the next plug. A port that no
profile names is never taken: what looks like a serial adapter may be somebody's bus. Modules on a UART cannot
be told from anything else there, so they are named in agent.toml.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from hardware import console, identify, profile
from hardware.identify import Place
from hardware.profile import DriverProfile
from hardware.sysfs import ROOT, UsbDevice, UsbPort, stable_names, usb_devices, usb_port, usb_ports

GRACE_S = 120.0
"""How long a module that was used is waited for before another one is taken in its place. The slowest known
ones need 20 to 30 s to come back from a restart."""
UARTS = ("ttyS", "ttyAMA", "ttyO", "ttymxc", "ttyTHS", "ttySC")
"""How the kernel names the UARTs of boards."""
LISTED = 6
"""Most ports named in one sentence."""
KEY = "[modem] port in agent.toml"


class NoPort(Exception):  # noqa: N818  (reads as the sentence it is)
    """No port can be taken now; the text is one sentence that says what was seen and what to do."""

    def __init__(self, kind: str, sentence: str) -> None:
        """`kind` is "absent", "forbidden", "busy" or "ambiguous"."""
        super().__init__(sentence)
        self.kind = kind


@dataclass(frozen=True, slots=True)
class Found:
    """An AT port that profiles name."""

    port: UsbPort
    rank: int
    profiles: tuple[str, ...]

    @property
    def name(self) -> str:
        """What is known of it: `SIM7000 or SIM7600 at USB 1-1.2`."""
        return f"{_names(self.profiles)} at USB {self.port.device.path}"


def place(node: Path, root: Path = ROOT) -> Place:
    """Look at the port of this path, links followed."""
    port = usb_port(node, root)
    if port is None:
        uart = node.resolve().name.startswith(UARTS)
        return Place(role="uart" if uart else "")
    drivers = profile.drivers(port.device.product)
    known = identify.by_usb(port.device.vendor, port.device.product, drivers)
    if not known:
        return Place(role="uart")  # an adapter: what hangs on it hangs there by its UART
    ranks = [rank for name in known if (rank := _rank(drivers[name], port)) is not None]
    role = ("at", "modem")[min(ranks)] if ranks else ""
    return Place(tuple(known), port.device.ids, role)


class Finder:
    """Finds the AT port, and the same module again after it went away."""

    def __init__(self, root: Path = ROOT) -> None:
        self._root = root
        self._used: Found | None = None
        self._neighbours: frozenset[str] = frozenset()
        """Where other modules were plugged in when the one in use was taken."""
        self._gone_since: float | None = None

    def find(self, now: float) -> Path:
        """The device path of the AT port; `now` is monotonic time in seconds. Raises NoPort."""
        ports = usb_ports(self._root)
        drivers = profile.drivers(*{port.device.vendor for port in ports}) if ports else {}
        modules = _modules(ports, drivers)
        if (again := self._again(modules)) is not None:
            return self._take(again, modules)
        if self._used is not None:
            self._wait_for(self._used, modules, now)
        if not modules:
            raise NoPort("absent", nothing(ports, drivers, self._root))
        if len(modules) > 1:
            raise NoPort("ambiguous", several(modules, self._root))
        return self._take(modules[0], modules)

    def _again(self, modules: list[Found]) -> Found | None:
        """The module in use: what is at its place, or the same at a place where none was."""
        if self._used is None:
            return None
        was = self._used.port.device
        here = [found for found in modules if found.port.device.path == was.path]
        moved = [
            found
            for found in modules
            if _same(found.port.device, was) and found.port.device.path not in self._neighbours
        ]
        return here[0] if here else moved[0] if len(moved) == 1 else None

    def _wait_for(self, used: Found, modules: list[Found], now: float) -> None:
        """Take no other module while the one in use may be restarting."""
        self._gone_since = now if self._gone_since is None else self._gone_since
        if now - self._gone_since >= GRACE_S:
            return
        other = f"; {modules[0].name} is not taken in its place before that" if modules else ""
        raise NoPort(
            "absent",
            f"the AT port of {used.name} (last {used.port.node}) is gone; a module that restarts is back "
            f"within {GRACE_S:.0f} s{other}",
        )

    def _take(self, found: Found, modules: list[Found]) -> Path:
        self._used, self._gone_since = found, None
        self._neighbours = frozenset(other.port.device.path for other in modules if other is not found)
        return found.port.node


def login(node: Path, root: Path = ROOT) -> None:
    """Raise NoPort if a login console has the port."""
    if unit := console.login_on(node, root):
        raise NoPort("busy", f"{unit} is a login console on port {node}; {console.remedy(node, root)}")


def nothing(ports: list[UsbPort], drivers: Mapping[str, DriverProfile], root: Path) -> str:
    """Why no port is taken, and what can be done."""
    seen = [*_of_known(ports, drivers), *_without_tty(ports, root), *_strangers(ports, drivers)]
    listed = "; ".join(seen[:LISTED]) + (f"; and {len(seen) - LISTED} more" if len(seen) > LISTED else "")
    if not seen:
        listed = (
            "there is no USB serial port (nothing in /dev/serial/by-id), so it is not plugged in or not on"
        )
    nameable = next((port for port in ports if port.there), None)
    example = f"; if one of these is it, write its name to {KEY}: {_name(nameable, root)}" if nameable else ""
    return f'port = "auto" finds no AT port of a module it knows: {listed}{example}; {_uart(root)}'


def several(modules: list[Found], root: Path) -> str:
    """Which modules there are, and how to name one."""
    # Modules of one kind often have one serial number and then share one link by-id: the place tells them.
    ids = [(found.port.device.ids, found.port.device.serial) for found in modules]
    alike = len(set(ids)) < len(ids)
    names = [f"{_name(found.port, root, by_place=alike)} ({found.name})" for found in modules]
    return (
        f'port = "auto" finds {len(modules)} modules: {", ".join(names)}; write one of these names to {KEY}'
    )


def _modules(ports: Iterable[UsbPort], drivers: Mapping[str, DriverProfile]) -> list[Found]:
    """The best AT port of each module."""
    best: dict[str, Found] = {}
    for port in ports:
        ranks = {
            name: rank
            for name, driver in drivers.items()
            if (rank := _rank(driver, port)) is not None and port.there
        }
        if ranks:
            found = Found(port, min(ranks.values()), tuple(ranks))
            other = best.get(port.device.path)
            if other is None or found.rank < other.rank:
                best[port.device.path] = found
    return list(best.values())


def _rank(driver: DriverProfile, port: UsbPort) -> int | None:
    return identify.at_port(driver, port.device.vendor, port.device.product, port.interface, port.kind)


def _same(one: UsbDevice, other: UsbDevice) -> bool:
    return (one.ids, one.serial) == (other.ids, other.serial)


def _of_known(ports: list[UsbPort], drivers: Mapping[str, DriverProfile]) -> list[str]:
    """One clause for each module that is known and has no AT port to take."""
    clauses = []
    for device in _devices(ports):
        known = identify.by_usb(device.vendor, device.product, drivers)
        if not known:
            continue
        own = [port for port in ports if port.device.path == device.path]
        nodes = ", ".join(str(port.node) for port in own)
        named = [port for port in own if any(_rank(drivers[name], port) is not None for name in known)]
        if named:
            reason = f"whose AT port {named[0].node} was not given to this container or is still being made"
        elif any(_has_at(drivers[name], device) for name in known):
            reason = "none of which is its AT port"
        else:
            reason = "and which of them takes AT commands is not published"
        clauses.append(f"{nodes} belong to {_names(known)} ({device.ids}), {reason}")
    return clauses


def _has_at(driver: DriverProfile, device: UsbDevice) -> bool:
    return any(
        layout.at is not None or bool(layout.at_classes)
        for layout in driver.usb
        if layout.vendor == device.vendor and device.product in layout.products
    )


def _without_tty(ports: list[UsbPort], root: Path) -> list[str]:
    """One clause for each known module that is plugged in and has no serial port at all."""
    with_tty = {port.device.path for port in ports}
    devices = [device for device in usb_devices(root) if device.path not in with_tty]
    drivers = profile.drivers(*{device.vendor for device in devices}) if devices else {}
    clauses = []
    for device in devices:
        known = identify.by_usb(device.vendor, device.product, drivers)
        if known and any(
            layout.no_at and device.product in layout.products
            for name in known
            for layout in drivers[name].usb
        ):
            clauses.append(
                f"{_names(known)} at USB {device.path} is in a mode without AT port ({device.ids})"
            )
        elif known:
            clauses.append(
                f"{_names(known)} at USB {device.path} ({device.ids}) has no serial port: the kernel's "
                "driver for it (option, cdc_acm) is missing"
            )
    return clauses


def _strangers(ports: list[UsbPort], drivers: Mapping[str, DriverProfile]) -> list[str]:
    return [
        f"{port.node} ({port.device.ids} {port.device.words}".rstrip()
        + f", interface {port.interface}) is in no profile"
        for port in ports
        if not identify.by_usb(port.device.vendor, port.device.product, drivers)
    ]


def _devices(ports: list[UsbPort]) -> list[UsbDevice]:
    return list({port.device.path: port.device for port in ports}.values())


def _uart(root: Path) -> str:
    """A module on the header is named, not guessed."""
    node = root / "dev/serial0"
    port = '"/dev/serial0" on a Raspberry Pi'
    sentence = f"a module on a UART (a HAT) is not looked for: write its port ({port}) to {KEY}"
    steps = console.remedy(node, root) if node.exists() else None
    return f"{sentence}, but first {steps}" if steps else sentence


def _name(port: UsbPort, root: Path, *, by_place: bool = False) -> str:
    """The name of a port that stays."""
    by_id, by_path = stable_names(port.node, root)
    return str((by_path or by_id if by_place else by_id or by_path) or port.node)


def _names(profiles: Iterable[str]) -> str:
    """`SIM7000 or SIM7600`."""
    return " or ".join(name.replace("_", " ").upper() for name in profiles)
