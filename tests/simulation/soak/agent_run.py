"""One life of the agent, from its start to its end by whatever: asked to stop, SIGKILL, a power cut.

Whoever is killed runs nothing more. Here its tasks are cancelled, and what they still do on their way out
reaches nobody: the wire is cut off, the journal that they write is a copy which nobody reads again.
"""

import asyncio
import contextvars
import random
import shutil
import sqlite3

from agent.common.config import parse_config
from agent.daemon.agent import Agent, Dependencies
from agent.journal.executor import InlineExecutor
from agent.modem.sim import Pin

CURRENT_RUN = contextvars.ContextVar("life", default=None)
"""The life that a task belongs to."""
NON_JOURNAL_CALLS = {"_describe_port_users", "describe_users"}
"""What the agent has done in the journal's thread although it is not the journal that is asked."""


class AgentRun:
    """An agent at work on a journal of its own."""

    def __init__(self, world, folder, tables=None):
        """`folder` holds the journal; `tables` holds keys of agent.toml that differ from the world's."""
        self.world = world
        self.folder = folder
        self.is_alive = True
        self.end_reason = ""
        self._loop = asyncio.get_running_loop()
        own = {
            "modem": {"message_format": world.message_format},
            "service": {"name": world.service.name},
            "handlers": {"directory": str(world.handler_directory)},
            "journal": {"path": str(folder / "journal.db")},
            "control": {"socket": str(folder / "control.sock")},
        }
        other = world.tables if tables is None else tables
        config = parse_config(
            {name: own.get(name, {}) | other.get(name, {}) for name in own | other}, "agent.toml"
        )
        self.started_at = self._loop.time()
        self.ended_at = None
        self.last_watchdog_at = self.started_at
        """When it last said that all its tasks keep their deadlines."""
        self.disk_lock = asyncio.Lock()
        """The disk does one thing after the other."""
        wal = folder / "journal.db-wal"
        self.durable_wal_bytes = wal.stat().st_size if wal.exists() else 0
        """Octets of the write-ahead log that were there when the last commit was acknowledged."""
        seams = Dependencies(
            opener=self._open_port,
            db_executor=lambda: _CrashingExecutor(self),
            runner=lambda tell: world.make_runner(self),
            wall_clock=world.wall_clock,
            random=random.Random(world.rng.random()),
            notify=self._notify,
            watchdog_interval_s=30.0,
            pin=None if world.sim.pin is None else Pin(world.sim.pin, "the world"),
        )
        self.agent = Agent(config, self._emit, seams)
        context = contextvars.copy_context()
        context.run(CURRENT_RUN.set, self)
        self.task = self._loop.create_task(self.agent.run(), context=context)
        self.task.add_done_callback(self._on_task_done)

    async def stop(self):
        """As SIGTERM does."""
        self.agent.stop()
        await asyncio.wait((self.task,))

    def kill(self, reason, *, power=False):
        """SIGKILL, or with `power` a power cut: what was not acknowledged may be gone with it."""
        if not self.is_alive:
            return
        self.is_alive = False
        self.end_reason = reason
        self.ended_at = self._loop.time()
        successor = self.world.new_journal_folder()
        wal = 0
        for name in ("journal.db", "journal.db-wal"):
            if (self.folder / name).exists():
                shutil.copyfile(self.folder / name, successor / name)
                wal = (successor / name).stat().st_size
        if power and wal > self.durable_wal_bytes:
            with (successor / "journal.db-wal").open("r+b") as file:
                file.truncate(self.world.rng.randint(self.durable_wal_bytes, wal))
        if self.world.port.transport is not None:
            self.world.port.release(self.world.port.transport)
        self.world.on_killed(self, successor)
        self._cancel_tasks()

    def _cancel_tasks(self):
        """Its tasks end; those that wait for something else on their way out are asked again."""
        mine = [
            task
            for task in sorted(asyncio.all_tasks(), key=lambda task: task.serial)
            if task.context.get(CURRENT_RUN) is self and not task.done()
        ]
        for task in mine:
            task.cancel()
        if mine:
            self._loop.call_later(0.001, self._cancel_tasks)

    async def wait_forever(self):
        """What a dead agent waits for."""
        await self._loop.create_future()

    # The seams

    async def _open_port(self, reader):
        if not self.is_alive:
            await self.wait_forever()
        await asyncio.sleep(0.01)
        if not self.is_alive:
            await self.wait_forever()
        return _AgentTransport(self, await self.world.port.open(_AgentReader(self, reader)))

    def _emit(self, event):
        if self.is_alive:
            self.world.on_event(self, event)

    def _notify(self, message):
        if self.is_alive:
            if message == "WATCHDOG=1":
                self.last_watchdog_at = self._loop.time()
            self.world.on_sd_notify(self, message)

    def _on_task_done(self, task):
        if self.is_alive:
            self.is_alive = False
            self.end_reason = self.end_reason or "stopped"
            self.ended_at = self._loop.time()
            self.world.on_ended(self, None if task.cancelled() else task.exception())
        elif not task.cancelled():
            task.exception()


class _CrashingExecutor(InlineExecutor):
    """The journal, each call at once; the world may end the agent before it or after it, or fill the disk."""

    def __init__(self, agent_run):
        self._agent_run = agent_run

    async def run(self, function, /, *arguments, **named):
        life = self._agent_run
        if life.is_alive:
            life.world.reach_kill_point("before a commit", life)
        if not life.is_alive:
            await life.wait_forever()
        async with life.disk_lock:
            if life.world.disk_delay_s:
                await asyncio.sleep(life.world.disk_delay_s)
            return await self._run_locked(function, *arguments, **named)

    async def _run_locked(self, function, /, *arguments, **named):
        life = self._agent_run
        if not life.is_alive:
            await life.wait_forever()
        looks = getattr(function, "__name__", "") in NON_JOURNAL_CALLS
        if life.world.disk_error is not None and not looks:
            raise sqlite3.OperationalError(life.world.disk_error)
        result = function(*arguments, **named)
        life.world.reach_kill_point("in a commit", life)
        if not life.is_alive:
            await life.wait_forever()
        wal = life.folder / "journal.db-wal"
        life.durable_wal_bytes = wal.stat().st_size if wal.exists() else 0
        life.world.reach_kill_point("after a commit", life)
        if not life.is_alive:
            await life.wait_forever()
        return result


class _AgentReader:
    """What the module says, while the agent lives."""

    def __init__(self, agent_run, reader):
        self._agent_run = agent_run
        self._reader = reader

    def data_received(self, data):
        if self._agent_run.is_alive:
            self._reader.data_received(data)

    def connection_lost(self, reason):
        if self._agent_run.is_alive:
            self._reader.connection_lost(reason)


class _AgentTransport:
    """What the agent writes, while it lives."""

    def __init__(self, agent_run, transport):
        self._agent_run = agent_run
        self._transport = transport

    def write(self, data):
        life = self._agent_run
        if life.is_alive:
            life.world.reach_kill_point("before a write", life)
        if life.is_alive:
            self._transport.write(data)
            life.world.reach_kill_point("after a write", life)

    def close(self):
        self._transport.close()

    async def wait_closed(self):
        await self._transport.wait_closed()
