"""Everything around the agent in virtual time: network, module, serial port, handlers, clocks and agent runs.

async with World(folder) as world:
    world.start()
    world.send("led 7")
    await world.advance(60)
    assert world.sent_bodies == ["did led 7"]
"""

import asyncio
import random
from dataclasses import dataclass, field
from datetime import UTC, datetime

import pdu
from agent.common.events import EventKind
from agent.service.profile import SERVICE_PROFILES
from hardware import profile
from hardware.sim.module.module import SimulatedModule
from hardware.sim.module.sim_card import SimCard
from hardware.sim.network.events import EventReporter
from hardware.sim.network.network import SimulatedNetwork, Subscription
from hardware.sim.virtual_time import START_TIME_S
from soak import simulated_runner
from soak.agent_run import AgentRun
from soak.simulated_port import SimulatedPort

START_WALL_TIME = datetime(2026, 11, 22, 12, tzinfo=UTC).timestamp()


@dataclass
class HandlerRun:
    """A start of a handler. The record stays after the agent was killed."""

    started_at: float
    agent_run: int
    handler: str
    content: str | bytes
    attempt: int
    outcome: str
    duration_s: float
    """Planned duration; the run may be ended earlier."""


@dataclass
class HandlerPlan:
    """The behaviour of a handler for one Command: (duration in seconds, outcome) of each attempt.

    Outcomes: ok, nothing (no reply), fail, hang, later (asks for a retry), then (an action follows), kill
    (the handler kills the agent), stuck (the runner never reports a result). `action` is the same for the
    action.
    """

    attempts: list[tuple[float, str]] = field(default_factory=lambda: [(0.2, "ok")])
    action: tuple[float, str] = (0.1, "ok")


