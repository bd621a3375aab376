"""Scenarios in a sandbox: their steps and progress, and the shipped examples with an AT client at a port."""

from __future__ import annotations

import asyncio
import random
import re
from collections import Counter
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

import pytest

import pdu
from hardware.sim.client_activity import SettleTimes
from hardware.sim.sandbox import Sandbox
from hardware.sim.sandbox_clock import SandboxClock
from hardware.sim.sandbox_sim import SimSpec
from hardware.sim.scenario.player import ScenarioPlayer
from hardware.sim.scenario.steps import parse_scenario

EXAMPLES = Path(__file__).parents[4] / "config" / "scenarios"
START = datetime(2026, 11, 1, tzinfo=UTC)
QUICK = SettleTimes(quiet_s=0.003)
"""The client of these tests is in the same event loop, and reacts at once; the kernel passes its bytes on."""


class ScenarioBench:
    """A sandbox whose clock is frozen, with a player."""

    def __init__(self, folder, seed, **how):
        clock = SandboxClock(lambda: START, start_time=START, is_frozen=True)
        self.sandbox = Sandbox(link_dir=folder, clock=clock, rng=random.Random(seed), **how)
        self.player = ScenarioPlayer(self.sandbox)

    def start(self, text):
        self.player.start(parse_scenario(text, self.sandbox.sims.keys()))

    async def run_until_over(self):
        await self.sandbox.pass_time(2 * 86400, until_idle=True, settle_times=QUICK)

    def events(self, *kinds):
        """Return (seconds, SIM or None, note) of the events of some kinds."""
        return [
            ((event.at - START).total_seconds(), sim.unique_name if sim else None, event.note)
            for _, sim, event in self.sandbox.records.events
            if event.kind in kinds
        ]


@pytest.fixture
async def make_bench(tmp_path):
    benches = []

    async def make(seed=1, **how):
        bench = ScenarioBench(tmp_path / str(len(benches)), seed, **how)
        benches.append(bench)
        await bench.sandbox.start()
        return bench

    yield make
    for bench in benches:
        bench.player.stop()
        await bench.sandbox.stop()


class SweepingClient:
    """The simplest correct AT client: each notification makes it read, answer and delete all messages."""

    def __init__(self, port):
        self._port = port
        self.received = []
        """Text or octets of each message."""

    async def run(self):
        for line in ("ATE0", "AT+CMGF=0", "AT+CNMI=2,1,0,0,0"):
            await self._port.send_command(line)
        while True:
            heard = await self._port.wait_for("+CMTI: ")
            while "+CMTI: " in heard:
                heard = await self._sweep()

    async def _sweep(self):
        heard = await self._port.send_command("AT+CMGL=4")
        for index, octets in re.findall(r"\+CMGL: (\d+),\d+,[^\r]*\r\n([0-9A-F]+)\r\n", heard):
            message = pdu.decode(octets)
            self.received.append(message.text if message.text is not None else message.data)
            heard += await self._port.send_command(f"AT+CMGD={index}")
            if str(message.originating_address) == "2936":
                reply = pdu.encode(pdu.Submit(pdu.Address.parse("2936"), pdu.UserData.of("done")))
                heard += await self._port.send_command(f"AT+CMGS={reply.length}", "> ")
                heard += await self._port.send_command(reply.hex + "\x1a", "\r\n+CMGS: ")
                heard += await self._port.wait_for("\r\nOK\r\n")
        return heard


@pytest.fixture
async def play(make_bench, open_port):
    """Return a function that plays an example with a client at one SIM; returns bench and client."""
    tasks = []

    async def play_example(name, *, replace=("", ""), **how):
        bench = await make_bench(**how)
        client = SweepingClient(open_port(bench.sandbox.find_sim("programmable-wireless").link))
        tasks.append(asyncio.create_task(client.run()))
        bench.start((EXAMPLES / f"{name}.toml").read_text().replace(*replace))
        await bench.run_until_over()
        store = bench.sandbox.find_sim("programmable-wireless").module.stores["ME"]
        async with asyncio.timeout(10):
            while len(store):  # the client is behind, on a busy machine
                await bench.run_until_over()
        progress = bench.player.to_json()
        assert progress["state"] == "over"
        assert {step["failure"] for step in progress["steps"]} <= {""}
        return bench, client

    yield play_example
    for task in tasks:
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


