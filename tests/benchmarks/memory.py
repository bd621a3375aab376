"""Memory, wake-ups and AT commands of an idle agent, beside Python with asyncio and sqlite3.

    make bench PART=memory
    make bench PART=memory ARGS="--quick --json memory.json"

Each state is measured after a warm-up, as the median of samples over the whole process tree. `alone` is what
the tree needs if nothing else uses the same files: its private pages, and each page of a file once. It does
not depend on what else runs; PSS shares the pages of libraries with all programs of the moment.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import tempfile
import time
from pathlib import Path
from statistics import median

from footprint.device import Device, install, process_tree, python_of, stop

FLOOR = "python: asyncio, sqlite3"
FLOOR_PROGRAM = (
    "import asyncio, sqlite3; sqlite3.connect(':memory:').execute('CREATE TABLE a (b)'); print(flush=True); "
    "asyncio.run(asyncio.sleep(1e6))"
)
MIB = 1024 * 1024
SAMPLES = 10


def read_memory(pids: list[int]) -> tuple[float, float]:
    """Return PSS and `alone` of some processes in MiB."""
    pss = anonymous = 0
    files: dict[tuple[str, str], int] = {}
    for pid in pids:
        mapping = ("", "")
        resident = 0
        for line in Path(f"/proc/{pid}/smaps").read_text().splitlines():
            words = line.split()
            if re.match(r"[0-9a-f]+-[0-9a-f]+ ", line):
                mapping = (" ".join(words[5:]), words[2])
                continue
            name, value = words[0], int(words[1]) * 1024 if words[-1] == "kB" else 0
            if name == "Rss:":
                resident = value
            elif name == "Pss:":
                pss += value
                proportion = value / resident if resident else 0.0
            elif name == "Anonymous:":
                anonymous += round(value * (proportion if not mapping[0].startswith("/") else 1.0))
                if mapping[0].startswith("/"):
                    files[mapping] = max(files.get(mapping, 0), resident - value)
    return pss / MIB, (anonymous + sum(files.values())) / MIB


def read_wakeups(pids: list[int]) -> int:
    """Return how often the threads of some processes have begun to run."""
    count = 0
    for pid in pids:
        for task in Path(f"/proc/{pid}/task").glob("*/status"):
            count += int(re.findall(r"^voluntary_ctxt_switches:\s+(\d+)", task.read_text(), re.MULTILINE)[0])
    return count


def observe(pid: int, warm_up_s: float, seconds: float, device: Device | None) -> dict[str, float]:
    """Return the medians of one state, and wake-ups and AT commands a minute."""
    time.sleep(warm_up_s)
    pids = process_tree(pid)
    wakeups, commands = read_wakeups(pids), device.command_count if device else 0
    samples = []
    for _ in range(SAMPLES):
        time.sleep(seconds / SAMPLES)
        samples.append(read_memory(process_tree(pid)))
    minutes = seconds / 60
    return {
        "pss_mib": median(pss for pss, _ in samples),
        "alone_mib": median(alone for _, alone in samples),
        "processes": len(process_tree(pid)),
        "wakeups_per_minute": (read_wakeups(pids) - wakeups) / minutes,
        "at_commands_per_minute": ((device.command_count if device else 0) - commands) / minutes,
    }


def measure(
    programs: Path, folder: Path, state: str, text: str, durations: tuple[float, float]
) -> dict[str, float]:
    """Measure an agent after it has run a Command, or the floor."""
    if state == FLOOR:
        words = [python_of(programs), "-c", FLOOR_PROGRAM]
        process = subprocess.Popen(words, stdout=subprocess.PIPE)
        assert process.stdout is not None
        process.stdout.readline()
        found = observe(process.pid, durations[0], durations[1], None)
        stop(process)
        return found
    device = Device(programs, folder, with_python_handler=text == "stamp")
    try:
        process = device.start()
        device.run_command(text)
        found = observe(process.pid, durations[0], durations[1], device)
        stop(process)
    finally:
        device.close()
    return found


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--warm-up", type=float, default=300, metavar="S", help="seconds before the samples")
    parser.add_argument("--seconds", type=float, default=600, metavar="S", help="seconds of the samples")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help="one run of 10 and 30 s each: two minutes")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    wanted = parser.parse_args()
    durations, runs = (wanted.warm_up, wanted.seconds), wanted.runs
    if wanted.quick:
        durations, runs = (10, 30), 1
    states = {FLOOR: "", "agent, built-in handler": "ping", "agent, Python handler": "stamp"}
    found: dict[str, list[dict[str, float]]] = {state: [] for state in states}
    with tempfile.TemporaryDirectory() as folder:
        programs = install(Path(folder) / "env")
        for run in range(runs):
            for state, text in states.items():
                place = Path(folder) / f"{run}-{text}"
                found[state].append(measure(programs, place, state, text, durations))
    medians = {
        state: {name: median(each[name] for each in values) for name in values[0]}
        for state, values in found.items()
    }
    floor = medians[FLOOR]
    print(
        f"{'MiB, idle after a Command':<28}{'PSS':>7}{'ratio':>7}{'alone':>8}{'ratio':>7}"
        f"{'procs':>7}{'wake/min':>10}{'AT/min':>8}"
    )
    for state, values in medians.items():
        print(
            f"{state:<28}{values['pss_mib']:>7.1f}{values['pss_mib'] / floor['pss_mib']:>7.2f}"
            f"{values['alone_mib']:>8.1f}{values['alone_mib'] / floor['alone_mib']:>7.2f}"
            f"{values['processes']:>7.0f}{values['wakeups_per_minute']:>10.1f}"
            f"{values['at_commands_per_minute']:>8.1f}"
        )
    if wanted.json:
        wanted.json.write_text(json.dumps(medians, indent=1))


if __name__ == "__main__":
    main()
