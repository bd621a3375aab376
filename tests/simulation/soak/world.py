"""Everything around the agent: network, module, port, handlers' effects, clocks, one life after the other.

async with World(folder) as world:
    life = world.start()
    world.send("led 7")
    await world.passes(60)
    assert world.bodies == ["did led 7"]
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
from hardware.sim.network.network import SimulatedNetwork, Subscription
from soak import simulated_runner
from soak.agent_run import AgentRun
from soak.simulated_port import SimulatedPort
from virtual_time import START_TIME_S

START_WALL_TIME = datetime(2026, 11, 22, 12, tzinfo=UTC).timestamp()
SIM_NUMBER = "447700900123"
"""Telephone number of the simulated SIM."""


@dataclass
class HandlerRun:
    """A handler was begun. This stays, whatever becomes of the agent."""

    started_at: float
    agent_run: int
    handler: str
    content: str | bytes
    attempt: int
    outcome: str
    duration_s: float
    """How long it takes, if nothing ends it earlier."""


@dataclass
class HandlerPlan:
    """What a handler does with one Command: for each attempt how long it takes and how it ends.

    Ends: ok, nothing (no answer), fail, hang, later, then (an action follows), kill (ends the agent), stuck
    (whoever runs handlers never says anything again). `act` is the same for the action after the answer.
    """

    attempts: list[tuple[float, str]] = field(default_factory=lambda: [(0.2, "ok")])
    action: tuple[float, str] = (0.1, "ok")


class World:
    """One device and the network around it. It must be made on the loop that runs it."""

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
        """Tables of agent.toml: their keys take the place of the world's own."""
        self.handler_directory = folder / "handlers"
        simulated_runner.write_handler_files(self.handler_directory)
        self.clock_error_s = 0.0
        """How far the device's clock is ahead."""
        self.disk_error = None
        """What every commit fails with, while it is set."""
        self.disk_delay_s = 0.0
        """How long each call of the journal takes."""
        self.plans = {}
        """By content: what its handler does. Others take 0.2 s and answer."""
        self.make_runner = lambda life: simulated_runner.SimulatedRunner(self, life)
        self.on_kill_point = lambda point, life: None
        """Called before and after each commit and write of the agent: the place to kill it."""
        self.on_run_ended = lambda life: None
        """Called when a life has ended, killed or by itself."""
        self.handler_runs: list[HandlerRun] = []
        self.action_runs: list[HandlerRun] = []
        self.events = []
        """(time, number of the life, Step)."""
        self.sd_notifications = []
        """(time, number of the life, message to systemd)."""
        self.agent_runs: list[AgentRun] = []
        self.unforced_ends = []
        """(time, number of the life, exception or None) of lives that ended by themselves."""
        self.accepted = []
        """TPDUs that the module has answered for, oldest first: from here on they are the agent's."""
        self.network_events = []
        """(time, Event) of the network."""
        self.network = SimulatedNetwork(self.loop, self.true_time, self._on_network_event, timing=timing)
        self.sim = self.first_sim = sim or SimCard(imsi="001010000000001")
        self.second_sim = SimCard(imsi="001010000000002", iccid="89440000000000000025", pin=self.sim.pin)
        for each in (self.first_sim, self.second_sim):
            self.network.subscribe(
                Subscription(imsi=each.imsi, phone_number=SIM_NUMBER, on_mo_message=lambda message: None)
            )
        self.port = SimulatedPort(self.loop, split)
        self.radio = RadioLink(self)
        self.module = SimulatedModule(
            self.loop,
            self.radio,
            profile.load_simulator_profile(device) if isinstance(device, str) else device,
            self.sim,
            self.port.send_from_module,
            self.true_time,
        )
        self.module.deliver = self.radio.wrap_deliver(self.module)
        self.module.submitted = self.radio.wrap_submitted(self.module)
        self.port.module = self.module
        self.module.faults.port = self.port
        self.journal_folder = self.new_journal_folder()
        """Of the next life, or of the one that lasts."""
        self.corruptions = []
        """What became of the journal between two lives, oldest first."""

    def insert_sim(self, sim):
        """Another SIM, for which the module is without power."""
        self.module.power_off()
        self.sim = sim
        self.module.insert_sim(sim)
        self.call_later(2.0, self.module.power_on)

    async def __aenter__(self):
        self.module.power_on()
        return self

    async def __aexit__(self, *error):
        for life in self.agent_runs:
            life.kill("the world ends")
            await asyncio.wait((life.task,))
        self.module.power_off()
        self.network.close()

    # Lives

    @property
    def current_run(self):
        """The life that lasts, or the last one."""
        return self.agent_runs[-1] if self.agent_runs else None

    def start(self, tables=None):
        """The agent begins, on the journal that its last life left."""
        assert not self.agent_runs or not self.current_run.is_alive
        life = AgentRun(self, self.journal_folder, tables)
        self.agent_runs.append(life)
        return life

    def new_journal_folder(self):
        """For the journal of the next life."""
        folder = self.folder / f"life-{len(self.agent_runs)}"
        folder.mkdir()
        return folder

    def on_killed(self, agent_run, successor):
        """It was killed; the next one takes over what was on the disk at that moment."""
        self.journal_folder = successor
        self.on_run_ended(agent_run)

    def on_ended(self, agent_run, error):
        """It has ended by itself."""
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
        """The device's clock, seconds since 1970."""
        return START_WALL_TIME + self.loop.time() - START_TIME_S + self.clock_error_s

    # The network's side

    def send(self, content, *, sender=None, sid=None, **arguments):
        """A Command, or a message of another sender; `sid` is put in front of a text. Returns its handle."""
        whole = f"{sid} {content}" if sid else content
        user_data = pdu.segment(whole)[0]
        return self.network.send(
            self.sim.imsi,
            pdu.Address.parse(sender or self.service.number),
            user_data,
            body=content,
            **arguments,
        )

    @property
    def sent_bodies(self):
        """What the network got from the device, oldest first."""
        return [message.body for message in self.network.mo_messages]

    @property
    def stored_count(self):
        """How many messages the module holds."""
        return sum(len(store) for name, store in self.module.stores.items() if name in {"ME", "SM"})

    # What others report

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
        """A handler begins; how long it takes and how it ends."""
        plan = self.plans.get(content, HandlerPlan())
        seconds, does = plan.attempts[min(attempt, len(plan.attempts)) - 1] if kind == "run" else plan.action
        done = self.handler_runs if kind == "run" else self.action_runs
        if kind == "act" and sum(run.content == content for run in self.action_runs) >= 3:
            does = "ok"  # an agent that acts again and again is seen by now, and need not die all day
        done.append(
            HandlerRun(self.loop.time(), len(self.agent_runs) - 1, spec.name, content, attempt, does, seconds)
        )
        return seconds, does


