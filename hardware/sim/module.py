"""The simulated module: bytes from the terminal in, bytes to the terminal out, a network behind it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from hardware.profile import DeviceProfile
    from hardware.sim.card import Sim
    from hardware.sim.radio import Network, Scheduler
    from pdu import Address


class SimulatedModule:
    """A GSM/LTE module as an AT client sees it; a `Station` for the network."""

    def __init__(
        self,
        scheduler: Scheduler,
        network: Network,
        device: DeviceProfile,
        sim: Sim,
        write: Callable[[bytes], None],
        wall: Callable[[], datetime],
    ) -> None:
        self._scheduler = scheduler
        self._network = network
        self._write = write
        self._wall = wall
        self.device = device
        self.sim = sim
        self.attached = False

    @property
    def imsi(self) -> str:
        """Identity of the subscription; empty without a SIM."""
        return self.sim.imsi if self.sim.present else ""

    def power_on(self) -> None:
        """Start: boot lines, then SIM, then registration. Bytes received before are lost."""

    def power_off(self) -> None:
        """Go dark at once; stores and saved settings stay."""

    def reboot(self, *, loud: bool = True) -> None:
        """Restart with unsaved settings lost; silent ones print no boot lines."""

    def receive(self, data: bytes) -> None:
        """Bytes from the terminal."""

    def deliver(self, reference: int, service_centre: Address, tpdu: bytes) -> None:
        """RP-DATA from the network."""

    def submitted(self, token: int, cause: int | None) -> None:
        """The network's answer to a submit."""
