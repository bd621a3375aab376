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
from agent.service.profile import PROFILES
from hardware import profile
from hardware.sim.module.card import Sim
from hardware.sim.module.memory import Joined
from hardware.sim.module.module import SimulatedModule
from hardware.sim.network.network import SimulatedNetwork, Subscription
from soak import runner
from soak.life import Life
from soak.port import Port
from soak.virtual import BEGIN

EPOCH = datetime(2026, 11, 22, 12, tzinfo=UTC).timestamp()
NUMBER = "447700900123"
"""Telephone number of the simulated SIM."""


@dataclass
class Run:
    """A handler was begun. This stays, whatever becomes of the agent."""

    at: float
    life: int
    handler: str
    content: str | bytes
    attempt: int
    does: str
    seconds: float
    """How long it takes, if nothing ends it earlier."""


@dataclass
class Plan:
    """What a handler does with one Command: for each attempt how long it takes and how it ends.

    Ends: ok, nothing (no answer), fail, hang, later, then (an action follows), kill (ends the agent), stuck
    (whoever runs handlers never says anything again). `act` is the same for the action after the answer.
    """

    attempts: list[tuple[float, str]] = field(default_factory=lambda: [(0.2, "ok")])
    act: tuple[float, str] = (0.1, "ok")


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
        cut=None,
        sim=None,
    ):
        self.folder = folder
        self.random = random.Random(seed)
        self.loop = asyncio.get_running_loop()
        self.service = PROFILES[service]
        self.message_format = message_format
        self.tables = tables or {}
        """Tables of agent.toml: their keys take the place of the world's own."""
        self.handlers = folder / "handlers"
        runner.furnish(self.handlers)
        self.skew = 0.0
        """How far the device's clock is ahead."""
        self.disk_trouble = None
        """What every commit fails with, while it is set."""
        self.disk_delay = 0.0
        """How long each call of the journal takes."""
        self.plans = {}
        """By content: what its handler does. Others take 0.2 s and answer."""
        self.make_runner = lambda life: runner.SimulatedRunner(self, life)
        self.at_points = lambda point, life: None
        """Called before and after each commit and write of the agent: the place to kill it."""
        self.ended = lambda life: None
        """Called when a life has ended, killed or by itself."""
        self.runs: list[Run] = []
        self.acts: list[Run] = []
        self.steps = []
        """(time, number of the life, Step)."""
        self.notices = []
        """(time, number of the life, message to systemd)."""
        self.lives: list[Life] = []
        self.ends = []
        """(time, number of the life, exception or None) of lives that ended by themselves."""
        self.accepted = []
        """TPDUs that the module has answered for, oldest first: from here on they are the agent's."""
        self.events = []
        """(time, Event) of the network."""
        self.network = SimulatedNetwork(self.loop, self.true_time, self._happened, timing=timing)
        self.sim = self.first_sim = sim or Sim(imsi="001010000000001")
        self.second_sim = Sim(imsi="001010000000002", iccid="89440000000000000025", pin=self.sim.pin)
        for each in (self.first_sim, self.second_sim):
            self.network.subscribe(
                Subscription(imsi=each.imsi, number=NUMBER, originated=lambda message: None)
            )
        self.port = Port(self.loop, cut)
        self.air = Air(self)
        self.module = SimulatedModule(
            self.loop,
            self.air,
            profile.device(device) if isinstance(device, str) else device,
            self.sim,
            self.port.say,
            self.true_time,
        )
        self.module.deliver = self.air.deliver(self.module)
        self.module.submitted = self.air.submitted(self.module)
        self.port.module = self.module
        self.module.faults.port = self.port
        self.journal_folder = self.new_folder()
        """Of the next life, or of the one that lasts."""
        self.damages = []
        """What became of the journal between two lives, oldest first."""

    def insert(self, sim):
        """Another SIM, for which the module is without power."""
        self.module.power_off()
        self.sim = self.module.sim = self.module.card.sim = sim
        stores = self.module.stores
        stores["SM"], own = sim.messages, stores.get("ME")
        joined = self.module.device.joins_memories and own is not None
        stores["MT"] = Joined(own, sim.messages) if joined else own or sim.messages
        self.call_later(2.0, self.module.power_on)

    async def __aenter__(self):
        self.module.power_on()
        return self

    async def __aexit__(self, *error):
        for life in self.lives:
            life.kill("the world ends")
            await asyncio.wait((life.task,))
        self.module.power_off()
        self.network.close()

    # Lives

    @property
    def life(self):
        """The life that lasts, or the last one."""
        return self.lives[-1] if self.lives else None

    def start(self, tables=None):
        """The agent begins, on the journal that its last life left."""
        assert not self.lives or not self.life.alive
        life = Life(self, self.journal_folder, tables)
        self.lives.append(life)
        return life

    def new_folder(self):
        """For the journal of the next life."""
        folder = self.folder / f"life-{len(self.lives)}"
        folder.mkdir()
        return folder

    def died(self, life, successor):
        """It was killed; the next one takes over what was on the disk at that moment."""
        self.journal_folder = successor
        self.ended(life)

    def over(self, life, error):
        """It has ended by itself."""
        self.ends.append((self.loop.time(), self.lives.index(life), error))
        self.ended(life)

    def at(self, point, life):
        self.at_points(point, life)

    # Time

    async def passes(self, seconds):
        await asyncio.sleep(seconds)

    def call_later(self, seconds, function, *arguments):
        self.loop.call_later(seconds, function, *arguments)

    def true_time(self):
        return datetime.fromtimestamp(EPOCH + self.loop.time() - BEGIN, UTC)

    def wall(self):
        """The device's clock, seconds since 1970."""
        return EPOCH + self.loop.time() - BEGIN + self.skew

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
    def bodies(self):
        """What the network got from the device, oldest first."""
        return [message.body for message in self.network.ledger]

    @property
    def stored(self):
        """How many messages the module holds."""
        return sum(len(store) for name, store in self.module.stores.items() if name in {"ME", "SM"})

    # What others report

    def _happened(self, event):
        self.events.append((self.loop.time(), event))

    def told(self, life, step):
        self.steps.append(
            (self.loop.time(), self.lives.index(life) if life in self.lives else len(self.lives), step)
        )

    def said(self, what):
        """The steps of that word."""
        return [step for _, _, step in self.steps if step.what == what]

    def notified(self, life, message):
        self.notices.append((self.loop.time(), len(self.lives) - 1, message))

    def handled(self, what, entry, content, attempt):
        """A handler begins; how long it takes and how it ends."""
        plan = self.plans.get(content, Plan())
        seconds, does = plan.attempts[min(attempt, len(plan.attempts)) - 1] if what == "run" else plan.act
        done = self.runs if what == "run" else self.acts
        if what == "act" and sum(run.content == content for run in self.acts) >= 3:
            does = "ok"  # an agent that acts again and again is seen by now, and need not die all day
        done.append(Run(self.loop.time(), len(self.lives) - 1, entry.name, content, attempt, does, seconds))
        return seconds, does


