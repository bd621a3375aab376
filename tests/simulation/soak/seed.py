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

from hardware.sim.module.card import Sim
from soak import virtual
from soak.ledger import Ledger
from soak.watch import Watch
from soak.weather import Weather
from soak.world import World

SHARED = Path("/dev/shm")


@dataclass
class Outcome:
    """What came of a seed."""

    seed: int
    findings: list[str]
    digest: str
    """Of the trace: the same on every Python."""
    about: str
    seconds: float
    """Of real time."""
    counts: dict = field(default_factory=dict)
    trace: list[str] = field(default_factory=list)


def run(seed, *, days=1.0, trace=False):
    """Run it; with `trace` everything that was seen comes with the outcome."""
    began = time.perf_counter()
    logging.disable(logging.CRITICAL)
    folder = Path(tempfile.mkdtemp(prefix="soak-", dir=SHARED if SHARED.is_dir() else None))
    try:
        outcome = virtual.run(_passes(seed, days, folder, trace))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        logging.disable(logging.NOTSET)
    outcome.seconds = time.perf_counter() - began
    return outcome


async def _passes(seed, days, folder, trace):
    weather = Weather(seed, days=days)
    async with World(
        folder,
        seed=weather.random.random(),
        service=weather.service,
        device=weather.device,
        message_format=weather.message_format,
        tables=weather.tables,
        cut=weather.cut,
        sim=Sim(imsi="001010000000001", pin=weather.pin),
    ) as world:
        work = asyncio.ensure_future(weather.passes(world))
        await asyncio.sleep(0)
        watch = Watch(world, weather.letters)
        findings = []
        try:
            await work
            gc.collect()
            ledger = Ledger(world, weather, watch)
            findings = ledger.check()
        finally:
            watch.close()
        lines = _trace(world, weather)
        weather.host.on = False
        return Outcome(
            seed,
            findings,
            hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16],
            str(weather),
            0.0,
            _counts(world, weather, ledger),
            lines if trace or findings else [],
        )


def _counts(world, weather, ledger):
    return {
        "commands": len(ledger.rows["commands"]),
        "runs": len(world.runs),
        "answers": len(world.network.ledger),
        "strays": len(ledger.rows["strays"]),
        "lives": len(world.lives),
        "misfortunes": len(weather.struck),
        "boots": world.module.ledger.boots,
        "loudest": ledger.limits.loudest,
        "wakes": ledger.limits.wakes,
    }


def _trace(world, weather):
    """Everything in the order of its time: steps, octets both ways, events of the network, ends of lives."""
    begin = world.lives[0].began_at
    found = [(time, 0, f"life {life} {step}") for time, life, step in world.steps]
    found += [(time, 1, f"{way} {octets!r}") for time, way, octets in world.port.trace]
    found += [
        (time, 2, f"network {event.kind} {event.number} {event.body!r} {event.note}")
        for time, event in world.events
    ]
    found += [
        (life.ended_at, 3, f"life {number} ended: {life.end}")
        for number, life in enumerate(world.lives)
        if life.ended_at is not None
    ]
    found += [(life.began_at, 4, f"life {number} begins") for number, life in enumerate(world.lives)]
    found += [(time, 5, f"!!! {name}") for time, name in weather.struck]
    found += [(run.at, 6, f"run {run}") for run in world.runs] + [
        (run.at, 6, f"act {run}") for run in world.acts
    ]
    found.sort(key=lambda each: each[:2])
    return [f"{time - begin:12.4f} {line}" for time, _, line in found]