class RadioLink:
    """The network as the module sees it: notes what the module has answered for, and what it sent."""

    def __init__(self, world):
        self._world = world
        self._offered_tpdus = {}
        self._send_started_at = {}
        self.on_offered = lambda tpdu: None
        """Called when a message reaches a module that hears it."""
        self.on_accepted = lambda tpdu, how: None
        """Called when the module has answered for a message; `how` is stored, acknowledged (by +CNMA) or
        handed (to the terminal, and nobody asked for an answer)."""
        self.submits = []
        """(time, TPDU, cause) of each message that came to the network; None: it is asked to take it."""
        self.sent_at = []
        """When each message left the module that the network took."""
        self.pending_causes = []
        """Causes that the next messages are refused with, None for one that is accepted."""
        self.submit_delay_s = 0.0
        """How much later messages from the module reach the network."""

    def wrap_deliver(self, module):
        """What the network calls to deliver a message to this module."""
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

    def _submit(self, station, token, tpdu, left):
        cause = self.pending_causes.pop(0) if self.pending_causes else None
        self.submits.append((self._world.loop.time(), tpdu, cause))
        if cause is None:
            self._send_started_at[token] = left
            self._world.network.submit(station, token, tpdu)
        else:
            self._world.call_later(1.0, station.submitted, token, cause)

    def wrap_submitted(self, module):
        """What the network calls to tell this module what became of a message."""
        submitted = module.submitted

        def told(token, cause):
            left = self._send_started_at.pop(token, self._world.loop.time())
            if cause is None:
                self.sent_at.append(left)
            submitted(token, cause)

        return told

    def __getattr__(self, name):
        return getattr(self._world.network, name)
