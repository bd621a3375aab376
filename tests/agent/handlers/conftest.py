"""A directory of handlers, a real runner over it, and ways to wait for what processes do."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shlex
import textwrap

import pytest

from agent.handlers import remains
from agent.handlers.api import Command
from agent.handlers.catalogue import load
from agent.handlers.runner import ProcessRunner

PATIENCE_S = 10
"""For what takes milliseconds; only a failure waits so long."""


class Folder:
    """The directory of handlers."""

    def __init__(self, path):
        self.path = path
        path.mkdir(mode=0o755)

    def file(self, name, content, mode=0o644):
        path = self.path / name
        path.write_text(textwrap.dedent(content))
        path.chmod(mode)
        return path

    def executable(self, name, script):
        return self.file(name, "#!/bin/sh\n" + textwrap.dedent(script), 0o755)

    def python(self, name, source):
        head = "from agent import Command, Reply, TryLater, handler\nimport os, sys, time\n"
        return self.file(name, head + textwrap.dedent(source))


class Whisper:
    """A FIFO through which a handler tells the test something, a line at a time."""

    def __init__(self, path):
        os.mkfifo(path)
        self.path = path
        self.quoted = shlex.quote(str(path))
        self._file = os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        self._lines = []

    async def line(self):
        while not self._lines:
            await readable(self._file)
            self._lines += os.read(self._file, 4096).decode().splitlines()
        return self._lines.pop(0)

    async def pid(self):
        return Watched(int(await self.line()))

    def close(self):
        os.close(self._file)


class Watched:
    """A process whose end can be waited for."""

    def __init__(self, pid):
        self.pid = pid
        self._file = os.pidfd_open(pid)

    async def ended(self):
        try:
            await readable(self._file)
        finally:
            os.close(self._file)


async def readable(file):
    loop = asyncio.get_running_loop()
    event = asyncio.Event()
    loop.add_reader(file, event.set)
    try:
        async with asyncio.timeout(PATIENCE_S):
            await event.wait()
    finally:
        loop.remove_reader(file)


class House:
    """A folder with its runner: give it a text or octets as the service would."""

    def __init__(self, folder, runner):
        self.folder = folder
        self.runner = runner
        self._catalogue = None

    async def catalogue(self):
        if self._catalogue is None:
            self._catalogue = await load(self.folder.path, self.runner)
        return self._catalogue

    async def command(self, body, timeout_s=PATIENCE_S, **more):
        command = Command.of(body, **({"sender": "2936"} | more))
        entry = (await self.catalogue()).choose(command)
        return await self.runner.run(entry, command, timeout_s)

    async def act(self, body, action, timeout_s=PATIENCE_S):
        command = Command.of(body, sender="2936")
        entry = (await self.catalogue()).choose(command)
        return await self.runner.act(entry, action, command, timeout_s)

    @property
    def keeper(self):
        return self.runner._link._process.pid


@pytest.fixture
def folder(tmp_path):
    return Folder(tmp_path / "handlers")


@pytest.fixture
def whisper(tmp_path):
    fifo = Whisper(tmp_path / "whisper")
    yield fifo
    fifo.close()


@pytest.fixture
def ends():
    """Wait until all these processes have ended."""

    async def wait(pids):
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                await Watched(pid).ended()

    return wait


@pytest.fixture
def said():
    """What went to the log, as lines."""
    return []


@pytest.fixture
async def runner(said):
    runner = ProcessRunner(lambda step: said.append(step.detail))
    yield runner
    await runner.close()
    mark = f"{remains.MARK}={os.getpid()}-".encode()
    assert [
        pid
        for pid in remains._processes()
        if any(setting.startswith(mark) for setting in remains._environment(pid))
    ] == []  # whatever a test did


@pytest.fixture
def house(folder, runner):
    return House(folder, runner)
