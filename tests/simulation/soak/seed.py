"""One seed from its beginning to the ledger's word."""

import asyncio
import gc
import hashlib
import logging
import shutil
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

import virtual_time
from hardware.sim.module.sim_card import SimCard
from soak.commit_probe import CommitOrderProbe
from soak.invariants import InvariantChecker
from soak.scenario import Scenario
from soak.world import World

SHARED_MEMORY_DIR = Path("/dev/shm")


@dataclass
class SeedResult:
    """What came of a seed."""

    seed: int
    findings: list[str]
    digest: str
    """Of the trace: the same on every Python."""
    description: str
    seconds: float
    """Of real time."""
    counts: dict = field(default_factory=dict)
    trace: list[str] = field(default_factory=list)


def run_seed(seed, *, days=1.0, trace=False):
    """Run it; with `trace` everything that was seen comes with the outcome."""
    began = time.perf_counter()
    logging.disable(logging.CRITICAL)
    folder = Path(
        tempfile.mkdtemp(prefix="soak-", dir=SHARED_MEMORY_DIR if SHARED_MEMORY_DIR.is_dir() else None)
    )
    try:
        outcome = virtual_time.run_virtual(_simulate(seed, days, folder, trace))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        logging.disable(logging.NOTSET)
    outcome.seconds = time.perf_counter() - began
    return outcome


async def _simulate(seed, days, folder, trace):
    weather = Scenario(seed, days=days)
    async with World(
        folder,
        seed=weather.rng.random(),
        service=weather.service,
        device=weather.device,
        message_format=weather.message_format,
        tables=weather.tables,
        split=weather.split,
        sim=SimCard(imsi="001010000000001", pin=weather.pin),
    ) as world:
        work = asyncio.ensure_future(weather.run(world))
        await asyncio.sleep(0)
        watch = CommitOrderProbe(world, weather.traffic)
        findings = []
        try:
            await work
            gc.collect()
            ledger = InvariantChecker(world, weather, watch)
            findings = ledger.check()
        finally:
            watch.close()
        lines = _build_trace(world, weather)
        weather.host.is_running = False
        return SeedResult(
            seed,
            findings,
            hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16],
            str(weather),
            0.0,
            _count(world, weather, ledger),
            lines if trace or findings else [],
        )


def _count(world, scenario, checker):
    return {
        "commands": len(checker.rows["commands"]),
        "runs": len(world.handler_runs),
        "answers": len(world.network.mo_messages),
        "strays": len(checker.rows["ignored"]),
        "lives": len(world.agent_runs),
        "misfortunes": len(scenario.injected_faults),
        "boots": world.module.log.boot_count,
        "loudest": checker.limit_checker.max_warnings_per_day,
        "wakes": checker.limit_checker.idle_wakes,
    }


def _build_trace(world, scenario):
    """Everything in the order of its time: steps, octets both ways, events of the network, ends of lives."""
    begin = world.agent_runs[0].started_at
    found = [(time, 0, f"life {life} {step}") for time, life, step in world.events]
    found += [(time, 1, f"{way} {octets!r}") for time, way, octets in world.port.trace]
    found += [
        (time, 2, f"network {event.kind} {event.number} {event.body!r} {event.note}")
        for time, event in world.network_events
    ]
    found += [
        (life.ended_at, 3, f"life {number} ended: {life.end_reason}")
        for number, life in enumerate(world.agent_runs)
        if life.ended_at is not None
    ]
    found += [(life.started_at, 4, f"life {number} begins") for number, life in enumerate(world.agent_runs)]
    found += [(time, 5, f"!!! {name}") for time, name in scenario.injected_faults]
    found += [(run.started_at, 6, f"run {run}") for run in world.handler_runs] + [
        (run.started_at, 6, f"act {run}") for run in world.action_runs
    ]
    found.sort(key=lambda each: each[:2])
    return [f"{time - begin:12.4f} {line}" for time, _, line in found]
