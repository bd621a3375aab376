"""One run of the agent, from its start until it is stopped, killed by SIGKILL, or loses its power.

A killed process runs no more code. Here its tasks are cancelled, and what they still do while they unwind has
no effect: the serial line is disconnected, and the journal that they write is not read again.
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

CURRENT_RUN = contextvars.ContextVar("agent_run", default=None)
"""The `AgentRun` that a task belongs to."""
NON_JOURNAL_CALLS = {"_describe_port_users", "describe_users"}
"""Functions that the agent runs in the journal's thread but that do not use the journal."""


class AgentRun:
    """A running agent with its own journal."""

    def __init__(self, world, folder, tables=None):
        """`folder` contains the journal. `tables` are tables of agent.toml instead of those of the world."""
        self.world = world
        self.folder = folder
        self.is_alive = True
        self.end_reason = ""
        self._loop = asyncio.get_running_loop()
        own = {
            "modem": {"message_format": world.message_format},
            "service": {"name": world.service.name},
            "handlers": {"directory": str(world.handler_directory)},
            "journal": {"path": str(folder / "journal.db"), "allow_volatile": True},
            "control": {"socket": str(folder / "control.sock")},
        }
        other = world.tables if tables is None else tables
        config = parse_config(
            {name: own.get(name, {}) | other.get(name, {}) for name in own | other}, "agent.toml"
        )
        self.started_at = self._loop.time()
        self.ended_at = None
        self.last_watchdog_at = self.started_at
        """Time of the last WATCHDOG=1 notification."""
        self.disk_lock = asyncio.Lock()
        """The disk serves one call at a time."""
        wal = folder / "journal.db-wal"
        self.durable_wal_bytes = wal.stat().st_size if wal.exists() else 0
        """Size of the write-ahead log at the last acknowledged commit, in octets."""
        dependencies = Dependencies(
            opener=self._open_port,
            db_executor=lambda: _CrashingExecutor(self),
            runner=lambda emit: world.make_runner(self),
            wall_clock=world.wall_clock,
            random=random.Random(world.rng.random()),
            notify=self._notify,
            watchdog_interval_s=30.0,
            power=world.power_key,
            pin=None if world.sim.pin is None else Pin(world.sim.pin, "the world"),
        )
        self.agent = Agent(config, self._emit, dependencies.replace(**world.dependencies))
        context = contextvars.copy_context()
        context.run(CURRENT_RUN.set, self)
        self.task = self._loop.create_task(self.agent.run(), context=context)
        self.task.add_done_callback(self._on_task_done)

    async def stop(self):
        """Stop the agent as SIGTERM does, and wait for its end."""
        self.agent.stop()
        await asyncio.wait((self.task,))

    def kill(self, reason, *, power=False):
        """Kill the agent. With `power` a power cut: unacknowledged writes may be lost."""
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
        """Cancel the tasks of this run, repeatedly until all have ended."""
        tasks = [
            task
            for task in sorted(asyncio.all_tasks(), key=lambda task: task.serial)
            if task.context.get(CURRENT_RUN) is self and not task.done()
        ]
        for task in tasks:
            task.cancel()
        if tasks:
            self._loop.call_later(0.001, self._cancel_tasks)

    async def wait_forever(self):
        """Block the caller, as nothing returns in a killed process."""
        await self._loop.create_future()

    # Dependencies of the agent

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
    """Runs journal calls at once. The world may kill the agent before or after a call, or let the call
    fail."""

    def __init__(self, agent_run):
        self._agent_run = agent_run

    async def run(self, function, /, *arguments, **keywords):
        agent_run = self._agent_run
        if agent_run.is_alive:
            agent_run.world.reach_kill_point("before a commit", agent_run)
        if not agent_run.is_alive:
            await agent_run.wait_forever()
        async with agent_run.disk_lock:
            if agent_run.world.disk_delay_s:
                await asyncio.sleep(agent_run.world.disk_delay_s)
            return await self._run_locked(function, *arguments, **keywords)

    async def _run_locked(self, function, /, *arguments, **keywords):
        agent_run = self._agent_run
        if not agent_run.is_alive:
            await agent_run.wait_forever()
        is_other = getattr(function, "__name__", "") in NON_JOURNAL_CALLS
        if agent_run.world.disk_error is not None and not is_other:
            raise sqlite3.OperationalError(agent_run.world.disk_error)
        result = function(*arguments, **keywords)
        agent_run.world.reach_kill_point("in a commit", agent_run)
        if not agent_run.is_alive:
            await agent_run.wait_forever()
        wal = agent_run.folder / "journal.db-wal"
        agent_run.durable_wal_bytes = wal.stat().st_size if wal.exists() else 0
        agent_run.world.reach_kill_point("after a commit", agent_run)
        if not agent_run.is_alive:
            await agent_run.wait_forever()
        return result


class _AgentReader:
    """Passes on data from the module while the agent is alive."""

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
    """Passes on what the agent writes while it is alive."""

    def __init__(self, agent_run, transport):
        self._agent_run = agent_run
        self._transport = transport

    def write(self, data):
        agent_run = self._agent_run
        if agent_run.is_alive:
            agent_run.world.reach_kill_point("before a write", agent_run)
        if agent_run.is_alive:
            self._transport.write(data)
            agent_run.world.reach_kill_point("after a write", agent_run)

    def close(self):
        self._transport.close()

    async def wait_closed(self):
        await self._transport.wait_closed()