async def test_steps_happen_at_their_times(make_bench):
    """Each is an event of its SIM, and so is the end of an outage; the progress counts them."""
    bench = await make_bench()
    bench.start("""
        title = "t"
        step = [
            {at = 10, sim = "super-sim", action = "detach", for = "1m"},
            {at = 20, sim = "super-sim", action = "command", text = "x", every = 5, times = 2},
        ]
    """)
    await bench.sandbox.pass_time(21, settle_times=QUICK)
    progress = bench.player.to_json()
    assert (progress["title"], progress["state"]) == ("t", "running")
    assert [(step["done"], step["next_s"]) for step in progress["steps"]] == [(1, None), (1, 4)]
    await bench.run_until_over()
    assert bench.events("scenario") == [
        (0, None, "scenario begins: t"),
        (10, "super-sim", "step 1: detach"),
        (20, "super-sim", "step 2: command x"),
        (25, "super-sim", "step 2: command x"),
        (70, "super-sim", "step 1 ends: attach"),
        (70, None, "scenario over: t"),
    ]


async def test_failed_step_does_not_end_the_scenario(make_bench):
    """A step that is impossible at its time is reported and shown; the others go on."""
    bench = await make_bench()
    bench.start("""
        step = [
            {sim = "super-sim", action = "redeliver"},
            {at = 1, sim = "super-sim", action = "command", text = "x", parameters = {CallbackUrl = "no"}},
            {at = 2, action = "service-fault", fault = "unavailable"},
        ]
    """)
    await bench.run_until_over()
    first, second, third = bench.player.to_json()["steps"]
    assert first["failure"] == "There is no Command to super-sim."
    assert "CallbackUrl" in second["failure"]
    assert third["failure"] == ""
    assert bench.sandbox.account.faults.describe()["faults"] == [{"fault": "unavailable", "waits": False}]


async def test_stopped_scenario_does_nothing_more(make_bench):
    """Another scenario stops the one that runs, too."""
    bench = await make_bench()
    endless = 'step = [{action = "command", text = "x", every = "1s-9s"}]'
    bench.start(endless)
    await bench.sandbox.pass_time(60, settle_times=QUICK)
    first = bench.player._run
    bench.start(endless)
    assert first.to_json()["state"] == "stopped"
    bench.player.stop()
    done = [step["done"] for step in bench.player.to_json()["steps"]]
    await bench.sandbox.pass_time(60, settle_times=QUICK)
    assert [step["done"] for step in bench.player.to_json()["steps"]] == done
    times = [at for at, sim, _ in bench.events("scenario") if sim == "super-sim"]
    assert 6 < len(times) < 60
    assert len({second - first for first, second in pairwise(times)}) > 5


async def test_outage(play):
    """What arrives during the outage waits for its end; the beta, which stores nothing, fails."""
    bench, client = await play("outage")
    assert client.received == ["before", *["meanwhile"] * 5, "afterwards"]
    statuses = Counter(row.status for row in bench.sandbox.services["super-sim-beta"].list_page({}).rows)
    assert statuses["failed"] == 5


async def test_bad_network(play):
    """All Commands arrive in the end, some of them twice, and are answered; a seed repeats all attempts."""
    only = (SimSpec(service="programmable-wireless"),)
    runs = [
        await play("bad-network", replace=("times = 100", "times = 15"), seed=1, sims=only) for _ in range(2)
    ]
    bench, client = runs[0]
    service = bench.sandbox.services["programmable-wireless"]
    assert len(client.received) > 15
    replies = len(service.list_page({"Direction": "from_sim", "PageSize": "1000"}).rows)
    assert 10 < replies <= len(client.received)
    attempts = [bench.events("offered", "acknowledged", "acknowledgement_lost") for bench, _ in runs]
    assert attempts[0] == attempts[1]


async def test_impatient_cloud(play):
    """Five Commands with SIDs of their own, and one of them again."""
    bench, client = await play("impatient-cloud")
    assert client.received == ["open gate"] * 6
    rows = bench.sandbox.services["programmable-wireless"].list_page({"Direction": "to_sim"}).rows
    assert len({row.sid for row in rows}) == 5


async def test_strangers(play):
    """The parts of the long message are 40 s apart, and the Commands wait for their minute."""
    bench, client = await play("strangers")
    assert client.received[:2] == ["reboot", "You have won! Answer YES to this number."]
    assert client.received.count("status") == 5
    assert b"\x00\xff" in client.received
    offers = [at for at, sim, _ in bench.events("offered") if sim == "programmable-wireless"]
    assert offers[3] - offers[2] == pytest.approx(40, abs=0.1)
    assert max(offers) - offers[4] == pytest.approx(120, abs=10)
