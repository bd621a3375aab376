"""`modem-agent demo`: everything at work, with no hardware."""

from __future__ import annotations

import asyncio
import errno
import math
import signal
import socket
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from agent.cli.common import exit_with_errors

if TYPE_CHECKING:
    from agent.demo.environment import DemoEnvironment
    from agent.demo.printer import DemoPrinter

ONCE_TIMEOUT_S = 27.0
"""Seconds for `--once`, to be over within 30 s whatever happens; the tour takes five."""


@click.command()
@click.option(
    "--once", is_flag=True, help="End after the tour; exit status 0 if every Command fared as it should."
)
@click.option(
    "--listen",
    default=0,
    type=click.IntRange(0, 65535),
    metavar="PORT",
    help="Port of the REST API on 127.0.0.1.  [default: 8480, or a free one]",
)
def demo(listen: int, *, once: bool) -> None:
    """Start a SIM, a module and an agent for each service, send Commands, show the road of each.

    Nothing outside this machine is reached, nothing is left behind. After the tour it says what to type to
    send a Command yourself, and shows what comes of it until Ctrl-C.
    """
    try:
        from agent.demo.environment import run_environment  # noqa: F401  (needs the extra)
        from agent.demo.printer import DemoPrinter
        from hardware.sim.sandbox import SandboxUnavailable
    except ModuleNotFoundError as error:
        exit_with_errors(
            f"the demo needs {error.name}, which is not installed: "
            f"pip install 'modem-agent[sandbox]', or {error.name} alone"
        )
    screen = DemoPrinter(time.monotonic)
    try:
        with tempfile.TemporaryDirectory(prefix="modem-agent-demo-") as folder:
            good = asyncio.run(_run_demo(screen, Path(folder), listen, once=once))
    except SandboxUnavailable as error:
        exit_with_errors(str(error))
    except (KeyboardInterrupt, asyncio.CancelledError):
        raise SystemExit(130) from None
    except TimeoutError:
        exit_with_errors("the demo's agents did not become ready in time: is this machine very busy?")
    except OSError as error:
        if error.errno == errno.EPIPE:
            raise  # nobody reads any more
        exit_with_errors(f"the demo cannot be set up: {error}")
    except ExceptionGroup as group:  # of the TaskGroup that the tour runs in: no sentence was made for it
        exit_with_errors(*(f"the demo cannot be set up: {reason}" for reason in _flatten_errors(group)))
    raise SystemExit(0 if good else 1)


def _flatten_errors(group: ExceptionGroup) -> list[str]:
    """What went wrong, each once; three agents of one machine fail for one reason."""
    found: dict[str, None] = {}
    for error in group.exceptions:
        found |= dict.fromkeys(_flatten_errors(error) if isinstance(error, ExceptionGroup) else [str(error)])
    return list(found)


async def _run_demo(printer: DemoPrinter, folder: Path, port: int, *, once: bool) -> bool:
    from agent.common.events import Event
    from agent.demo.environment import SIMS, run_environment
    from agent.demo.scenarios import SCENARIOS, EventLog, run_scenario
    from hardware.sim.network.events import NetworkEvent

    task, loop = asyncio.current_task(), asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGHUP):  # a closed terminal, too, leaves nothing behind
        loop.add_signal_handler(number, task.cancel if task else loop.stop)

    seen = EventLog()
    here: str | None = None
    touring = True

    def told(sim: str, item: Event | NetworkEvent) -> None:
        if not touring:
            printer.print_event(item, sim)
        elif sim == here:
            seen.add(item)
            printer.print_event(item)

    end = loop.time() + ONCE_TIMEOUT_S if once else math.inf
    printer.print_line("Starting a SIM, a module on a pseudo-terminal and an agent for each service ...")
    listen = ("127.0.0.1", port or (0 if once else _port_if_free(8480)))  # nobody is told of the tour's
    async with run_environment(folder, listen, told) as ready:
        for name, service in SIMS:
            printer.print_line(f"  {name}  {service}, module on {ready.get_sim(name).link}")
        results = []
        for stop in SCENARIOS:
            seen = EventLog()
            here = stop.sim
            printer.print_scenario(stop.title, f"{stop.sim}, {dict(SIMS)[stop.sim]}")
            results.append(await run_scenario(stop, ready, seen, end - loop.time()))
            printer.print_result(results[-1])
        printer.print_results(results)
        touring = False
        good = all(result.passed for result in results)
        if not once:
            _print_instructions(printer, ready)
            await _wait_for_interrupt()
    return good


def _print_instructions(printer: DemoPrinter, environment: DemoEnvironment) -> None:
    url = environment.sandbox.url
    printer.print_line(
        "\nSend one yourself, in another terminal; ping, status, help and led are there to be used:"
    )
    printer.print_line(f"  curl {url}/supersim/v1/SmsCommands -d Sim=meter-1 -d Payload=ping")
    printer.print_line(
        f"  curl {url}/wireless/v1/Commands -d Sim=meter-2 -d Command='led green' -d IncludeSid=start"
    )
    printer.print_line("and see the answers:")
    printer.print_line(f"  curl '{url}/supersim/v1/SmsCommands?Direction=from_sim&PageSize=1'")
    printer.print_line("Ctrl-C ends it.\n")


def _port_if_free(port: int) -> int:
    """The port, or 0 where somebody listens on it."""
    with socket.socket() as line:
        line.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            line.bind(("127.0.0.1", port))
        except OSError:
            return 0
    return port


async def _wait_for_interrupt() -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGINT, stop.set)
    await stop.wait()
