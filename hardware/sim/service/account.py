"""One account: the services, with the SIMs and Fleets that they share."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from hardware.sim.service.errors import NO_SUCH_RESOURCE, ServiceError
from hardware.sim.service.fleets import FleetCollection
from hardware.sim.service.product import PRODUCTS, PROGRAMMABLE_WIRELESS, SUPER_SIM
from hardware.sim.service.request_faults import RequestFaults
from hardware.sim.service.rules import ServiceRules
from hardware.sim.service.service import CommandService
from hardware.sim.service.sims import ServiceSim, SimCollection

if TYPE_CHECKING:
    import random
    from collections.abc import Callable
    from datetime import datetime

    from hardware.sim.network.events import EventReporter
    from hardware.sim.network.network import SimulatedNetwork
    from hardware.sim.service.product import Product

DEFAULT_FLEET = "default"
"""Unique name of the Fleet to which all Super SIMs are assigned at the start."""
DEFAULT_FLEET_SID = f"HF{1:032x}"


class ServiceAccount:
    """The account of a sandbox."""

    def __init__(
        self,
        network: SimulatedNetwork,
        wall_clock: Callable[[], datetime],
        rng: random.Random,
        events: EventReporter,
        rules: ServiceRules | None = None,
    ) -> None:
        self.faults = RequestFaults()
        """Faults of the services."""
        rules = rules or ServiceRules()
        self.fleets = FleetCollection(wall_clock, rng)
        self._default_fleet = self.fleets.add(DEFAULT_FLEET_SID, DEFAULT_FLEET, "default")
        self.sims = {
            product.base_path: SimCollection(
                product,
                fleets=self.fleets if product.has_fleets else None,
                wall_clock=wall_clock,
                rng=rng,
                connect=partial(self._connect, product.name),
            )
            for product in (SUPER_SIM, PROGRAMMABLE_WIRELESS)
        }
        """By the path of the vendor's product; Super SIM and its beta have the same SIMs."""
        self.services = {
            product.name: CommandService(
                product,
                network,
                wall_clock,
                rng,
                events,
                sims=self.sims[product.base_path],
                rules=rules,
            )
            for product in PRODUCTS.values()
        }
        """By the name of their product."""

    def add_sim(self, service: str, sim: ServiceSim, fleet: str | None = None) -> None:
        """Add a SIM to the account, a service and the network.

        A Super SIM joins the Fleet with this SID or unique name, which is made if there is none; without a
        name the default Fleet, with an empty one none.
        """
        product = self.services[service].product
        if product.has_fleets and fleet is None:
            sim.fleet = self._default_fleet
        elif product.has_fleets and fleet:
            sim.fleet = self.fleets.find(fleet) or self.fleets.add_named(fleet, DEFAULT_FLEET)
        self.sims[product.base_path].add(sim)
        self._connect(service, sim)

    def find_sim(self, name: str) -> tuple[Product, ServiceSim]:
        """Find a SIM of any product by SID or unique name; raises ServiceError."""
        for collection in self.sims.values():
            sim = collection.find(name)
            if sim is not None:
                return collection.product, sim
        raise ServiceError(404, NO_SUCH_RESOURCE, f"There is no SIM {name}.")

    def _connect(self, service: str, sim: ServiceSim) -> None:
        self.services[service].add_sim(sim)
