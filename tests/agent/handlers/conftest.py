"""Fixtures: a directory of handlers, a runner with real processes, and ways to wait for processes."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shlex
import textwrap

import pytest

from agent.handlers import orphans
from agent.handlers.api import Command
from agent.handlers.registry import load_registry
from agent.handlers.runner import ProcessRunner

TEST_TIMEOUT_S = 10
"""Limit for events that take milliseconds; only a failing test waits so long."""


class HandlerDirectory:
    """A directory of handlers, and helpers to write handlers into it."""

    def __init__(self, path):
        self.path = path
        path.mkdir(mode=0o755)

    def write(self, name, content, mode=0o644):
        path = self.path / name
        path.write_text(textwrap.dedent(content))
        path.chmod(mode)
        return path

    def write_executable(self, name, script):
        return self.write(name, "#!/bin/sh\n" + textwrap.dedent(script), 0o755)

    def write_python(self, name, source):
        head = "from agent import Command, Reply, TryLater, handler\nimport os, sys, time\n"
        return self.write(name, head + textwrap.dedent(source))


class LineFifo:
    """A FIFO through which a handler sends lines to the test."""

    def __init__(self, path):
        os.mkfifo(path)
        self.path = path
        self.quoted = shlex.quote(str(path))
        self._file = os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        self._lines = []

    async def read_line(self):
        while not self._lines:
            await wait_readable(self._file)
            self._lines += os.read(self._file, 4096).decode().splitlines()
        return self._lines.pop(0)

    async def read_process(self):
        return WatchedProcess(int(await self.read_line()))

    def close(self):
        os.close(self._file)


class WatchedProcess:
    """A process whose end the test can await."""

    def __init__(self, pid):
        self.pid = pid
        self._file = os.pidfd_open(pid)

    async def wait_ended(self):
        try:
            await wait_readable(self._file)
        finally:
            os.close(self._file)


async def wait_readable(file):
    loop = asyncio.get_running_loop()
    event = asyncio.Event()
    loop.add_reader(file, event.set)
    try:
        async with asyncio.timeout(TEST_TIMEOUT_S):
            await event.wait()
    finally:
        loop.remove_reader(file)


class HandlerHarness:
    """A directory with its runner; runs the handler for a text or octets, as the agent would."""

    def __init__(self, directory, runner):
        self.directory = directory
        self.runner = runner
        self._registry = None

    async def registry(self):
        if self._registry is None:
            self._registry = await load_registry(self.directory.path, self.runner)
        return self._registry

    async def run(self, body, timeout_s=TEST_TIMEOUT_S, **fields):
        command = Command.of(body, **({"sender": "2936"} | fields))
        spec = (await self.registry()).match(command)
        return await self.runner.run(spec, command, timeout_s)

    async def run_action(self, body, action, timeout_s=TEST_TIMEOUT_S):
        command = Command.of(body, sender="2936")
        spec = (await self.registry()).match(command)
        return await self.runner.run_action(spec, action, command, timeout_s)

    @property
    def manager_pid(self):
        return self.runner._manager._process.pid


@pytest.fixture
def handler_directory(tmp_path):
    return HandlerDirectory(tmp_path / "handlers")


@pytest.fixture
def fifo(tmp_path):
    fifo = LineFifo(tmp_path / "fifo")
    yield fifo
    fifo.close()


@pytest.fixture
def wait_all_ended():
    """Return a coroutine function that waits until all these processes have ended."""

    async def wait(pids):
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                await WatchedProcess(pid).wait_ended()

    return wait


@pytest.fixture
def log_lines():
    """Log output of the handlers, as lines."""
    return []


@pytest.fixture
async def runner(log_lines):
    runner = ProcessRunner(lambda event: log_lines.append(event.message))
    yield runner
    await runner.close()
    marker = f"{orphans.MARKER_VARIABLE}={os.getpid()}-".encode()
    assert [
        pid
        for pid in orphans._list_pids()
        if any(variable.startswith(marker) for variable in orphans._read_environment(pid))
    ] == []  # no test may leave a process behind


@pytest.fixture
def handler_env(handler_directory, runner):
    return HandlerHarness(handler_directory, runner)
