"""Fixtures: a network with the three services under virtual time, and fake mobile stations."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta

import pytest
from manual_scheduler import ManualScheduler

import pdu
from hardware.sim.network.events import EventReporter
from hardware.sim.network.network import SimulatedNetwork
from hardware.sim.service.account import ServiceAccount
from hardware.sim.service.rules import ServiceRules
from hardware.sim.service.sims import ServiceSim

START_TIME = datetime(2026, 11, 22, 12, 0, 0, tzinfo=UTC)


class FakeMobileStation:
    """A `MobileStation` that answers each delivery with the next of `answers`, then with RP-ACK.

    An answer is None for RP-ACK, a cause, or "silence".
    """

    def __init__(self, network, imsi, *, answers=(), attach=True):
        self.network = network
        self.imsi = imsi
        self.attached = False
        self.answers = list(answers)
        self.received = []
        self.delivery_references = []
        self.submit_results = []
        self.service_centre = None
        if attach:
            self.attach()

    def attach(self):
        self.stat = self.network.attach(self)
        self.attached = self.stat in (1, 5)
        return self.stat

    def detach(self):
        self.attached = False
        self.network.detach(self)

    def deliver(self, reference, service_centre, tpdu):
        self.delivery_references.append(reference)
        self.service_centre = service_centre
        self.received.append(pdu.decode(tpdu, direction="mt", sca=False))
        answer = self.answers.pop(0) if self.answers else None
        if answer != "silence":
            self.network.acknowledge(self, reference, answer)

    def submitted(self, token, cause):
        self.submit_results.append((token, cause))

    def submit(self, tpdu, token=1):
        octets = tpdu if isinstance(tpdu, bytes) else pdu.encode(tpdu, sca=False).octets
        self.network.submit(self, token, octets)

    def send_text(self, content, to="000", **fields):
        """Submit a text or octets, in as many parts as it needs."""
        for token, part in enumerate(pdu.segment(content, reference=7), start=1):
            address = pdu.Address.parse(to)
            self.submit(pdu.Submit(destination_address=address, user_data=part, **fields), token)

    @property
    def texts(self):
        return [message.text for message in self.received]


class NetworkBench:
    """A network with the three services under virtual time, a SIM for each, and every event."""

    def __init__(self, *, timing=None, **rules):
        self.time = ManualScheduler()
        self.events = []
        reporter = EventReporter(self.wall_clock, self.events.append)
        self.network = SimulatedNetwork(self.time, self.wall_clock, reporter, timing=timing)
        self.rules = ServiceRules(**rules)
        self.account = ServiceAccount(self.network, self.wall_clock, random.Random(1), reporter, self.rules)
        self.services = self.account.services
        self.sims = {}
        for index, (name, service) in enumerate(self.services.items()):
            self.sims[name] = self.add_sim(
                name,
                sid=f"{service.product.sim_sid_prefix}{index:032x}",
                unique_name=f"sim-{name}",
                imsi=f"00101000000000{index}",
            )

    def add_sim(self, service, **fields):
        """Add a SIM to the account; returns it."""
        sim = ServiceSim(created_at=START_TIME, updated_at=START_TIME, **fields)
        self.account.add_sim(service, sim)
        return sim

    def wall_clock(self):
        return START_TIME + timedelta(seconds=self.time.now)

    def add_station(self, name, **how):
        return FakeMobileStation(self.network, self.sims[name].imsi, **how)

    def advance(self, seconds):
        self.time.advance(seconds)

    def take_event_kinds(self):
        """Return the kinds of the events so far, and clear them."""
        kinds = [str(event.kind) for event in self.events]
        self.events.clear()
        return kinds


@pytest.fixture
def make_network_bench():
    return NetworkBench


@pytest.fixture
def network_bench():
    return NetworkBench()
