"""The SIMs of a sandbox: their specification, and the running SIM with its module."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from hardware.sim.module.port_access import PortAccess
from hardware.sim.module.scripted_answers import parse_answer
from hardware.sim.module.sim_card import SimCard
from hardware.sim.module.socket_port import SocketPort, TcpAddress
from hardware.sim.sandbox_faults import SimFaults
from hardware.sim.service.product import PRODUCTS

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from hardware.sim.module.module import SimulatedModule
    from hardware.sim.module.ports import ModulePorts
    from hardware.sim.service.service import CommandService
    from hardware.sim.service.sims import Transport

_UNIQUE_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,63}")
"""A portable file name, since the link to the port has this name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PortSpec:
    """The ports of a module besides the pseudo-terminal, and who may open them."""

    tcp: TcpAddress | None = None
    unix: str | None = None
    """A path, or `abstract:NAME`."""
    access: PortAccess = field(default_factory=PortAccess)

    def make_sockets(self) -> list[SocketPort]:
        """Return the sockets, which do not listen yet."""
        return [SocketPort(address, self.access) for address in (self.tcp, self.unix) if address is not None]


@dataclass(frozen=True, slots=True, kw_only=True)
class SimSpec:
    """The specification of a SIM with its own module. Fields that are None get generated values."""

    service: str = "super-sim"
    unique_name: str | None = None
    """Also the name of the link to its port; None means the name of the service."""
    sid: str | None = None
    status: str = "active"
    """Status of the SIM in the service; only `ready` and `active` SIMs send and receive."""
    fleet: str | None = None
    """Super SIM: SID or unique name of its Fleet, which is made if there is none; None means the default one,
    an empty text none."""
    transport: Transport = "sms"
    """`ip`: a Narrowband SIM of Programmable Wireless, whose Commands no module gets."""
    device: str = "generic"
    """Profile of the module."""
    baud: int | None = None
    """Rate of the line to the module, 0 if the module detects it; a client at another rate reads garbage.
    None means the rate of the profile and, without one there, no delay at all."""
    pin: str | None = None
    """None: the SIM has no PIN."""
    puk: str = "12345678"
    pin_retries: int = 3
    """0: the SIM asks for the PUK."""
    puk_retries: int = 10
    """0 together with no PIN retries: the SIM is blocked for good."""
    ports: PortSpec = field(default_factory=PortSpec)
    answers: tuple[str, ...] = ()
    """Scripted answers of the module, as `hardware.sim.module.scripted_answers` describes them."""

    @property
    def name(self) -> str:
        return self.unique_name or self.service


DEFAULT_SIMS = tuple(SimSpec(service=name) for name in PRODUCTS)


@dataclass(slots=True, eq=False, kw_only=True)
class SandboxSim:
    """A SIM in a running module."""

    spec: SimSpec
    sid: str
    service: CommandService
    sim_card: SimCard
    module: SimulatedModule
    ports: ModulePorts
    faults: SimFaults
    """Faults of the module, and of the messages to and from it."""

    @property
    def unique_name(self) -> str:
        return self.spec.name

    @property
    def link(self) -> Path:
        """The link to the port of the module."""
        return self.ports.pty.link

    @property
    def addresses(self) -> list[str]:
        """The link and the address of each socket, as an agent or another program takes them."""
        return [str(self.link), *self._describe_sockets().values()]

    def describe(self, root_url: str) -> dict[str, object]:
        """Return names, URLs and numbers for clients; `root_url` precedes the product's path."""
        product = self.service.product
        return {
            "sid": self.sid,
            "unique_name": self.unique_name,
            "service": product.name,
            "link": str(self.link),
            **self._describe_sockets(),
            "base_url": f"{root_url}{product.base_path}",
            "commands_url": f"{root_url}{product.collection_path}",
            "imsi": self.sim_card.imsi,
            "number": f"+{self.sim_card.phone_number}",
        }

    def _describe_sockets(self) -> dict[str, str]:
        """Return the address of each socket under `tcp` or `unix`, as an agent takes the first."""
        return {
            "tcp" if isinstance(port.address, TcpAddress) else "unix": (
                f"socket://{port.address}" if isinstance(port.address, TcpAddress) else port.address
            )
            for port in self.ports.sockets
        }


def check_sims(specs: Sequence[SimSpec]) -> None:
    """Raise ValueError with one sentence for an unknown service, conflicting names, or a wrong answer."""
    seen: set[str] = set()
    for spec in specs:
        if spec.service not in PRODUCTS:
            raise ValueError(f"there is no service {spec.service}; the services are {', '.join(PRODUCTS)}")
        for answer in spec.answers:
            parse_answer(answer)
        if not _UNIQUE_NAME.fullmatch(spec.name):
            raise ValueError(
                f"the name {spec.name!r} is not usable as a file name of letters, digits, '_', '-' and '.'"
            )
        for name in (spec.name, spec.sid):
            if name is not None and name in seen:
                raise ValueError(f"two SIMs have the name {name}")
            if name is not None:
                seen.add(name)


def make_sim_card(index: int, spec: SimSpec) -> SimCard:
    """Return a SIM of the test network 001 01."""
    return SimCard(
        imsi=f"00101{index + 1:010d}",
        iccid=_make_iccid(index),
        phone_number=f"447700900{index + 1:03d}",
        pin=spec.pin,
        puk=spec.puk,
        pin_retries=spec.pin_retries,
        puk_retries=spec.puk_retries,
    )


def _make_iccid(index: int) -> str:
    """Return 19 digits and the Luhn check digit (ITU-T E.118)."""
    digits = f"8988307{index + 1:012d}"
    total = 0
    for place, digit in enumerate(reversed(digits)):
        value = int(digit) * (2 if place % 2 == 0 else 1)
        total += value - 9 if value > 9 else value
    return f"{digits}{-total % 10}"