class World:
    """One device and the network around it. Create it in the event loop that runs it."""

    def __init__(
        self,
        folder,
        *,
        seed=0,
        service="programmable-wireless",
        device="generic",
        message_format="pdu",
        tables=None,
        timing=None,
        split=None,
        sim=None,
    ):
        self.folder = folder
        self.rng = random.Random(seed)
        self.loop = asyncio.get_running_loop()
        self.service = SERVICE_PROFILES[service]
        self.message_format = message_format
        self.tables = tables or {}
        """Tables of agent.toml. Their keys override the defaults of `AgentRun`."""
        self.handler_directory = folder / "handlers"
        simulated_runner.write_handler_files(self.handler_directory)
        self.clock_error_s = 0.0
        """Seconds by which the clock of the device is ahead."""
        self.disk_error = None
        """Error message of every commit while it is set; None if commits succeed."""
        self.disk_delay_s = 0.0
        """Seconds that each call of the journal takes."""
        self.dependencies = {}
        """Fields of the agent's `Dependencies` that replace those of `AgentRun`."""
        self.power_key = None
        """The `SimulatedPowerKey` of a module that comes up switched off; None: it comes up by itself."""
        self.plans = {}
        """`HandlerPlan` by content of the Command. Other handlers take 0.2 s and reply."""
        self.make_runner = lambda agent_run: simulated_runner.SimulatedRunner(self, agent_run)
        self.on_kill_point = lambda point, agent_run: None
        """Called before and after each commit and write of the agent, so that it can be killed there."""
        self.on_run_ended = lambda agent_run: None
        """Called when an agent run has ended, killed or by itself."""
        self.handler_runs: list[HandlerRun] = []
        self.action_runs: list[HandlerRun] = []
        self.events = []
        """(time, number of the agent run, `Event`)."""
        self.sd_notifications = []
        """(time, number of the agent run, message to systemd)."""
        self.agent_runs: list[AgentRun] = []
        self.unforced_ends = []
        """(time, number of the agent run, exception or None) of runs that ended by themselves."""
        self.accepted = []
        """TPDUs that the module has acknowledged to the network, oldest first: from then on the agent must
        not lose them."""
        self.network_events = []
        """(time, event) of the network."""
        self.network = SimulatedNetwork(
            self.loop,
            self.true_time,
            EventReporter(self.true_time, self._on_network_event),
            timing=timing,
        )
        self.sim = self.first_sim = sim or SimCard(imsi="001010000000001")
        self.second_sim = SimCard(imsi="001010000000002", iccid="89440000000000000025", pin=self.sim.pin)
        for each in (self.first_sim, self.second_sim):
            self.network.subscribe(Subscription(imsi=each.imsi, on_mo_message=lambda message: None))
        self.port = SimulatedPort(self.loop, split)
        self.radio = RadioLink(self)
        self.module = SimulatedModule(
            scheduler=self.loop,
            wall_clock=self.true_time,
            network=self.radio,
            profile=profile.load_simulator_profile(device) if isinstance(device, str) else device,
            sim=self.sim,
            write=self.port.send_from_module,
        )
        self.module.deliver = self.radio.wrap_deliver(self.module)
        self.module.submitted = self.radio.wrap_submitted(self.module)
        self.port.module = self.module
        self.module.faults.port = self.port
        self.journal_folder = self.new_journal_folder()
        """Folder of the journal of the current agent run, or of the next one."""
        self.corruptions = []
        """Corruptions of the journal between agent runs, oldest first."""

    def insert_sim(self, sim):
        """Replace the SIM while the module has no power."""
        self.module.power_off()
        self.sim = sim
        self.module.context.insert_sim(sim)
        self.call_later(2.0, self.module.power_on)

    async def __aenter__(self):
        self.module.power_on()
        return self

    async def __aexit__(self, *error):
        for agent_run in self.agent_runs:
            agent_run.kill("the world ends")
            await asyncio.wait((agent_run.task,))
        self.module.power_off()
        self.network.close()

    # Agent runs

    @property
    def current_run(self):
        """Return the current agent run, or the last one; None before the first."""
        return self.agent_runs[-1] if self.agent_runs else None

    def start(self, tables=None):
        """Start the agent on the journal that the last run left."""
        assert not self.agent_runs or not self.current_run.is_alive
        agent_run = AgentRun(self, self.journal_folder, tables)
        self.agent_runs.append(agent_run)
        return agent_run

    def new_journal_folder(self):
        """Create the folder for the journal of the next agent run."""
        folder = self.folder / f"run-{len(self.agent_runs)}"
        folder.mkdir()
        return folder

    def on_killed(self, agent_run, successor):
        """Handle a killed run: the next one gets the journal as it was on the disk at that time."""
        self.journal_folder = successor
        self.on_run_ended(agent_run)

    def on_ended(self, agent_run, error):
        """Handle a run that ended by itself."""
        self.unforced_ends.append((self.loop.time(), self.agent_runs.index(agent_run), error))
        self.on_run_ended(agent_run)

    def reach_kill_point(self, point, agent_run):
        self.on_kill_point(point, agent_run)

    # Time

    async def advance(self, seconds):
        await asyncio.sleep(seconds)

    def call_later(self, seconds, function, *arguments):
        self.loop.call_later(seconds, function, *arguments)

    def true_time(self):
        return datetime.fromtimestamp(START_WALL_TIME + self.loop.time() - START_TIME_S, UTC)

    def wall_clock(self):
        """Return the time of the device's clock, in seconds since 1970."""
        return START_WALL_TIME + self.loop.time() - START_TIME_S + self.clock_error_s

    # Network

    def send(self, content, *, sender=None, sid=None, **arguments):
        """Send a Command, or a message from another sender; `sid` is put in front of the text. Return its
        handle."""
        text = f"{sid} {content}" if sid else content
        user_data = pdu.segment(text)[0]
        return self.network.send(
            self.sim.imsi,
            pdu.Address.parse(sender or self.service.number),
            user_data,
            body=content,
            **arguments,
        )

    @property
    def sent_bodies(self):
        """Return the bodies that the network received from the device, oldest first."""
        return [message.body for message in self.network.mo_messages]

    @property
    def stored_count(self):
        """Return the number of messages in the module."""
        return sum(len(store) for name, store in self.module.stores.items() if name in {"ME", "SM"})

    # Callbacks

    def _on_network_event(self, event):
        self.network_events.append((self.loop.time(), event))

    def on_event(self, agent_run, event):
        self.events.append(
            (
                self.loop.time(),
                self.agent_runs.index(agent_run) if agent_run in self.agent_runs else len(self.agent_runs),
                event,
            )
        )

    def events_of_kind(self, kind):
        """Return the events of a kind, oldest first. Raises ValueError if there is no such kind."""
        return [event for _, _, event in self.events if event.kind is EventKind(kind)]

    def on_sd_notify(self, agent_run, message):
        self.sd_notifications.append((self.loop.time(), len(self.agent_runs) - 1, message))

    def start_handler_run(self, kind, spec, content, attempt):
        """Record the start of a handler; return its duration in seconds and its outcome."""
        plan = self.plans.get(content, HandlerPlan())
        seconds, does = plan.attempts[min(attempt, len(plan.attempts)) - 1] if kind == "run" else plan.action
        runs = self.handler_runs if kind == "run" else self.action_runs
        if kind == "act" and sum(run.content == content for run in self.action_runs) >= 3:
            does = "ok"  # a repeated action has been recorded by now; do not kill the agent for ever
        runs.append(
            HandlerRun(self.loop.time(), len(self.agent_runs) - 1, spec.name, content, attempt, does, seconds)
        )
        return seconds, does


