"""Runs the simulation of one seed and checks the invariants."""

import asyncio
import gc
import hashlib
import logging
import shutil
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

from hardware.sim import virtual_time
from hardware.sim.module.sim_card import SimCard
from soak.commit_probe import CommitOrderProbe
from soak.invariants import InvariantChecker
from soak.scenario import Scenario
from soak.world import World

SHARED_MEMORY_DIR = Path("/dev/shm")


@dataclass
class SeedResult:
    """The result of one seed."""

    seed: int
    findings: list[str]
    digest: str
    """Digest of the trace; the same on every Python version."""
    description: str
    seconds: float
    """Real time that the run took."""
    counts: dict = field(default_factory=dict)
    trace: list[str] = field(default_factory=list)


def run_seed(seed, *, days=1.0, trace=False):
    """Run one seed. With `trace` the result contains the trace even if there are no findings."""
    began = time.perf_counter()
    logging.disable(logging.CRITICAL)
    folder = Path(
        tempfile.mkdtemp(prefix="soak-", dir=SHARED_MEMORY_DIR if SHARED_MEMORY_DIR.is_dir() else None)
    )
    try:
        result = virtual_time.run_virtual(_simulate(seed, days, folder, trace))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        logging.disable(logging.NOTSET)
    result.seconds = time.perf_counter() - began
    return result


async def _simulate(seed, days, folder, trace):
    scenario = Scenario(seed, days=days)
    async with World(
        folder,
        seed=scenario.rng.random(),
        service=scenario.service,
        device=scenario.device,
        message_format=scenario.message_format,
        tables=scenario.tables,
        split=scenario.split,
        sim=SimCard(imsi="001010000000001", pin=scenario.pin),
    ) as world:
        work = asyncio.ensure_future(scenario.run(world))
        await asyncio.sleep(0)
        probe = CommitOrderProbe(world, scenario.traffic)
        findings = []
        try:
            await work
            gc.collect()
            checker = InvariantChecker(world, scenario, probe)
            findings = checker.check()
        finally:
            probe.close()
        lines = _build_trace(world, scenario)
        scenario.host.is_running = False
        return SeedResult(
            seed,
            findings,
            hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16],
            str(scenario),
            0.0,
            _count(world, scenario, checker),
            lines if trace or findings else [],
        )


def _count(world, scenario, checker):
    return {
        "commands": len(checker.rows["commands"]),
        "runs": len(world.handler_runs),
        "replies": len(world.network.mo_messages),
        "ignored": len(checker.rows["ignored"]),
        "agent runs": len(world.agent_runs),
        "faults": len(scenario.injected_faults),
        "boots": world.module.log.boot_count,
        "most warnings a day": checker.limit_checker.max_warnings_per_day,
        "idle wake-ups": checker.limit_checker.idle_wakes,
    }


def _build_trace(world, scenario):
    """Return all records in order of time: events, octets in both directions, network events, agent runs."""
    folder = f"{world.folder}/"  # has a random name
    start = world.agent_runs[0].started_at
    records = [(time, 0, f"agent run {run_number} {event}") for time, run_number, event in world.events]
    records += [(time, 1, f"{way} {octets!r}") for time, way, octets in world.port.trace]
    records += [
        (time, 2, f"network {event.kind} {event.number} {event.body!r} {event.note}")
        for time, event in world.network_events
    ]
    records += [
        (run.ended_at, 3, f"agent run {number} ended: {run.end_reason}")
        for number, run in enumerate(world.agent_runs)
        if run.ended_at is not None
    ]
    records += [
        (run.started_at, 4, f"agent run {number} begins") for number, run in enumerate(world.agent_runs)
    ]
    records += [(time, 5, f"!!! {name}") for time, name in scenario.injected_faults]
    records += [(run.started_at, 6, f"run {run}") for run in world.handler_runs] + [
        (run.started_at, 6, f"act {run}") for run in world.action_runs
    ]
    records.sort(key=lambda each: each[:2])
    return [f"{time - start:12.4f} {line}".replace(folder, "") for time, _, line in records]
