"""Fixtures: a network with the three services under virtual time, and fake mobile stations."""

from __future__ import annotations

import heapq
import itertools
import random
from datetime import UTC, datetime, timedelta

import pytest

import pdu
from hardware.sim.network.network import SimulatedNetwork
from hardware.sim.service.product import PRODUCTS
from hardware.sim.service.resource import ServiceSim
from hardware.sim.service.service import CommandService

START_TIME = datetime(2026, 11, 22, 12, 0, 0, tzinfo=UTC)


class VirtualTime:
    """A `Scheduler` whose time passes only in `advance`, with a wall clock."""

    def __init__(self):
        self._now = 0.0
        self._calls = []
        self._order = itertools.count()

    def time(self):
        return self._now

    def wall_clock(self):
        return START_TIME + timedelta(seconds=self._now)

    def call_later(self, delay, callback, *args):
        call = _ScheduledCall(callback, args)
        heapq.heappush(self._calls, (self._now + delay, next(self._order), call))
        return call

    def advance(self, seconds):
        """Let time pass and run the calls that become due, in order."""
        end = self._now + seconds
        while self._calls and self._calls[0][0] <= end:
            self._now, _, call = heapq.heappop(self._calls)
            if not call.cancelled:
                call.callback(*call.args)
        self._now = end

    @property
    def pending(self):
        return sum(1 for _, _, call in self._calls if not call.cancelled)


class _ScheduledCall:
    def __init__(self, callback, args):
        self.callback, self.args, self.cancelled = callback, args, False

    def cancel(self):
        self.cancelled = True


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

    def __init__(self, *, timing=None, rules=None):
        self.time = VirtualTime()
        self.events = []
        self.network = SimulatedNetwork(self.time, self.time.wall_clock, self.events.append, timing=timing)
        rng = random.Random(1)
        self.services = {
            name: CommandService(
                product, self.network, self.time.wall_clock, rng, self.events.append, rules=rules
            )
            for name, product in PRODUCTS.items()
        }
        self.sims = {}
        for index, (name, service) in enumerate(self.services.items()):
            sim = ServiceSim(
                sid=f"{service.product.sim_sid_prefix}{index:032x}",
                unique_name=f"sim-{name}",
                imsi=f"00101000000000{index}",
            )
            service.add_sim(sim, f"44770090010{index}")
            self.sims[name] = sim

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