class RadioLink:
    """The network as the module sees it. Records what the module has accepted and what it has sent."""

    def __init__(self, world):
        self._world = world
        self._offered_tpdus = {}
        self._send_started_at = {}
        self.on_offered = lambda tpdu: None
        """Called when a message reaches a running module."""
        self.on_accepted = lambda tpdu, how: None
        """Called when the module has accepted a message; `how` is "stored", "acknowledged" (by +CNMA) or
        "handed" (delivered directly without acknowledgement)."""
        self.submits = []
        """(time, TPDU, cause) of each message that reached the network; cause None if it was not refused
        here."""
        self.sent_at = []
        """Times at which the messages that the network accepted left the module."""
        self.pending_causes = []
        """Causes with which the next messages are refused; None for a message that is accepted."""
        self.submit_delay_s = 0.0
        """Delay in seconds of messages from the module to the network."""

    def wrap_deliver(self, module):
        """Return the function that the network calls to deliver a message to this module."""
        deliver = module.deliver

        def offered(reference, service_centre, tpdu):
            self._offered_tpdus[reference] = tpdu
            if module.power.is_running:
                self.on_offered(tpdu)
            deliver(reference, service_centre, tpdu)

        return offered

    def acknowledge(self, station, reference, cause):
        if cause is None and reference in self._offered_tpdus:
            tpdu = self._offered_tpdus[reference]
            stored = any(each.tpdu == tpdu for store in station.stores.values() for _, each in store)
            answered = station.mt_delivery._unanswered_reference == reference and station.settings.csms == 1
            self._world.accepted.append(tpdu)
            self.on_accepted(tpdu, "stored" if stored else "acknowledged" if answered else "handed")
        self._world.network.acknowledge(station, reference, cause)

    def submit(self, station, token, tpdu):
        if self.submit_delay_s:
            self._world.call_later(
                self.submit_delay_s, self._submit, station, token, tpdu, self._world.loop.time()
            )
        else:
            self._submit(station, token, tpdu, self._world.loop.time())

    def _submit(self, station, token, tpdu, left_at):
        cause = self.pending_causes.pop(0) if self.pending_causes else None
        self.submits.append((self._world.loop.time(), tpdu, cause))
        if cause is None:
            self._send_started_at[token] = left_at
            self._world.network.submit(station, token, tpdu)
        else:
            self._world.call_later(1.0, station.submitted, token, cause)

    def wrap_submitted(self, module):
        """Return the function that the network calls to report the result of a submission."""
        submitted = module.submitted

        def record_submitted(token, cause):
            left_at = self._send_started_at.pop(token, self._world.loop.time())
            if cause is None:
                self.sent_at.append(left_at)
            submitted(token, cause)

        return record_submitted

    def __getattr__(self, name):
        return getattr(self._world.network, name)
