"""A simulated module on its ports, and a way to run programs that use it."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import textwrap
from datetime import UTC, datetime
from pathlib import Path

import pytest

from hardware import profile
from hardware.sim.module.module import SimulatedModule
from hardware.sim.module.ports import ModulePorts
from hardware.sim.module.pty import Pty
from hardware.sim.module.sim_card import SimCard
from hardware.sim.module.socket_port import SocketPort, TcpAddress
from pdu import Address, Assembler, Deliver, Timestamp, decode, encode, segment

LIMIT_S = 60
"""Time limit for a client; gammu needs two seconds for a command."""


class PortBench:
    """A module on its ports; the bench is its network and records what the module sends.

    The ports are a pseudo-terminal, a Unix socket and a TCP port.
    """

    def __init__(self, folder, name):
        loop = asyncio.get_running_loop()
        self.folder = folder
        self.port = folder / "modem"
        self.unix = folder / "socket"
        self.messages = []
        self.refused = []
        self.changed = asyncio.Event()
        self._reference = 0
        self._tcp = SocketPort(TcpAddress("127.0.0.1", 0))
        self._ports = ModulePorts(Pty(self.port), [SocketPort(str(self.unix)), self._tcp])
        quick = profile.load_simulator_profile(name).replace(
            boot_s=0, sim_ready_s=0, sms_ready_s=0, registration_s=0
        )
        self.module = SimulatedModule(
            scheduler=loop,
            wall_clock=lambda: datetime.now(UTC),
            network=self,
            profile=quick,
            sim=SimCard(),
            write=self._write,
        )

    async def start(self):
        await self._ports.start(self.module.receive)
        self.module.power_on()

    @property
    def environment(self):
        """The variables of the page for users."""
        ports = {"PORT": str(self.port), "TCP_PORT": str(self._tcp.address.port), "SOCKET": str(self.unix)}
        return {**os.environ, "PATH": PATH, "LC_ALL": "C.UTF-8", **ports}

    def close(self):
        self.module.power_off()
        self._ports.close()

    def _write(self, data):
        self._ports.write(data)
        self.changed.set()

    def send(self, sender, text):
        """Deliver a text, in as many parts as it needs."""
        now = Timestamp.of(datetime.now(UTC))
        for part in segment(text, reference=7):
            self._reference += 1
            message = Deliver(Address.parse(sender), now, part)
            self.module.deliver(
                self._reference, Address.parse("+447700900000"), encode(message, sca=False).octets
            )

    @property
    def texts(self):
        """Recipient and text of the sent messages, with parts joined."""
        joined, assembler = [], Assembler()
        for message in self.messages:
            number = str(message.destination_address)
            if message.concatenation is None:
                joined.append((number, message.text))
            elif (whole := assembler.add(message.user_data, number)) is not None:
                joined.append((number, whole.text))
        return joined

    async def wait_until(self, condition):
        async with asyncio.timeout(LIMIT_S):
            while not condition():
                self.changed.clear()
                await self.changed.wait()

    @property
    def stored_count(self):
        return len(self.module.stores["ME"])

    # the network's side

    def attach(self, station):
        return 1

    def detach(self, station):
        pass

    def submit(self, station, token, tpdu):
        def arrive():
            self.messages.append(decode(tpdu, direction="mo", sca=False))
            station.submitted(token, None)
            self.changed.set()

        asyncio.get_running_loop().call_later(0.02, arrive)

    def acknowledge(self, station, reference, cause):
        if cause is not None:
            self.refused.append(cause)

    def memory_available(self, station):
        pass


async def run(*words, stdin=None, env=None):
    """Run a program; returns its output."""
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        *map(str, words), stdin=pipe, stdout=pipe, stderr=asyncio.subprocess.STDOUT, env=env
    )
    try:
        async with asyncio.timeout(LIMIT_S):
            output, _ = await process.communicate(stdin)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    text = output.decode("utf-8", "replace")
    assert process.returncode == 0, text
    return text


PAGE = Path(__file__).parents[4] / "hardware" / "CLIENTS.md"


def documented_block(heading, number=0):
    """Return an indented block of the page for users, the first one below this heading unless it says so."""
    section = re.search(rf"^## {heading}\n(.*?)(?=^## |\Z)", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    blocks = re.findall(r"(?:^ {4}.*\n)(?:^(?: {4}.*)?\n(?=^ {4}|^$|\Z))*", section[1] + "\n", re.MULTILINE)
    return textwrap.dedent(blocks[number])


async def run_shell(bench, script):
    """Run a script with the variables of the page in the folder of the bench; returns status and output."""
    process = await asyncio.create_subprocess_exec(
        "bash", "-c", script,
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        cwd=bench.folder, env=bench.environment,
    )  # fmt: skip
    try:
        async with asyncio.timeout(LIMIT_S):
            output, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return process.returncode, output.decode("utf-8", "replace")


class Daemon:
    """A program that runs until it is stopped."""

    def __init__(self, *words):
        self._words = [str(word) for word in words]

    async def __aenter__(self):
        nowhere = asyncio.subprocess.DEVNULL
        self._process = await asyncio.create_subprocess_exec(
            *self._words, stdin=nowhere, stdout=nowhere, stderr=nowhere
        )
        return self

    async def __aexit__(self, *_):
        if self._process.returncode is None:
            self._process.terminate()
            try:
                async with asyncio.timeout(10):
                    await self._process.wait()
            except TimeoutError:
                self._process.kill()
                await self._process.wait()


PATH = os.pathsep.join((os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"))
"""Debian keeps daemons in sbin, which is not on everybody's path."""


def find_program(program):
    """Where a program is, None if it is not installed."""
    return shutil.which(program, path=PATH)


def requires_program(program, package):
    return pytest.mark.skipif(
        find_program(program) is None, reason=f"{program} is not installed: apt-get install {package}"
    )
