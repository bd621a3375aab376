"""The interfaces between a simulated module and the simulated network, and of the scheduler that both use.

The calls carry what the relay layer carries (3GPP TS 24.011): a TPDU as octets without a service centre
address, a reference for the answer, and a cause if something is refused.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, TypeVarTuple

if TYPE_CHECKING:
    from collections.abc import Callable

    from pdu import Address

Arguments = TypeVarTuple("Arguments")

RP_MEMORY_EXCEEDED = 22
"""RP cause "memory capacity exceeded": the network keeps the message until RP-SMMA (24.011 E.2)."""

FCS_MEMORY_EXCEEDED = 0xD3
"""TP-FCS "memory capacity exceeded" of a DELIVER-REPORT (23.040 9.2.3.22)."""


class TimerHandle(Protocol):
    """A scheduled call that can be cancelled."""

    def cancel(self) -> None: ...


class Scheduler(Protocol):
    """Monotonic time and delayed calls; `asyncio.AbstractEventLoop` is one."""

    def time(self) -> float:
        """Return the monotonic time in seconds."""

    def call_later(
        self, delay: float, callback: Callable[[*Arguments], object], /, *args: *Arguments
    ) -> TimerHandle:
        """Call `callback(*args)` after `delay` seconds."""


class MobileStation(Protocol):
    """The interface of a module towards the network."""

    @property
    def imsi(self) -> str:
        """IMSI of the SIM, 6 to 15 digits; empty without a SIM."""

    @property
    def attached(self) -> bool:
        """True from an accepted attach to the detach."""

    def deliver(self, reference: int, service_centre: Address, tpdu: bytes) -> None:
        """Process an RP-DATA (DELIVER or STATUS-REPORT); the answer is `Network.acknowledge`."""

    def submitted(self, token: int, cause: int | None) -> None:
        """Process the result of `Network.submit`: None is RP-ACK, else an RP cause or a TP-FCS."""


class Network(Protocol):
    """The interface of the network towards a module."""

    def attach(self, station: MobileStation) -> int:
        """Register a module; returns `<stat>` of 27.007 7.2 (1 home, 5 roaming, 3 denied ...)."""

    def detach(self, station: MobileStation) -> None:
        """Deregister a module; its waiting messages are kept."""

    def submit(self, station: MobileStation, token: int, tpdu: bytes) -> None:
        """Process an RP-DATA (SUBMIT, COMMAND); the answer is `MobileStation.submitted` with the token."""

    def acknowledge(self, station: MobileStation, reference: int, cause: int | None) -> None:
        """Process the answer to `MobileStation.deliver`: None is RP-ACK, else the cause of the refusal."""

    def memory_available(self, station: MobileStation) -> None:
        """Process RP-SMMA: the module has free memory again after it refused a message for lack of memory."""
