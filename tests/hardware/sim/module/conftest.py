"""Fixtures: a simulated module under virtual time, with a fake network and a terminal that records output."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from manual_scheduler import ManualScheduler

from hardware.profile import SimulatorProfile
from hardware.sim.module.module import SimulatedModule
from hardware.sim.module.sim_card import SimCard
from pdu import Address

SERVICE_CENTRE = Address.parse("+447700900000")
DELIVER_HI = "04038100F000006290124131020002E834"
"""DELIVER from 000, "hi", 26/09/21 14:13:20 UTC."""
DELIVER_PLAN = "0404819263000062901241310200047076D80D"
"""DELIVER from 2936, "plan", same time."""
STATUS_REPORT = "0607038100F0629012413102006290124131320000"
"""STATUS-REPORT for reference 7 to 000, delivered three seconds later."""


class FakeNetwork:
    """A network that answers a submission at once, unless `answers` is False."""

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


class ModuleBench:
    """A module with its network, time and terminal."""

    def __init__(self, device=None, sim=None, **fields):
        self.time = ManualScheduler(now=1000.0)
        self.network = FakeNetwork()
        self.output = bytearray()
        self.writes = []
        self.device = device or SimulatorProfile(**fields)
        self.sim = sim or SimCard()
        self.module = SimulatedModule(
            scheduler=self.time,
            wall_clock=lambda: self.wall_clock,
            network=self.network,
            profile=self.device,
            sim=self.sim,
            write=self._write,
        )
        self.reference = 0

    @property
    def wall_clock(self):
        return datetime(2026, 11, 22, 1, 2, 3, tzinfo=UTC) + timedelta(seconds=self.time.now - 1000)

    def _write(self, data):
        self.writes.append(data)
        self.output += data

    def take_output(self):
        """Return the output since the last call."""
        output, self.output = bytes(self.output), bytearray()
        return output

    def type(self, text):
        """Send input; returns the immediate output."""
        self.module.receive(text.encode("latin-1") if isinstance(text, str) else text)
        return self.take_output().decode("latin-1")

    def at(self, line):
        """Send a command line; returns the immediate output."""
        return self.type(f"AT{line}\r")

    def deliver(self, tpdu=DELIVER_HI):
        self.reference += 1
        self.module.deliver(self.reference, SERVICE_CENTRE, bytes.fromhex(tpdu))
        return self.take_output().decode("latin-1")

    def delivery_causes(self):
        """Return the causes of the answers to deliveries so far."""
        return [entry[2] for entry in self.network.log if entry[0] == "acknowledge"]


@pytest.fixture
def make_module_bench():
    """Return the class of benches, whose module starts powered off."""
    return ModuleBench


@pytest.fixture
def make_running_bench():
    """Return a function that makes benches with a running module, echo off, numeric errors."""

    def make(**fields):
        bench = ModuleBench(**fields)
        bench.module.power_on()
        bench.at("E0+CMEE=1")
        return bench

    return make


@pytest.fixture
def module_bench(make_running_bench):
    return make_running_bench()
