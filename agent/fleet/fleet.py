"""The fleet: composes network, service and devices, starts the agents, and runs the scenario in virtual time.

Between the back end and the handler nothing is left out but the HTTP of the REST API and the time of octets
on the serial line. Services, network and modules are those of the sandbox, the agents those of a device.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Self

from agent.fleet.device import FleetDevice, FleetWorld
from agent.fleet.in_process import HANDLER_FILE
from agent.fleet.load import FleetLoad, LoadRecorder
from agent.fleet.numbered import command_text
from agent.fleet.options import FleetOptions, FleetScenario
from hardware.profile import load_simulator_profile
from hardware.sim.network.events import EventReporter
from hardware.sim.network.network import SimulatedNetwork
from hardware.sim.network.subscriber_queue import NetworkTiming
from hardware.sim.service.account import ServiceAccount

START_WALL_TIME = datetime(2026, 1, 1, tzinfo=UTC)
BOOT_S = 30.0
"""Time for the modules to boot and register."""
AGENT_START_S = 300.0
"""Time over which the agents start: the interval of their status queries, which are spread as well then."""
READY_TIMEOUT_S = 600.0
"""Time for the last agent to begin its session."""
LEAD_S = 10.0
"""Time without events before an outage, and from its start to the first Command."""
NOTICE_LOSS_S = 5.0
"""Modules notice at different times, within this, that they have no coverage, and begin to search."""
SETTLE_INTERVAL_S = 5.0
"""Interval between two checks whether everything is answered and acknowledged."""
MAX_RUN_S = 6 * 3600.0
"""Time after which a Command without an answer counts as unanswered."""
COVERAGE_LOST = "coverage lost"
COVERAGE_BACK = "coverage back"


class FleetFailed(Exception):  # noqa: N818  (reads as the sentence it is)
    """The simulation cannot go on; the text is a sentence with the reason."""


class SimulatedFleet:
    """A fleet for one run. Create it in the event loop that runs it."""

    def __init__(self, options: FleetOptions, reply_spread_s: float, handler_directory: Path) -> None:
        self.options = options
        self._loop = asyncio.get_running_loop()
        self._start_time = self._loop.time()
        self._rng = random.Random(f"{options.seed} fleet")  # noqa: S311  (a simulation)
        self.recorder = LoadRecorder(self._loop.time)
        events = EventReporter(self._wall_clock, self.recorder.on_network_event)
        timing = NetworkTiming(transit_s=options.transit_s)
        self.network = SimulatedNetwork(self._loop, self._wall_clock, events, timing=timing, rng=self._rng)
        account = ServiceAccount(self.network, self._wall_clock, self._rng, events)
        self.service = account.services[options.service]
        self._world = FleetWorld(
            options=options,
            loop=self._loop,
            wall_clock=self._wall_clock,
            network=self.network,
            account=account,
            profile=load_simulator_profile("generic"),
            recorder=self.recorder,
            handler_directory=handler_directory,
            reply_spread_s=reply_spread_s,
        )
        self.devices = [FleetDevice(self._world, index) for index in range(options.sims)]
        self._agent_tasks: list[asyncio.Task[None]] = []
        self._coverage_back = asyncio.Event()

    async def __aenter__(self) -> Self:
        """Switch the modules on and wait until they are registered."""
        for device in self.devices:
            device.module.power_on()
        await asyncio.sleep(BOOT_S)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop the agents and switch the modules off."""
        for device in self.devices:
            if device.agent is not None:
                device.agent.stop()
        await asyncio.gather(*self._agent_tasks, return_exceptions=True)
        for device in self.devices:
            device.module.power_off()
        self.network.close()

    async def start_agents(self) -> None:
        """Start all agents and wait until each has a session with its module. Raises FleetFailed."""
        for device in self.devices:
            agent = device.make_agent()
            self._loop.call_later(self._rng.uniform(0, AGENT_START_S), self._start_agent, agent.run)
        end = self._loop.time() + AGENT_START_S + READY_TIMEOUT_S
        while not all(device.is_ready for device in self.devices):
            self._check_agents()
            if self._loop.time() > end:
                raise FleetFailed(
                    "some agents have no session with their module; this is a fault of modem-agent"
                )
            await asyncio.sleep(SETTLE_INTERVAL_S)

    async def run_scenario(self) -> FleetLoad:
        """Run the scenario until everything is answered and acknowledged. Raises FleetFailed."""
        for device in self.devices:
            for fault in self.options.faults:
                self.network.faults_of(device.sim_card.imsi).add(fault)
        self.recorder.start()
        end = self._loop.time() + MAX_RUN_S
        match self.options.scenario:
            case FleetScenario.COMMAND:
                await self.send_to_all()
            case FleetScenario.OUTAGE:
                await self._run_outage()
            case FleetScenario.RETRY:
                await self._run_retries()
        while not self._is_settled() and self._loop.time() < end:
            self._check_agents()
            await asyncio.sleep(SETTLE_INTERVAL_S)
        return self.recorder.make_result(self._world.reply_spread_s, COVERAGE_BACK)

    # Scenarios

    async def send_to_all(self, on_created: Callable[[FleetDevice, int], object] = lambda *_: None) -> None:
        """Create a Command for each device, at the rate of the options; call `on_created` with each."""
        for device in self.devices:
            on_created(device, self._create_command(device))
            await asyncio.sleep(1 / self.options.commands_per_s)

    async def _run_outage(self) -> None:
        await asyncio.sleep(LEAD_S)
        self.recorder.mark(COVERAGE_LOST)
        for device in self.devices:
            device.lose_coverage(self._rng.uniform(0, NOTICE_LOSS_S))
        self._loop.call_later(self.options.outage_s, self._return_coverage)
        await asyncio.sleep(min(LEAD_S, self.options.outage_s / 2))
        await self.send_to_all()
        await self._coverage_back.wait()
        await asyncio.sleep(self.options.search_s + SETTLE_INTERVAL_S)  # also if all Commands were given up

    def _return_coverage(self) -> None:
        self.recorder.mark(COVERAGE_BACK)
        self._coverage_back.set()
        for device in self.devices:
            self._loop.call_later(self._rng.uniform(0, self.options.search_s), device.return_coverage)

    async def _run_retries(self) -> None:
        await self.send_to_all(
            lambda *created: self._loop.call_later(self.options.repeat_after_s, self._repeat, *created)
        )
        await asyncio.sleep(self.options.repeat_after_s)

    def _repeat(self, device: FleetDevice, number: int) -> None:
        """Create a Command again, as a back end that waits for an answer with a time limit."""
        if number in self.recorder.unanswered:
            self._create_command(device, repeats=number)

    # Steps

    def _create_command(self, device: FleetDevice, repeats: int | None = None) -> int:
        number = self.recorder.add_command(repeats)
        body = self.service.product.body_parameter
        self.service.create({"Sim": device.sid, body: command_text(number)})
        return number

    def _start_agent(self, run: Callable[[], object]) -> None:
        self._agent_tasks.append(self._loop.create_task(run()))  # type: ignore[arg-type]  # Agent.run

    def _check_agents(self) -> None:
        """Raise FleetFailed if an agent has ended."""
        for task in self._agent_tasks:
            if task.done():
                raise FleetFailed(f"an agent has ended: {task.exception()!r}")

    def _is_settled(self) -> bool:
        return not self.recorder.unanswered and not any(
            self.network.count_waiting(device.sim_card.imsi) for device in self.devices
        )

    def _wall_clock(self) -> datetime:
        return START_WALL_TIME + timedelta(seconds=self._loop.time() - self._start_time)


@asynccontextmanager
async def open_fleet(
    options: FleetOptions, reply_spread_s: float, folder: Path
) -> AsyncIterator[SimulatedFleet]:
    """Return a fleet whose modules are registered; `folder` receives the folder of handlers."""
    handler_directory = folder / "handlers"
    handler_directory.mkdir(exist_ok=True)
    (handler_directory / HANDLER_FILE).touch()
    async with SimulatedFleet(options, reply_spread_s, handler_directory) as fleet:
        yield fleet


async def simulate_fleet(
    options: FleetOptions, reply_spread_s: float, folder: Path, report: Callable[[str], object]
) -> FleetLoad:
    """Run one scenario with one value of `service.reply_spread_s`. `report` is called before each step.

    Raises FleetFailed.
    """
    report(f"starting {options.sims:,} agents")
    async with open_fleet(options, reply_spread_s, folder) as fleet:
        await fleet.start_agents()
        report(f"scenario {options.scenario}, reply_spread_s {reply_spread_s:g}")
        return await fleet.run_scenario()
