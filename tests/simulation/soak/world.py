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


@dataclass
class Plan:
    """What a handler does with one Command: for each attempt how long it takes and how it ends.

    Ends: ok, nothing (no answer), fail, hang, later, then (an action follows), kill (ends the agent).
    """

    attempts: list[tuple[float, str]] = field(default_factory=lambda: [(0.2, "ok")])


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
        """Tables of agent.toml, whole: they take the place of the world's own."""
        self.handlers = folder / "handlers"
        runner.furnish(self.handlers)
        self.skew = 0.0
        """How far the device's clock is ahead."""
        self.disk_trouble = None
        """What every commit fails with, while it is set."""
        self.plans = {}
        """By content: what its handler does. Others take 0.2 s and answer."""
        self.make_runner = lambda life: runner.SimulatedRunner(self, life)
        self.at_points = lambda point, life: None
        """Called before and after each commit and write of the agent: the place to kill it."""
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
        self.network = SimulatedNetwork(self.loop, self.true_time, lambda event: None, timing=timing)
        self.sim = sim or Sim(imsi="001010000000001")
        self.network.subscribe(
            Subscription(imsi=self.sim.imsi, number=NUMBER, originated=lambda message: None)
        )
        self.port = Port(self.loop, cut)
        self.module = SimulatedModule(
            self.loop, air := _Air(self), profile.device(device), self.sim, self.port.say, self.true_time
        )
        self.module.deliver = air.deliver(self.module)
        self.port.module = self.module
        self.module.faults.port = self.port
        self._journal = self.new_folder()

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
        life = Life(self, self._journal, tables)
        self.lives.append(life)
        return life

    def new_folder(self):
        """For the journal of the next life."""
        folder = self.folder / f"life-{len(self.lives)}"
        folder.mkdir()
        return folder

    def died(self, life, successor):
        """It was killed; the next one takes over what was on the disk at that moment."""
        self._journal = successor

    def over(self, life, error):
        """It has ended by itself."""
        self.ends.append((self.loop.time(), self.lives.index(life), error))

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
        seconds, does = plan.attempts[min(attempt, len(plan.attempts)) - 1] if what == "run" else (0.1, "ok")
        done = self.runs if what == "run" else self.acts
        done.append(Run(self.loop.time(), len(self.lives) - 1, entry.name, content, attempt, does))
        return seconds, does


class _Air:
    """The network as the module sees it: notes which messages the module has answered for."""

    def __init__(self, world):
        self._world = world
        self._offered = {}

    def deliver(self, module):
        """What the network calls to deliver a message to this module."""
        deliver = module.deliver

        def offered(reference, service_centre, tpdu):
            self._offered[reference] = tpdu
            deliver(reference, service_centre, tpdu)

        return offered

    def acknowledge(self, station, reference, cause):
        if cause is None and reference in self._offered:
            self._world.accepted.append(self._offered[reference])
        self._world.network.acknowledge(station, reference, cause)

    def __getattr__(self, name):
        return getattr(self._world.network, name)
