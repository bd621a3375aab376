"""A simulated module on a bench: virtual time, a network of a few lines, a terminal that sees every byte."""

from __future__ import annotations

import heapq
from datetime import UTC, datetime, timedelta

import pytest

from hardware.profile import DeviceProfile
from hardware.sim.module.card import Sim
from hardware.sim.module.module import SimulatedModule
from pdu import Address

CENTRE = Address.parse("+447700900000")
HI = "04038100F000006290124131020002E834"
"""DELIVER from 000, "hi", 26/09/21 14:13:20 UTC."""
PLAN = "0404819263000062901241310200047076D80D"
"""DELIVER from 2936, "plan", same time."""
REPORT = "0607038100F0629012413102006290124131320000"
"""STATUS-REPORT for reference 7 to 000, delivered three seconds later."""


class VirtualTime:
    """A scheduler whose time stands still until it is told to pass."""

    def __init__(self):
        self.now = 1000.0
        self._due = []
        self._count = 0

    def time(self):
        return self.now

    def call_later(self, delay, callback, *args):
        self._count += 1
        call = Call(callback, args)
        heapq.heappush(self._due, (self.now + delay, self._count, call))
        return call

    def pass_(self, seconds):
        until = self.now + seconds
        while self._due and self._due[0][0] <= until:
            self.now, _, call = heapq.heappop(self._due)
            call.run()
        self.now = until


class Call:
    def __init__(self, callback, args):
        self.callback, self.args = callback, args

    def cancel(self):
        self.callback = None

    def run(self):
        if self.callback is not None:
            self.callback(*self.args)


class Air:
    """A network that answers at once, unless told to keep its answer."""

    def __init__(self):
        self.stat = 1
        self.cause = None
        self.answers = True
        self.log = []
        self.token = None

    def attach(self, station):
        self.log.append("attach")
        return self.stat

    def detach(self, station):
        self.log.append("detach")

    def submit(self, station, token, tpdu):
        self.log.append(("submit", tpdu.hex().upper()))
        self.token = token
        if self.answers:
            station.submitted(token, self.cause)

    def acknowledge(self, station, reference, cause):
        self.log.append(("acknowledge", reference, cause))

    def memory_available(self, station):
        self.log.append("memory available")


class Bench:
    """The module, its network, its time, and the terminal's end of the line."""

    def __init__(self, device=None, sim=None, **fields):
        self.time = VirtualTime()
        self.air = Air()
        self.heard = bytearray()
        self.writes = []
        self.device = device or DeviceProfile(**fields)
        self.sim = sim or Sim()
        self.module = SimulatedModule(
            self.time, self.air, self.device, self.sim, self._hear, lambda: self.wall
        )
        self.reference = 0

    @property
    def wall(self):
        return datetime(2026, 11, 22, 1, 2, 3, tzinfo=UTC) + timedelta(seconds=self.time.now - 1000)

    def _hear(self, data):
        self.writes.append(data)
        self.heard += data

    def take(self):
        """What was said since the last look."""
        said, self.heard = bytes(self.heard), bytearray()
        return said

    def type(self, text):
        """Send these characters; what is said at once."""
        self.module.receive(text.encode("latin-1") if isinstance(text, str) else text)
        return self.take().decode("latin-1")

    def at(self, line):
        """A command line; the answer without echo."""
        return self.type(f"AT{line}\r")

    def deliver(self, tpdu=HI):
        self.reference += 1
        self.module.deliver(self.reference, CENTRE, bytes.fromhex(tpdu))
        return self.take().decode("latin-1")

    def answered(self):
        """Causes of the answers to deliveries so far."""
        return [entry[2] for entry in self.air.log if entry[0] == "acknowledge"]


@pytest.fixture
def fresh():
    """Makes benches whose module is still off."""
    return Bench


@pytest.fixture
def running():
    """Makes benches that are on, echo off, errors by number."""

    def make(**fields):
        bench = Bench(**fields)
        bench.module.power_on()
        bench.at("E0+CMEE=1")
        return bench

    return make


@pytest.fixture
def bench(running):
    return running()
