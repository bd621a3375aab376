"""What is simulated: the number of SIMs, the scenario, and the figures of devices and network."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class FleetScenario(StrEnum):
    """What happens to the fleet."""

    COMMAND = "command"
    """One Command to every SIM."""
    OUTAGE = "outage"
    """No SIM has coverage for some time. A Command to each is created meanwhile; then coverage returns."""
    RETRY = "retry"
    """One Command to every SIM. Acknowledgements are lost, so that the network delivers a message again; and
    the back end creates a Command again whose answer is late."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetOptions:
    """The options of `modem-agent fleet`. Times are in seconds."""

    sims: int = 1000
    scenario: FleetScenario = FleetScenario.COMMAND
    service: str = "super-sim"
    seed: int = 1
    commands_per_s: float = 50.0
    """Commands that the back end creates in a second."""
    transit_s: float = 1.5
    """Shortest time of a message from the service to the module, or from the module to the service."""
    jitter_s: float = 3.0
    """Longest random time in addition; a real message takes about three seconds."""
    handler_s: float = 1.0
    """How long the handler of each Command runs."""
    outage_s: float = 300.0
    search_s: float = 60.0
    """Modules find the returned network within this time, evenly spread: they search at intervals."""
    loss: float = 0.05
    """Share of the acknowledgements that the network loses in the scenario `retry`."""
    repeat_after_s: float = 60.0
    """Time without an answer after which the back end repeats a Command in the scenario `retry`."""

    @property
    def faults(self) -> list[str]:
        """The faults of the network that every SIM has."""
        faults = [
            f"message-delayed:direction={direction},seconds=0-{self.jitter_s:g}"
            for direction in ("to_sim", "from_sim")
            if self.jitter_s
        ]
        if self.scenario is FleetScenario.RETRY:
            faults.append(f"acknowledgement-lost:times=1,chance={self.loss:g}")
        return faults

    def describe(self) -> str:
        """Return the scenario as a sentence."""
        sims = f"{self.sims:,} SIMs"
        match self.scenario:
            case FleetScenario.COMMAND:
                return f"One Command to each of {sims}, {self.commands_per_s:g} a second."
            case FleetScenario.OUTAGE:
                return (
                    f"{sims} have no coverage for {self.outage_s:g} s; a Command to each is created "
                    f"meanwhile, {self.commands_per_s:g} a second; the modules find the network again within "
                    f"{self.search_s:g} s."
                )
            case FleetScenario.RETRY:
                return (
                    f"One Command to each of {sims}, {self.commands_per_s:g} a second; {self.loss:.0%} "
                    f"of the acknowledgements are lost; the back end repeats a Command without answer after "
                    f"{self.repeat_after_s:g} s, once."
                )
