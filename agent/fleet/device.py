"""One device of the fleet: a SIM of the service in a simulated module, and the agent that drives it."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from agent.common.config import Config, ControlConfig, HandlersConfig, JournalConfig, ServiceConfig
from agent.common.events import Event, EventKind
from agent.daemon.agent import Agent
from agent.daemon.dependencies import Dependencies
from agent.fleet.in_process import InProcessRunner, NoRequests
from agent.fleet.load import LoadRecorder
from agent.fleet.module_line import ModuleLine
from agent.fleet.options import FleetOptions
from agent.journal.executor import InlineExecutor
from agent.journal.memory import open_memory_journal
from hardware.profile import SimulatorProfile
from hardware.sim.module.module import SimulatedModule
from hardware.sim.network.network import SEARCHING, SimulatedNetwork
from hardware.sim.sandbox_sim import SimSpec, make_sim_card
from hardware.sim.service.account import ServiceAccount
from hardware.sim.service.sims import ServiceSim

CHECK_INTERVAL_S = 3600.0
"""Interval of the agent's checks of its socket and its deadlines, which have no meaning here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetWorld:
    """What all devices of a fleet share."""

    options: FleetOptions
    loop: asyncio.AbstractEventLoop
    wall_clock: Callable[[], datetime]
    network: SimulatedNetwork
    account: ServiceAccount
    profile: SimulatorProfile
    recorder: LoadRecorder
    handler_directory: Path
    reply_spread_s: float


class FleetDevice:
    """One device. The module is off and the agent is not started."""

    def __init__(self, world: FleetWorld, index: int) -> None:
        """Add the SIM with this index, counted from 0, to the service."""
        self._world = world
        self._index = index
        self._line = ModuleLine(world.loop)
        self.sim_card = make_sim_card(index, SimSpec())
        self.module = SimulatedModule(
            scheduler=world.loop,
            wall_clock=world.wall_clock,
            network=world.network,
            profile=world.profile,
            sim=self.sim_card,
            write=self._line.write_to_agent,
        )
        self._line.connect_module(self.module.receive)
        self.is_ready = False
        """True once the agent has begun its first session."""
        self.agent: Agent | None = None
        now = world.wall_clock()
        prefix = world.account.services[world.options.service].product.sim_sid_prefix
        self.sid = f"{prefix}{index + 1:032x}"
        world.account.add_sim(
            world.options.service,
            ServiceSim(
                sid=self.sid,
                unique_name=f"meter-{index + 1}",
                imsi=self.sim_card.imsi,
                iccid=self.sim_card.iccid,
                created_at=now,
                updated_at=now,
            ),
        )

    def make_agent(self) -> Agent:
        """Create the agent of the device, which is not running yet."""
        world, options = self._world, self._world.options
        name = f"meter-{self._index + 1}"
        config = Config(
            service=ServiceConfig(name=options.service, reply_spread_s=world.reply_spread_s),  # type: ignore[arg-type]  # the command line checks the name
            handlers=HandlersConfig(directory=world.handler_directory),
            journal=JournalConfig(path=Path(f"/{name}.db"), allow_volatile=True),
            control=ControlConfig(socket=Path(f"/{name}.sock")),
        )
        self.agent = Agent(
            config,
            self._on_agent_event,
            Dependencies(
                opener=self._line.open,
                open_journal=open_memory_journal,
                db_executor=InlineExecutor,
                runner=lambda _: InProcessRunner(options.handler_s, world.recorder.on_run),
                make_control_server=NoRequests,
                wall_clock=lambda: world.wall_clock().timestamp(),
                random=random.Random(f"{options.seed} {name}"),  # noqa: S311  (jitter of a simulation)
                watchdog_interval_s=CHECK_INTERVAL_S,
                describe_module_users=lambda: "",
            ),
        )
        return self.agent

    def lose_coverage(self, notice_s: float) -> None:
        """Take the device out of radio coverage; the module notices it after `notice_s` seconds."""
        self._world.network.set_coverage(self.sim_card.imsi, in_coverage=False)
        self._world.loop.call_later(notice_s, self.module.set_registration, SEARCHING)

    def return_coverage(self) -> None:
        """Bring coverage back; the module finds the network at once."""
        self._world.network.set_coverage(self.sim_card.imsi, in_coverage=True)
        self.module.search_network()

    def _on_agent_event(self, event: Event) -> None:
        if event.kind == EventKind.SESSION:
            self.is_ready = True
        self._world.recorder.on_agent_event(event)