class Air:
    """The network as the module sees it: notes what the module has answered for, and what it sent."""

    def __init__(self, world):
        self._world = world
        self._offered = {}
        self._leaving = {}
        self.offered = lambda tpdu: None
        """Called when a message reaches a module that hears it."""
        self.taken = lambda tpdu, how: None
        """Called when the module has answered for a message; `how` is stored, acknowledged (by +CNMA) or
        handed (to the terminal, and nobody asked for an answer)."""
        self.submits = []
        """(time, TPDU, cause) of each message that came to the network; None: it is asked to take it."""
        self.left = []
        """When each message left the module that the network took."""
        self.refusals = []
        """Causes that the next messages are refused with, None for one that is accepted."""
        self.delay = 0.0
        """How much later messages from the module reach the network."""

    def deliver(self, module):
        """What the network calls to deliver a message to this module."""
        deliver = module.deliver

        def offered(reference, service_centre, tpdu):
            self._offered[reference] = tpdu
            if module.power.awake:
                self.offered(tpdu)
            deliver(reference, service_centre, tpdu)

        return offered

    def acknowledge(self, station, reference, cause):
        if cause is None and reference in self._offered:
            tpdu = self._offered[reference]
            stored = any(each.tpdu == tpdu for store in station.stores.values() for _, each in store)
            answered = station.arrival._unanswered == reference and station.settings.csms == 1
            self._world.accepted.append(tpdu)
            self.taken(tpdu, "stored" if stored else "acknowledged" if answered else "handed")
        self._world.network.acknowledge(station, reference, cause)

    def submit(self, station, token, tpdu):
        if self.delay:
            self._world.call_later(self.delay, self._submit, station, token, tpdu, self._world.loop.time())
        else:
            self._submit(station, token, tpdu, self._world.loop.time())

    def _submit(self, station, token, tpdu, left):
        cause = self.refusals.pop(0) if self.refusals else None
        self.submits.append((self._world.loop.time(), tpdu, cause))
        if cause is None:
            self._leaving[token] = left
            self._world.network.submit(station, token, tpdu)
        else:
            self._world.call_later(1.0, station.submitted, token, cause)

    def submitted(self, module):
        """What the network calls to tell this module what became of a message."""
        submitted = module.submitted

        def told(token, cause):
            left = self._leaving.pop(token, self._world.loop.time())
            if cause is None:
                self.left.append(left)
            submitted(token, cause)

        return told

    def __getattr__(self, name):
        return getattr(self._world.network, name)
