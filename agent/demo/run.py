"""Runs the demo: starts its environment, runs every scenario, then shows the Commands that the user sends."""

from __future__ import annotations

import asyncio
import math
import signal
import socket
import time
from pathlib import Path

from agent.common.events import Event
from agent.demo.environment import SIMS, DemoEnvironment, run_environment
from agent.demo.printer import DemoPrinter
from agent.demo.scenarios import SCENARIOS, EventLog, run_scenario
from hardware.sim.network.events import NetworkEvent

ONCE_TIMEOUT_S = 27.0
"""Time for all scenarios with `--once`, which must always end within 30 s; they take about five."""
DEFAULT_REST_PORT = 8480


async def run_demo(folder: Path, port: int, *, once: bool) -> bool:
    """Run every scenario and return True if all passed; without `once`, run on until Ctrl-C.

    `folder` is empty and receives journals, handlers and links; `port` 0 takes the default REST port, or a
    free one. SIGTERM and SIGHUP cancel the current task, so that nothing is left behind.
    """
    task, loop = asyncio.current_task(), asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, task.cancel if task else loop.stop)

    printer = DemoPrinter(time.monotonic)
    event_log = EventLog()
    current_sim: str | None = None
    in_scenarios = True

    def on_event(sim: str, event: Event | NetworkEvent) -> None:
        if not in_scenarios:
            printer.print_event(event, sim)
        elif sim == current_sim:
            event_log.add(event)
            printer.print_event(event)

    end = loop.time() + ONCE_TIMEOUT_S if once else math.inf
    printer.print_line("Starting a SIM, a module on a pseudo-terminal and an agent for each service ...")
    listen = ("127.0.0.1", port or (0 if once else _port_if_free(DEFAULT_REST_PORT)))
    async with run_environment(folder, listen, on_event) as environment:
        for name, service in SIMS:
            printer.print_line(f"  {name}  {service}, module on {environment.get_sim(name).link}")
        results = []
        for scenario in SCENARIOS:
            event_log = EventLog()
            current_sim = scenario.sim
            printer.print_scenario(scenario.title, f"{scenario.sim}, {dict(SIMS)[scenario.sim]}")
            results.append(await run_scenario(scenario, environment, event_log, end - loop.time()))
            printer.print_result(results[-1])
        printer.print_results(results)
        in_scenarios = False
        if not once:
            _print_instructions(printer, environment)
            await _wait_for_interrupt()
    return all(result.passed for result in results)


def _print_instructions(printer: DemoPrinter, environment: DemoEnvironment) -> None:
    url = environment.server.url
    printer.print_line("\nSend a Command yourself, from another terminal; try ping, status, help or led:")
    printer.print_line(f"  curl {url}/supersim/v1/SmsCommands -d Sim=meter-1 -d Payload=ping")
    printer.print_line(
        f"  curl {url}/wireless/v1/Commands -d Sim=meter-2 -d Command='led green' -d IncludeSid=start"
    )
    printer.print_line("List the newest reply:")
    printer.print_line(f"  curl '{url}/supersim/v1/SmsCommands?Direction=from_sim&PageSize=1'")
    printer.print_line(f"Watch each Command on its path in a browser:\n  {url}/")
    printer.print_line("Stop with Ctrl-C.\n")


def _port_if_free(port: int) -> int:
    """Return the port, or 0 if it is in use."""
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(("127.0.0.1", port))
        except OSError:
            return 0
    return port


async def _wait_for_interrupt() -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGINT, stop.set)
    await stop.wait()
