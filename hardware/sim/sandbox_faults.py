"""The faults of one SIM of a sandbox: those of its module, and those of its messages in the network."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hardware.sim.fault_spec import FAULT_DESCRIPTIONS, parse_fault
from hardware.sim.fault_text import split_fault
from hardware.sim.network.faults import NETWORK_FAULT_DESCRIPTIONS, parse_network_fault

if TYPE_CHECKING:
    from hardware.sim.faults import FaultInjector
    from hardware.sim.network.faults import NetworkFaults

SANDBOX_FAULT_DESCRIPTIONS = FAULT_DESCRIPTIONS | NETWORK_FAULT_DESCRIPTIONS


def check_fault(text: str) -> None:
    """Raise FaultError unless `add` accepts this fault."""
    if _is_of_network(text):
        parse_network_fault(text)
    else:
        parse_fault(text)


class SimFaults:
    """Adds, shows and cancels both kinds of faults."""

    def __init__(self, module: FaultInjector, network: NetworkFaults) -> None:
        self._module = module
        self._network = network

    def add(self, text: str) -> None:
        """Add a fault, `NAME` or `NAME:key=value,...`; raises FaultError."""
        if _is_of_network(text):
            self._network.add(text)
        else:
            self._module.add(text)

    def cancel_all(self) -> None:
        """Remove the faults that have not occurred, and end those that last until they are cancelled."""
        self._module.cancel_all()
        self._network.cancel_all()

    def describe(self) -> dict[str, list[object]]:
        """Return the faults that wait, may still occur or last, and the names of those that occurred."""
        module, network = self._module.describe(), self._network.describe()
        return {key: [*module[key], *network[key]] for key in module}


def _is_of_network(text: str) -> bool:
    return split_fault(text, SANDBOX_FAULT_DESCRIPTIONS)[0] in NETWORK_FAULT_DESCRIPTIONS
