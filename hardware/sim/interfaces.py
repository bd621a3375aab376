"""The air between a simulated module and the simulated network: the two sides as they see each other.

Both cores do no I/O and read no clock of their own: they are given a `Scheduler` (the event loop fits) and a
wall clock. The calls carry what the relay layer carries (3GPP TS 24.011): a TPDU as octets without a service
centre field, a reference to answer by, and a cause when something is refused.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, TypeVarTuple

if TYPE_CHECKING:
    from collections.abc import Callable

    from pdu import Address

Arguments = TypeVarTuple("Arguments")

RP_MEMORY_EXCEEDED = 22
"""RP cause of a refused delivery: the network keeps it until `Network.memory_available` (24.011 E.2)."""

FCS_MEMORY_EXCEEDED = 0xD3
"""The same, as TP-FCS of a DELIVER-REPORT (23.040 9.2.3.22)."""


class TimerHandle(Protocol):
    """A call that was put off and may still be cancelled."""

    def cancel(self) -> None: ...


class Scheduler(Protocol):
    """Monotonic time and calls at a later time; `asyncio.AbstractEventLoop` is one."""

    def time(self) -> float:
        """Seconds since some beginning."""

    def call_later(
        self, delay: float, callback: Callable[[*Arguments], object], /, *args: *Arguments
    ) -> TimerHandle:
        """Call `callback(*args)` in `delay` seconds."""


class MobileStation(Protocol):
    """A module, as the network sees it."""

    @property
    def imsi(self) -> str:
        """Identity of the subscription, 6 to 15 digits; empty without a SIM."""

    @property
    def attached(self) -> bool:
        """Whether the module has attached and not yet detached."""

    def deliver(self, reference: int, service_centre: Address, tpdu: bytes) -> None:
        """RP-DATA to the mobile: a DELIVER or a STATUS-REPORT; answered by `Network.acknowledge`."""

    def submitted(self, token: int, cause: int | None) -> None:
        """Outcome of `Network.submit`: None is RP-ACK, else an RP cause (24.011 E.2) or a TP-FCS 128..255."""


class Network(Protocol):
    """The network, as a module sees it."""

    def attach(self, station: MobileStation) -> int:
        """Register; answers the state `<stat>` of 27.007 7.2 (1 home, 5 roaming, 3 denied ...)."""

    def detach(self, station: MobileStation) -> None:
        """Leave; what waits for this station is kept."""

    def submit(self, station: MobileStation, token: int, tpdu: bytes) -> None:
        """RP-DATA from the mobile: a SUBMIT or COMMAND; answered by `Station.submitted` with the token."""

    def acknowledge(self, station: MobileStation, reference: int, cause: int | None) -> None:
        """Answer to `Station.deliver`: None is RP-ACK, else the cause of the refusal."""

    def memory_available(self, station: MobileStation) -> None:
        """RP-SMMA: there is room again after a refusal for want of memory."""
