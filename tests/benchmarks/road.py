"""The path of a Command through the agent: latency by step, octets, throughput, and a long run.

    make bench PART=road
    make bench PART=road ARGS="--quick --json road.json"
    make bench PART=road ARGS="--long 10000"

The agent runs as users start it, with its journal on a disk; so do a bare client (the floor) and another
project's client, each with a simulated module of its own, in one more process. Commands go to them in turn,
so that other load on the machine affects all, and only ratios mean something.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

PARTS = Path(__file__).with_name("command_path")
BAUDS = {"115200": 115200, "unpaced": None}
BURST_BAUDS = {"115200": 115200, "921600": 921600, "unpaced": None}
WAYS = {"+CMTI": "generic", "+CMT": "nrf91"}
"""How a message comes, and the device that delivers so."""
FLOOR_WAYS = {"+CMTI": "stored", "+CMT": "direct"}
START_TIMEOUT_S = 60.0
HANDLER = """\
import time

from agent import handler


@handler("bench")
def bench(command):
    return str(time.monotonic_ns())
"""
BITS_PER_OCTET = 10


@dataclass(frozen=True)
class Client:
    """A client that is measured, with its module."""

    name: str
    way: str
    baud: str
    text: str = "bench"
    """The first word of its Commands; the handler of another word is in the agent itself."""

    @property
    def sim(self):
        program = "agent" if self.name == "builtin" else self.name
        return f"{program}{self.way}-{self.baud}".replace("+", "-")


class Bench:
    """The processes: modules, and one client at each of them."""

    def __init__(self, folder, sims):
        self.folder = folder
        self._processes = contextlib.ExitStack()
        self._errors = self._processes.enter_context((folder / "errors.log").open("ab"))
        devices = {
            client.sim: {"device": WAYS[client.way], "baud": BURST_BAUDS[client.baud]} for client in sims
        }
        self.modules = self._start(
            sys.executable, "-m", "command_path.module", folder, json.dumps({"sims": devices})
        )
        self._read(self.modules)
        self.agents = {}
        for client in {client.sim: client for client in sims}.values():
            self._start_client(client)
        self._commits = sqlite3.connect(folder / "commits.db", isolation_level=None)
        self._commits.execute("PRAGMA journal_mode=WAL")
        self._commits.execute("PRAGMA synchronous=FULL")
        self._commits.execute("CREATE TABLE rows (id INTEGER PRIMARY KEY, text TEXT)")

    def _start(self, *command):
        process = subprocess.Popen(
            [str(part) for part in command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
            env={**os.environ, "PYTHONPATH": str(PARTS.parent)},
        )
        self._processes.callback(end, process)
        return process

    def _read(self, process):
        line = process.stdout.readline()
        if not line:
            raise SystemExit(f"a process has ended:\n{(self.folder / 'errors.log').read_text()}")
        return line

    def _start_client(self, client):
        port = self.folder / client.sim
        baud = BURST_BAUDS[client.baud] or 115200
        match client.name:
            case "floor":
                process = self._start(
                    sys.executable, "-m", "command_path.floor", port, baud, FLOOR_WAYS[client.way], 0
                )
                self._read(process)
            case "gsmmodem":
                self._read(self._start(sys.executable, "-m", "command_path.gsmmodem_peer", port))
            case _:
                self.agents[client.sim] = self._start_agent(client.sim, port, baud)

    def _start_agent(self, name, port, baud):
        home = self.folder / f"{name}.agent"
        (home / "handlers").mkdir(parents=True)
        (home / "handlers" / "bench.py").write_text(HANDLER)
        (home / "agent.toml").write_text(
            f'[modem]\nport = "{port}"\nbaud = {baud}\n'
            "[service]\nmax_per_minute = 100000000\nmax_per_day = 100000000\n"
            '[handlers]\ndirectory = "handlers"\n[journal]\npath = "journal.db"\n'
            f'[control]\nsocket = "{home}/control.sock"\n'
        )
        command = Path(sys.executable).with_name("modem-agent")
        return self._start(command, "run", "--config", home / "agent.toml")

    def deliver(self, client, texts):
        """Deliver Commands at once, and return what the modules report about them."""
        print(json.dumps({"sim": client.sim, "texts": texts}), file=self.modules.stdin, flush=True)
        return json.loads(self._read(self.modules))

    def warm_up(self, clients):
        """Wait until each client has answered twice: then its handler process runs."""
        for number in range(2):
            for client in clients:
                report = self.deliver(client, [f"{client.text} warm-up {number}"])
                if "error" in report:
                    raise SystemExit(f"{report['error']}\n{(self.folder / 'errors.log').read_text()[-2000:]}")

    def commit_s(self):
        """Return the seconds of one commit beside the journals."""
        begun = time.monotonic()
        self._commits.execute("INSERT INTO rows (text) VALUES (?)", ("x" * 200,))
        return time.monotonic() - begun

    def agent_tree_mb(self, sim):
        """Return the PSS of an agent and its handler processes in MB."""
        total, pids = 0, [self.agents[sim].pid]
        while pids:
            pid = pids.pop()
            total += sum(
                int(line.split()[1])
                for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
                if line.startswith("Pss:")
            )
            for task in Path(f"/proc/{pid}/task").iterdir():
                pids += map(int, (task / "children").read_text().split())
        return total / 1024

    def close(self):
        self._commits.close()
        self._processes.close()


def end(process):
    """End a process, after its input has ended."""
    process.stdin.close()
    process.terminate()
    process.wait(20)
    process.stdout.close()


def ms(seconds):
    return 1000 * statistics.median(seconds)


# Latency


def measure_latency(bench, clients, rounds):
    """Return the figures of each client in ms; Commands go to the clients in turn."""
    reports = {client: [] for client in clients}
    commits = []
    for number in range(rounds):
        for client in clients:
            reports[client].append(bench.deliver(client, [f"{client.text} {number}"]))
        commits += [bench.commit_s() for _ in range(5)]
    return [summarise(client, reports[client]) for client in clients], ms(commits)


def summarise(client, reports):
    """Return the medians of one client."""
    good = [report for report in reports if "error" not in report]
    figures = {
        "client": client.name,
        "way": client.way,
        "baud": client.baud,
        "lost": len(reports) - len(good),
    }
    if not good:
        return figures
    figures["ctrl_z_ms"] = ms(report["ctrl_z"] - report["stored"] for report in good)
    figures["octets"] = statistics.median(report["to"] + report["from"] for report in good)
    steps = {}
    for name in good[0]["marks"]:
        times = [report["marks"][name] - report["stored"] for report in good if report["marks"][name]]
        if times:
            steps[name] = ms(times)
    if client.text == "bench":
        handled = [handler_time(report["replies"][0]) - report["stored"] for report in good]
        figures["handler_ms"] = steps["handler"] = ms(handled)
    figures["steps_ms"] = dict(sorted(steps.items(), key=lambda step: step[1]))
    return figures


def handler_time(reply):
    return int(reply) / 1e9


def print_latency(rows, commit_ms):
    floors = {(row["way"], row["baud"]): row for row in rows if row["client"] == "floor"}
    print(f"One commit (WAL, FULL) on this disk: {commit_ms:.2f} ms\n")
    print(
        "From the delivery to the module until ..., median in ms; reach: (floor + commits) x factor + extra"
    )
    head = ("way", "line", "client", "handler", "x floor", "reach", "Ctrl-Z", "x floor", "reach", "octets")
    print("".join(f"{name:>10}" for name in head))
    for row in rows:
        floor = floors[row["way"], row["baud"]]
        cells = [row["way"], row["baud"], row["client"]]
        for key, commits in (("handler_ms", 1), ("ctrl_z_ms", 2)):
            if key not in row:
                cells += ["", "", ""]
                continue
            limit = reach(floor[key], commits, commit_ms, row["baud"])
            row[f"{key}_reach"] = limit
            cells += [f"{row[key]:.2f}", f"{row[key] / floor[key]:.2f}", f"{limit:.2f}"]
        cells.append(f"{row.get('octets', 0):.1f}")
        print("".join(f"{cell:>10}" for cell in cells) + (f"  lost {row['lost']}" if row["lost"] else ""))
    print("\nSteps, median in ms after the delivery")
    for row in rows:
        steps = ", ".join(f"{name} {at:.2f}" for name, at in row.get("steps_ms", {}).items())
        print(f"  {row['way']} {row['baud']} {row['client']}: {steps}")
    print(flush=True)


def reach(floor_ms, commits, commit_ms, baud):
    """Return what is to be reached, in ms."""
    if baud == "unpaced":
        return floor_ms + commits * commit_ms + 1
    return (1.10 if commits == 1 else 1.15) * (floor_ms + commits * commit_ms)


# Throughput


def measure_bursts(bench, clients, rounds, count):
    """Return Commands a second of each client, all delivered at once."""
    rates = {client: [] for client in clients}
    octets = {}
    for number in range(rounds):
        for client in clients:
            report = bench.deliver(client, [f"bench {number}.{each}" for each in range(count)])
            if "error" in report:
                print(report["error"], flush=True)
                continue
            rates[client].append(count / (report["done"] - report["stored"]))
            octets[client] = (report["to"] + report["from"]) / count
    rows = []
    for client in clients:
        row = {"client": client.name, "way": client.way, "baud": client.baud}
        if rates[client]:
            row |= {"per_s": statistics.median(rates[client]), "octets": octets[client]}
        rows.append(row)
    return rows


def print_bursts(rows, count):
    floors = {(row["way"], row["baud"]): row for row in rows if row["client"] == "floor"}
    print(f"{count} Commands at once into a store of 20; the line is that which carries the floor's octets")
    head = ("way", "line", "client", "a second", "x floor", "of line", "octets")
    print("".join(f"{name:>10}" for name in head))
    for row in rows:
        cells = [row["way"], row["baud"], row["client"]]
        if "per_s" in row:
            floor = floors[row["way"], row["baud"]]
            baud = BURST_BAUDS[row["baud"]]
            if baud:
                row["of_line"] = row["per_s"] * floor["octets"] * BITS_PER_OCTET / baud
            cells += [
                f"{row['per_s']:.1f}",
                f"{row['per_s'] / floor['per_s']:.2f}" if "per_s" in floor else "",
                f"{row['of_line']:.1%}" if baud else "",
                f"{row['octets']:.1f}",
            ]
        print("".join(f"{cell:>10}" for cell in cells))
    print(flush=True)


# A long run


def measure_long(bench, client, count):
    """Return latency and memory of an agent over many Commands, one after another."""
    times, memory = [], []
    for number in range(count):
        report = bench.deliver(client, [f"bench long {number}"])
        times.append(report["ctrl_z"] - report["stored"])
        if number in {count // 10, count - 1}:
            memory.append(bench.agent_tree_mb(client.sim))
    times.sort()
    median, p99 = times[count // 2], times[count * 99 // 100]
    return {
        "commands": count,
        "median_ms": 1000 * median,
        "p99_ms": 1000 * p99,
        "p99_of_median": p99 / median,
        "pss_mb_after_tenth": memory[0],
        "pss_mb_at_end": memory[1],
    }


def main():
    parser = argparse.ArgumentParser(description="Measure the path of a Command.")
    parser.add_argument("--quick", action="store_true", help="fewer rounds: about two minutes")
    parser.add_argument("--rounds", type=int, help="Commands to each client for latency")
    parser.add_argument("--burst", type=int, default=200, help="Commands at once; 0 leaves this part out")
    parser.add_argument("--long", type=int, help="Commands of the long run; 0 leaves it out")
    parser.add_argument("--way", choices=WAYS, help="only this way")
    parser.add_argument("--baud", choices=BURST_BAUDS, help="only this line")
    parser.add_argument("--folder", type=Path, default=Path("/var/tmp"), help="a folder on a disk")
    parser.add_argument("--json", type=Path, help="write all figures to this file")
    options = parser.parse_args()
    rounds = options.rounds if options.rounds is not None else (15 if options.quick else 60)
    long_count = options.long if options.long is not None else (0 if options.quick else 1000)

    def select(programs, bauds):
        return [
            Client(name, way, baud, text)
            for way in WAYS
            for baud in bauds
            for name, text in programs
            if options.way in (None, way) and options.baud in (None, baud)
            if name != "gsmmodem" or way == "+CMTI"  # it reads messages from a store only
        ]

    programs = [("floor", "bench"), ("agent", "bench")]
    latency_clients = select([*programs, ("builtin", "status"), ("gsmmodem", "bench")], BAUDS)
    burst_clients = select(programs, BURST_BAUDS) if options.burst else []
    # A module that stores nothing loses all but 20 messages of a burst while a reply is sent.
    burst_clients = [client for client in burst_clients if client.way == "+CMTI"]
    figures = {}
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        bench = Bench(Path(name), [*latency_clients, *burst_clients])
        try:
            bench.warm_up({client.sim: client for client in [*burst_clients, *latency_clients]}.values())
            if rounds:
                figures["latency"], figures["commit_ms"] = measure_latency(bench, latency_clients, rounds)
                print_latency(figures["latency"], figures["commit_ms"])
            if burst_clients:
                figures["burst"] = measure_bursts(
                    bench, burst_clients, 1 if options.quick else 3, options.burst
                )
                print_bursts(figures["burst"], options.burst)
            if long_count:
                figures["long"] = measure_long(bench, select(programs[1:], ["unpaced"])[0], long_count)
                print("One after another, unpaced:", json.dumps(figures["long"], indent=1), flush=True)
        finally:
            bench.close()
    if options.json:
        options.json.write_text(json.dumps(figures, indent=1))


if __name__ == "__main__":
    main()
