"""One life of the agent, from its start to its end by whatever: asked to stop, SIGKILL, a power cut.

Whoever is killed runs nothing more. Here its tasks are cancelled, and what they still do on their way out
reaches nobody: the wire is cut off, the journal that they write is a copy which nobody reads again.
"""

import asyncio
import contextvars
import random
import shutil
import sqlite3

from agent.app import Agent, Seams
from agent.config import parse
from agent.journal.skin import Inline
from agent.modem.card import Pin

LIFE = contextvars.ContextVar("life", default=None)
"""The life that a task belongs to."""
LOOKS = {"_others", "user"}
"""What the agent has done in the journal's thread although it is not the journal that is asked."""


class Life:
    """An agent at work on a journal of its own."""

    def __init__(self, world, folder, tables=None):
        """`folder` holds the journal; `tables` holds keys of agent.toml that differ from the world's."""
        self.world = world
        self.folder = folder
        self.alive = True
        self.end = ""
        self._loop = asyncio.get_running_loop()
        own = {
            "modem": {"message_format": world.message_format},
            "service": {"name": world.service.name},
            "handlers": {"directory": str(world.handlers)},
            "journal": {"path": str(folder / "journal.db")},
            "control": {"socket": str(folder / "control.sock")},
        }
        other = world.tables if tables is None else tables
        config = parse({name: own.get(name, {}) | other.get(name, {}) for name in own | other}, "agent.toml")
        self.began_at = self._loop.time()
        self.ended_at = None
        self.fed_at = self.began_at
        """When it last said that all its tasks keep their deadlines."""
        self.turn = asyncio.Lock()
        """The disk does one thing after the other."""
        wal = folder / "journal.db-wal"
        self.acknowledged = wal.stat().st_size if wal.exists() else 0
        """Octets of the write-ahead log that were there when the last commit was acknowledged."""
        seams = Seams(
            opener=self._open,
            skin=lambda: _Skin(self),
            runner=lambda tell: world.make_runner(self),
            wall=world.wall,
            random=random.Random(world.random.random()),
            notify=self._notify,
            watchdog_s=30.0,
            pin=None if world.sim.pin is None else Pin(world.sim.pin, "the world"),
        )
        self.agent = Agent(config, self._tell, seams)
        context = contextvars.copy_context()
        context.run(LIFE.set, self)
        self.task = self._loop.create_task(self.agent.run(), context=context)
        self.task.add_done_callback(self._ended)

    async def stop(self):
        """As SIGTERM does."""
        self.agent.stop()
        await asyncio.wait((self.task,))

    def kill(self, why, *, power=False):
        """SIGKILL, or with `power` a power cut: what was not acknowledged may be gone with it."""
        if not self.alive:
            return
        self.alive = False
        self.end = why
        self.ended_at = self._loop.time()
        successor = self.world.new_folder()
        wal = 0
        for name in ("journal.db", "journal.db-wal"):
            if (self.folder / name).exists():
                shutil.copyfile(self.folder / name, successor / name)
                wal = (successor / name).stat().st_size
        if power and wal > self.acknowledged:
            with (successor / "journal.db-wal").open("r+b") as file:
                file.truncate(self.world.random.randint(self.acknowledged, wal))
        if self.world.port.wire is not None:
            self.world.port.let_go(self.world.port.wire)
        self.world.died(self, successor)
        self._cancel()

    def _cancel(self):
        """Its tasks end; those that wait for something else on their way out are asked again."""
        mine = [
            task
            for task in sorted(asyncio.all_tasks(), key=lambda task: task.number)
            if task.context.get(LIFE) is self and not task.done()
        ]
        for task in mine:
            task.cancel()
        if mine:
            self._loop.call_later(0.001, self._cancel)

    async def silence(self):
        """What a dead agent waits for."""
        await self._loop.create_future()

    # The seams

    async def _open(self, reader):
        if not self.alive:
            await self.silence()
        await asyncio.sleep(0.01)
        if not self.alive:
            await self.silence()
        return _Wire(self, await self.world.port.open(_Reader(self, reader)))

    def _tell(self, step):
        if self.alive:
            self.world.told(self, step)

    def _notify(self, message):
        if self.alive:
            if message == "WATCHDOG=1":
                self.fed_at = self._loop.time()
            self.world.notified(self, message)

    def _ended(self, task):
        if self.alive:
            self.alive = False
            self.end = self.end or "stopped"
            self.ended_at = self._loop.time()
            self.world.over(self, None if task.cancelled() else task.exception())
        elif not task.cancelled():
            task.exception()


class _Skin(Inline):
    """The journal, each call at once; the world may end the agent before it or after it, or fill the disk."""

    def __init__(self, life):
        self._life = life

    async def run(self, function, /, *arguments, **named):
        life = self._life
        if life.alive:
            life.world.at("before a commit", life)
        if not life.alive:
            await life.silence()
        async with life.turn:
            if life.world.disk_delay:
                await asyncio.sleep(life.world.disk_delay)
            return await self._now(function, *arguments, **named)

    async def _now(self, function, /, *arguments, **named):
        life = self._life
        if not life.alive:
            await life.silence()
        looks = getattr(function, "__name__", "") in LOOKS
        if life.world.disk_trouble is not None and not looks:
            raise sqlite3.OperationalError(life.world.disk_trouble)
        result = function(*arguments, **named)
        life.world.at("in a commit", life)
        if not life.alive:
            await life.silence()
        wal = life.folder / "journal.db-wal"
        life.acknowledged = wal.stat().st_size if wal.exists() else 0
        life.world.at("after a commit", life)
        if not life.alive:
            await life.silence()
        return result


class _Reader:
    """What the module says, while the agent lives."""

    def __init__(self, life, reader):
        self._life = life
        self._reader = reader

    def received(self, data):
        if self._life.alive:
            self._reader.received(data)

    def hung_up(self, reason):
        if self._life.alive:
            self._reader.hung_up(reason)


class _Wire:
    """What the agent writes, while it lives."""

    def __init__(self, life, wire):
        self._life = life
        self._wire = wire

    def write(self, data):
        life = self._life
        if life.alive:
            life.world.at("before a write", life)
        if life.alive:
            self._wire.write(data)
            life.world.at("after a write", life)

    def close(self):
        self._wire.close()

    async def closed(self):
        await self._wire.closed()
