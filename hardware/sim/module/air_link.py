"""The module's link to the network: every call to the network goes through here."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hardware.sim.interfaces import MobileStation, Network


class AirLink:
    """Calls the network on behalf of one mobile station."""

    def __init__(self, network: Network, station: MobileStation) -> None:
        self.network = network
        self._station = station
        self.attached = False
        """True from an accepted attach to the detach."""

    def attach(self) -> int:
        """Ask the network for registration; returns `<stat>` of 27.007 7.2. The caller sets `attached`."""
        return self.network.attach(self._station)

    def detach(self) -> None:
        """Leave the network, if attached."""
        if self.attached:
            self.attached = False
            self.network.detach(self._station)

    def submit(self, token: int, tpdu: bytes) -> None:
        """Pass a TPDU to the network, which answers with `MobileStation.submitted` and the token."""
        self.network.submit(self._station, token, tpdu)

    def acknowledge(self, reference: int, cause: int | None) -> None:
        """Answer a delivery: None is RP-ACK, otherwise the cause of the refusal."""
        self.network.acknowledge(self._station, reference, cause)

    def report_memory_available(self) -> None:
        """Send RP-SMMA, if attached."""
        if self.attached:
            self.network.memory_available(self._station)
