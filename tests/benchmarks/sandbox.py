"""Speed and memory of the sandbox: Commands created through REST, lists, and many Commands.

    make bench PART=sandbox
    make bench PART=sandbox ARGS="--commands 100000 --json sandbox.json"

The sandbox runs as users start it; no program uses its ports. The client is in another process and leaves
most of the time to the server. The floor is an aiohttp handler that reads the form and answers with as many
octets; it is measured in turn with the sandbox, so that other load on the machine affects both.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlencode, urlsplit

if TYPE_CHECKING:
    from collections.abc import Iterator

CONNECTIONS = 32
FORMS = {
    "/supersim/v1/SmsCommands": {"Sim": "super-sim", "Payload": "led on"},
    "/wireless/v1/Commands": {"Sim": "programmable-wireless", "Command": "led on"},
}
MIN_RATE = 2000.0
"""Commands a second of CPU time of the server: the rate of a machine that does nothing else."""
MAX_GROWTH_MB = 40.0
"""Growth of the resident memory from twice the number of Commands that are kept to the last one."""


class Connection(asyncio.Protocol):
    """One connection that sends the same request again as soon as the answer is complete."""

    def __init__(self, request: bytes, turns: Iterator[int], answers: list[int]) -> None:
        self.done = asyncio.get_running_loop().create_future()
        self._request = request
        self._turns = turns
        self._answers = answers
        self._received = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._send_next()

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, separator, body = self._received.partition(b"\r\n\r\n")
        if not separator:
            return
        length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0])
        if len(body) < length:
            return
        self._answers.append(int(head[9:12]))
        self._received = b""
        self._send_next()

    def connection_lost(self, error: Exception | None) -> None:
        if not self.done.done():
            self.done.set_exception(error or ConnectionError("the server has closed the connection"))

    def _send_next(self) -> None:
        assert self._transport is not None
        if next(self._turns, None) is None:
            self.done.set_result(None)
            self._transport.close()
        else:
            self._transport.write(self._request)


@dataclass(frozen=True, slots=True)
class Server:
    """A process with an HTTP server."""

    url: str
    pid: int

    @property
    def cpu_s(self) -> float:
        """CPU time so far."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    @property
    def resident_mb(self) -> float:
        """Resident memory."""
        pages = int(Path(f"/proc/{self.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def measure_posts(server: Server, path: str, form: dict[str, str], count: int) -> tuple[float, float]:
    """Return the rates per second of real time, and of CPU time of the server."""
    cpu_s = server.cpu_s
    rate = asyncio.run(send_requests(server.url, path, form, count))
    return rate, count / (server.cpu_s - cpu_s)


async def send_requests(url: str, path: str, form: dict[str, str], count: int) -> float:
    """Send a request `count` times over some connections; return the rate per second."""
    address = urlsplit(url)
    body = urlencode(form)
    head = (
        f"POST {path} HTTP/1.1\r\nHost: {address.netloc}\r\n"
        "Content-Type: application/x-www-form-urlencoded\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    turns, answers = iter(range(count)), list[int]()
    loop = asyncio.get_running_loop()
    begin = time.perf_counter()
    connections = [
        (
            await loop.create_connection(
                lambda: Connection((head + body).encode(), turns, answers), address.hostname, address.port
            )
        )[1]
        for _ in range(CONNECTIONS)
    ]
    await asyncio.gather(*(connection.done for connection in connections))
    if set(answers) != {201}:
        raise SystemExit(f"{url}{path} answered {sorted(set(answers))}")
    return count / (time.perf_counter() - begin)


async def time_get(url: str, path: str, repeat: int = 15) -> float:
    """Return the median time in milliseconds of a GET over one connection."""
    import aiohttp  # noqa: PLC0415 - the floor server and this client only

    times = []
    async with aiohttp.ClientSession() as session:
        for _ in range(repeat):
            begin = time.perf_counter()
            async with session.get(url + path) as answer:
                await answer.read()
                assert answer.status in (200, 404), answer.status
            times.append(time.perf_counter() - begin)
    return statistics.median(times) * 1000


@contextmanager
def running_server(*command: str) -> Iterator[Server]:
    """Run a server that prints one line of JSON with its URL."""
    with subprocess.Popen([sys.executable, *command], stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield Server(json.loads(process.stdout.readline())["url"], process.pid)
        finally:
            process.terminate()


def serve_floor() -> None:
    """Run the floor: read the form, answer 201 with as many octets as a Command has."""
    from aiohttp import web  # noqa: PLC0415 - only the process of the floor needs it

    answer = {"sid": "HC" + "0" * 32, "filler": "x" * 380}

    async def create(request: web.Request) -> web.Response:
        await request.post()
        return web.json_response(answer, status=201)

    async def run() -> None:
        app = web.Application()
        app.router.add_post("/", create)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        sys.stdout.write(json.dumps({"url": f"http://127.0.0.1:{runner.addresses[0][1]}"}) + "\n")
        sys.stdout.flush()
        await asyncio.Event().wait()

    asyncio.run(run())


def measure_rates(server: Server, floor: Server, rounds: int, count: int) -> dict[str, dict[str, float]]:
    """Measure the floor and each service in turn; return medians."""
    rows: dict[str, list[tuple[float, float]]] = {"floor": [], **{path: [] for path in FORMS}}
    for _ in range(rounds):
        rows["floor"].append(measure_posts(floor, "/", {"Sim": "a", "Payload": "b"}, count))
        for path, form in FORMS.items():
            rows[path].append(measure_posts(server, path, form, count))
    return {
        what: {
            "per_second": statistics.median(rate for rate, _ in values),
            "per_cpu_second": statistics.median(rate for _, rate in values),
            "of_floor": statistics.median(
                rate / floor_rate for (_, rate), (_, floor_rate) in zip(values, rows["floor"], strict=True)
            ),
        }
        for what, values in rows.items()
    }


def measure_growth(server: Server, total: int, step: int) -> list[dict[str, float]]:
    """Create Commands; return memory and rate after each step."""
    path, form = next(iter(FORMS.items()))
    rows: list[dict[str, float]] = []
    sent = 0
    while sent < total:
        batch = min(step, total - sent)
        rate, cpu_rate = measure_posts(server, path, form, batch)
        sent += batch
        rows.append(
            {"commands": sent, "mb": server.resident_mb, "per_second": rate, "per_cpu_second": cpu_rate}
        )
        print_line(f"{sent:>12,}{server.resident_mb:>10.1f}{rate:>12,.0f}{cpu_rate:>16,.0f}")
    return rows


def measure_reads(server: Server) -> dict[str, float]:
    """Measure reading operations; return milliseconds."""
    path = "/supersim/v1/SmsCommands"
    wanted = {
        "first page of 50": f"{path}?PageSize=50",
        "page 1000": f"{path}?PageSize=50&Page=1000",
        "filter by SIM": f"{path}?Sim=super-sim",
        "filter that matches nothing": f"{path}?Status=received",
        "a Command that does not exist": f"{path}/HC{0:032x}",
    }
    return {what: asyncio.run(time_get(server.url, query)) for what, query in wanted.items()}


def print_line(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def main() -> int:
    """Print the tables; return exit status 1 if a requirement is missed."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--commands", type=int, default=1_000_000)
    parser.add_argument("--kept", type=int, default=100_000, help="Commands that a service keeps")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the figures to a file")
    parser.add_argument("--serve-floor", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve_floor:
        serve_floor()
        return 0
    program = "from agent.cli import main; main()"
    arguments = (
        *("sandbox", "--open", "--json", "--listen", "127.0.0.1:0", "--rule", f"max-commands={options.kept}"),
        "--link-dir",
    )
    with (
        tempfile.TemporaryDirectory() as folder,
        running_server(__file__, "--serve-floor") as floor,
        running_server("-c", program, *arguments, folder) as server,
    ):
        few = measure_reads(server)
        rates = measure_rates(server, floor, options.rounds, 2000)
        print_line(f"{'Commands created':<32}{'a second':>10}{'a CPU second':>14}{'of the floor':>14}")
        for what, row in rates.items():
            print_line(
                f"{what:<32}{row['per_second']:>10,.0f}{row['per_cpu_second']:>14,.0f}{row['of_floor']:>14.2f}"
            )
        print_line(f"\n{'Commands':>12}{'MB':>10}{'a second':>12}{'a CPU second':>16}")
        growth = measure_growth(server, options.commands, max(1, options.kept // 2))
        many = measure_reads(server)
    print_line(f"\n{'milliseconds':<32}{'none':>10}{'many':>10}")
    for what, value in few.items():
        print_line(f"{what:<32}{value:>10.2f}{many[what]:>10.2f}")
    results = {"rates": rates, "growth": growth, "reads_ms": {"none": few, "many": many}}
    if options.json:
        options.json.write_text(json.dumps(results, indent=2) + "\n")
    missed = find_missed(rates, growth, options.kept)
    print_line("")
    for line in missed or ["all requirements met"]:
        print_line(line)
    return 1 if missed else 0


def find_missed(rates: dict[str, dict[str, float]], growth: list[dict[str, float]], kept: int) -> list[str]:
    """Return one line for each requirement that is missed."""
    missed = [
        f"missed: {row['per_cpu_second']:,.0f} Commands a CPU second at {what}, required {MIN_RATE:,.0f}"
        for what, row in rates.items()
        if row["per_cpu_second"] < MIN_RATE
    ]
    full = [row["mb"] for row in growth if row["commands"] >= 2 * kept]
    if full and max(full) - full[0] > MAX_GROWTH_MB:
        missed.append(f"missed: memory grows by {max(full) - full[0]:.0f} MB, at most {MAX_GROWTH_MB:.0f}")
    return missed


if __name__ == "__main__":
    sys.exit(main())
