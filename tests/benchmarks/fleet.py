"""The cost of one SIM of `modem-agent fleet`, by the number of SIMs: it must not grow with the number.

    make bench PART=fleet
    make bench PART=fleet ARGS="--sims 1000 10000 100000 --agents 100 1000 5000"

First SIMs in modules without agents: service, network and module, with one Command to each. Then whole
agents, with one Command to each and its answer. Each row is measured in a process of its own. Times are
processor time.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from agent.fleet.fleet import SETTLE_INTERVAL_S, open_fleet
from agent.fleet.load import LoadKind
from agent.fleet.options import FleetOptions
from hardware.sim.virtual_time import run_virtual

WARM_UP_SIMS = 3
"""SIMs of a first, small fleet: imports and tables that all share are not counted."""
COLUMNS = ("SIMs", "KiB a SIM", "ms a SIM to start", "ms a Command", "done")


class Costs:
    """Memory and processor time since the last call of `take`."""

    def __init__(self):
        self._memory, self._seconds = resident_bytes(), time.process_time()

    def take(self, sims):
        """Return KiB and ms for each SIM."""
        memory, seconds = resident_bytes(), time.process_time()
        costs = (memory - self._memory) / 1024 / sims, (seconds - self._seconds) * 1000 / sims
        self._memory, self._seconds = memory, seconds
        return costs


def resident_bytes():
    """Return the memory of this process in octets."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


async def measure(sims, folder, *, has_agents):
    """Return the row of a table."""
    options = FleetOptions(sims=sims, commands_per_s=1000.0)
    costs = Costs()
    async with open_fleet(options, 0.0, folder) as fleet:
        if has_agents:
            await fleet.start_agents()
        kib_started, ms_started = costs.take(sims)
        if has_agents:
            load = await fleet.run_scenario()
            answered = load.commands - load.lost - load.unanswered
        else:
            answered = await deliver_to_modules(fleet)
        kib_command, ms_command = costs.take(sims)
    return sims, kib_started + kib_command, ms_started, ms_command, answered


async def deliver_to_modules(fleet):
    """Send a Command to each SIM, and wait until every module has it; return how many have it."""
    fleet.recorder.start()
    await fleet.send_to_all()
    await asyncio.sleep(2 * (fleet.options.transit_s + fleet.options.jitter_s))
    while any(fleet.network.count_waiting(device.sim_card.imsi) for device in fleet.devices):  # noqa: ASYNC110
        await asyncio.sleep(SETTLE_INTERVAL_S)
    return sum(fleet.recorder.make_result(0.0, "").per_second[LoadKind.DELIVERY])


async def measure_one(sims, folder, *, has_agents):
    await measure(WARM_UP_SIMS, folder, has_agents=has_agents)
    return await measure(sims, folder, has_agents=has_agents)


def print_table(title, rows):
    print(title)
    print("".join(f"{name:>20}" for name in COLUMNS))
    for row in rows:
        print(
            "".join(f"{value:>20,.1f}" if isinstance(value, float) else f"{value:>20,}" for value in row),
            flush=True,
        )
    print()


def run_in_process(kind, sims):
    """Measure in another process, and return the row."""
    command = [sys.executable, __file__, "--measure", kind, "--sims", str(sims)]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def main():
    parser = argparse.ArgumentParser(description="Measure the cost of one SIM.")
    parser.add_argument(
        "--sims", nargs="*", type=int, default=[1000, 10_000, 100_000], help="SIMs without agents"
    )
    parser.add_argument("--agents", nargs="*", type=int, default=[100, 1000], help="SIMs with agents")
    parser.add_argument("--measure", choices=("modules", "agents"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        with tempfile.TemporaryDirectory() as folder:
            measuring = measure_one(options.sims[0], Path(folder), has_agents=options.measure == "agents")
            print(json.dumps(run_virtual(measuring)))
        return
    print_table("Without agents", (run_in_process("modules", sims) for sims in options.sims))
    print_table("With agents", (run_in_process("agents", sims) for sims in options.agents))


if __name__ == "__main__":
    main()
