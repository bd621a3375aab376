"""How long the agent and its short commands take to start, beside an empty Python program.

    make bench PART=start
    make bench PART=start ARGS="--quick --json start.json"

All programs take turns, so that other load on the machine affects all; compare the ratios. The agent is
installed into an environment of its own, because the finder of an editable installation is slow.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import tempfile
import time
from pathlib import Path
from statistics import median

from footprint.device import Device, install, python_of, stop

EMPTY = "python -c pass"
BARE = Path(__file__).with_name("footprint") / "bare_client.py"


def measure_programs(device: Device, rounds: int) -> dict[str, float]:
    """Return the median time of each short program in milliseconds, with the agent running."""
    python, agent = python_of(device.programs), str(device.programs / "modem-agent")
    programs = {
        EMPTY: [python, "-c", "pass"],
        "python -c 'import asyncio, sqlite3'": [python, "-c", "import asyncio, sqlite3"],
        "python -c 'import click'": [python, "-c", "import click"],
        "modem-agent --version": [agent, "--version"],
        "modem-agent status": [agent, "status", "--config", str(device.config)],
        "modem-agent status --json": [agent, "status", "--json", "--config", str(device.config)],
    }
    times: dict[str, list[float]] = {name: [] for name in programs}
    running = device.start()
    device.run_command("ping")
    for _ in range(rounds):
        for name, words in programs.items():
            begin = time.perf_counter()
            subprocess.run(words, check=True, stdout=subprocess.DEVNULL)
            times[name].append(time.perf_counter() - begin)
    stop(running)
    return {name: 1000 * median(values) for name, values in times.items()}


def measure_starts(device: Device, rounds: int) -> dict[str, dict[str, float]]:
    """Return the median times from the start in milliseconds, of the bare client and of the agent.

    A message waits in the module. The first start of all, which creates the journal, is not counted.
    """
    found: dict[str, dict[str, list[float]]] = {}
    stop_agent(device, "ping")
    for _ in range(rounds):
        for name in ("bare client", "agent"):
            count = len(device.sim.messages)
            device.send_command("stamp")
            begin = time.monotonic()
            if name == "agent":
                process = device.start()
                handled = int(device.wait_for_reply(count)) / 1e9
            else:
                process = device.start(python_of(device.programs), str(BARE), device.sim.port)
                assert process.stdout is not None
                handled = int(process.stdout.readline()) / 1e9
            times = found.setdefault(name, {"port open": [], "first AT": [], "message in hand": []})
            for what, at in zip(times, (device.opened_at, device.first_command_at, handled), strict=True):
                times[what].append(at - begin)
            stop(process)
            if name != "agent":
                stop_agent(device, "")  # takes the message out of the module
    return {
        name: {what: 1000 * median(values) for what, values in times.items()} for name, times in found.items()
    }


def stop_agent(device: Device, text: str) -> None:
    """Let the agent run until it has answered what waits in the module and a further Command."""
    count = len(device.sim.messages)
    process = device.start()
    if text:
        device.send_command(text)
    device.wait_for_reply(count)
    stop(process)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=25)
    parser.add_argument("--quick", action="store_true", help="7 rounds: a minute")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    wanted = parser.parse_args()
    rounds = 7 if wanted.quick else wanted.rounds
    with tempfile.TemporaryDirectory() as folder:
        programs = install(Path(folder) / "env")
        device = Device(programs, Path(folder) / "device", with_python_handler=True)
        try:
            short = measure_programs(device, rounds)
            starts = measure_starts(device, rounds)
        finally:
            device.close()
    print(f"{'program':<40}{'ms':>8}{'ratio':>8}")
    for name, value in short.items():
        print(f"{name:<40}{value:>8.0f}{value / short[EMPTY]:>8.2f}")
    print(f"\n{'start to':<40}{'bare client':>12}{'agent':>8}{'ratio':>8}   ms, medians of {rounds}")
    for what, floor in starts["bare client"].items():
        value = starts["agent"][what]
        print(f"{what:<40}{floor:>12.0f}{value:>8.0f}{value / floor:>8.2f}")
    if wanted.json:
        wanted.json.write_text(json.dumps({"programs_ms": short, "starts_ms": starts}, indent=1))


if __name__ == "__main__":
    main()
