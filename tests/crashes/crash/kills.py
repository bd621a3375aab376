"""The installed agent against a sandbox, killed with SIGKILL at moments drawn from a seed, on one journal."""

import asyncio
import base64
import contextlib
import json
import math
import os
import random
import signal
import time
from datetime import UTC, datetime
from pathlib import Path

from crash import handlers, plan
from crash.field import INSTALLED, Field
from crash.ledger import Ledger
from hardware.sim.network.line import NetworkTiming
from hardware.sim.sandbox import Sandbox, SimSpec
from hardware.sim.service.error import ServiceError
from hardware.sim.service.product import Rules

TIMING = NetworkTiming(transit=0.005, acknowledgement=0.5, retry=(0.2,), alert=0.02)
REST_S = 90.0
"""After the last kill something must end at least as often, on a busy machine."""
QUIET_S = 1.2
"""Nothing open for so long is the end: what the network brings again comes sooner."""
GONE_S = 5.0
"""Until nothing of a killed agent is left; it takes milliseconds."""
SHOTS = {"shoot": 1, "reshoot": 3}
"""How often a handler may end the agent for one Command."""
START_S = 0.6
"""From the start of the process to its session, where plans are meant; a busier machine has more time."""
MARK = "CRASH_LIFE"

CONFIG = """
[modem]
port = "{port}"
[service]
name = "programmable-wireless"
reply_sid = "start"
max_parts = 5
max_per_minute = 1000000
max_per_day = 1000000
[handlers]
directory = "handlers"
timeout_s = 20
[journal]
path = "{journal}"
[control]
socket = "control.sock"
"""


def build(folder, seed, port=None, journal="journal.db", log="", device="generic"):
    """The sandbox, not started, and the agent's folder; `log` is the power cutter's."""
    sandbox = Sandbox(
        [SimSpec(service="programmable-wireless", unique_name="sim", device=device)],
        ("127.0.0.1", 0),
        link_dir=folder,
        wall=lambda: datetime.now(UTC),
        rng=random.Random(seed),
        rules=Rules(long_text="split"),
        timing=TIMING,
    )
    field = Field(sandbox, folder, "programmable-wireless")
    sandbox.observe(field.observe)
    handlers.install(folder / "handlers", folder / "runs", log)
    field.config.write_text(CONFIG.format(port=port or field.port, journal=journal))
    return field


def send(field, order):
    """Have the network bring it; what is to come twice does so as soon as the service may."""
    if order.kind == "stray":
        field.sandbox.send_sms("sim", order.sender, order.body)
        return
    body = order.body
    if isinstance(body, bytes):
        sid = field.create(base64.b64encode(body).decode(), CommandMode="binary")
    else:
        sid = field.create(body, IncludeSid=order.sid)
    if order.again:

        def again():
            with contextlib.suppress(ServiceError):  # not yet delivered: then it comes once
                field.sandbox.redeliver(sid)

        asyncio.get_running_loop().call_later(0.3, again)


class Kills:
    """One run: many lives, one journal."""

    def __init__(self, folder, seed, kills, program=None, show=lambda life: None):
        self.field = build(folder, seed)
        self.lives = plan.draw(seed, kills)
        self.orders = []
        self.trouble = []
        self.shot = 0
        """Ends that a handler brought about."""
        self.slowest_s = 0.0
        """From a kill until nothing of that agent was left."""
        self._pace = 1.0
        self._program = program
        self._show = show
        self._leaving = []
        self._unique = f"{os.getpid()}-{time.monotonic_ns()}"

    async def run(self):
        """Kill until the plan is over, let the last agent come to rest, draw up the ledger."""
        await self.field.sandbox.start()
        try:
            with (self.field.folder / "agent.log").open("ab") as log:
                for life in self.lives:
                    await self._live(life, log)
                    self._show(life)
                    if self.trouble:
                        break
                await self._rest(log)
            await asyncio.gather(*self._leaving)
            return await self._ledger()
        finally:
            await self.field.sandbox.stop()

    async def _start(self, number, log):
        log.write(f"--- life {number}\n".encode())
        mark = {MARK: f"{self._unique}-{number}"}
        process = await self.field.run(program=self._program, **mark)
        self._lines = 0
        self._begun = asyncio.get_running_loop().time()
        self._at_work_s = None
        self._listening = asyncio.create_task(self._listen(process, log))
        return process

    async def _listen(self, process, log):
        """Keep what the agent says; each line of it may be a moment to kill at."""
        async for line in process.stderr:
            log.write(line)
            self._lines += 1
            if b" session:" in line and self._at_work_s is None:
                self._at_work_s = asyncio.get_running_loop().time() - self._begun
            self.field.changed.set()

    async def _live(self, life, log):
        """From the start of an agent to its kill."""
        process = await self._start(life.number, log)
        orders = asyncio.create_task(self._send(life))
        if life.lost:
            self.field.sandbox.lose_acknowledgements("sim", life.lost)
        moment = asyncio.create_task(self._moment(life))
        await asyncio.wait(
            (moment, asyncio.ensure_future(process.wait())), return_when=asyncio.FIRST_COMPLETED
        )
        moment.cancel()
        if process.returncode is None:
            process.send_signal(signal.SIGKILL)
            await process.wait()
        else:
            self._ended_early(process.returncode, life.number)
        await self._listening
        if self._at_work_s is not None:
            self._pace = max(1.0, self._at_work_s / START_S)
        elif life.after > START_S:
            self._pace *= 1.2
        self._leaving.append(asyncio.create_task(self._gone(life.number)))
        if not orders.done():  # what was to come later comes now, with nobody there
            orders.cancel()
            await asyncio.wait((orders,))

    async def _moment(self, life):
        """Wait until it is time to kill."""
        with contextlib.suppress(TimeoutError):
            after = life.after * self._pace
            async with asyncio.timeout(after):
                if not life.line:
                    await asyncio.sleep(after)
                await self.field.until(lambda: self._lines >= life.line, after)
                await asyncio.sleep(life.delay)

    def _ended_early(self, status, number):
        if status == -signal.SIGKILL:
            self.shot += 1
        else:
            self.trouble.append(f"in life {number} the agent ended by itself, status {status}")

    async def _send(self, life):
        left = list(life.orders)
        loop = asyncio.get_running_loop()
        begun = loop.time()
        try:
            while left:
                await asyncio.sleep(max(0, begun + left[0].at * self._pace - loop.time()))
                self._order(left.pop(0))
        finally:
            for order in left:
                self._order(order)

    def _order(self, order):
        self.orders.append(order)
        send(self.field, order)

    async def _gone(self, life):
        """Nothing that the agent of that life has started may outlive it."""
        mark = f"{MARK}={self._unique}-{life}".encode()
        loop = asyncio.get_running_loop()
        killed = loop.time()
        while survivors := _marked(mark):
            if loop.time() > killed + GONE_S:
                names = [_command(path) for path in survivors]
                self.trouble.append(f"{names} outlived the agent of life {life}")
                for path in survivors:
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(int(path.name), signal.SIGKILL)
                return
            await asyncio.sleep(0.05)
        self.slowest_s = max(self.slowest_s, loop.time() - killed)

    async def _rest(self, log):
        """The quiet end: an agent lives until nothing is open, then stops in order."""
        number = 0
        loop = asyncio.get_running_loop()
        fewest, deadline = math.inf, loop.time() + REST_S
        while True:
            process = await self._start(f"rest{number}", log)
            quiet_since = None
            while process.returncode is None and (now := loop.time()) < deadline:
                if count := sum(self._open().values()):
                    quiet_since = None
                    if count < fewest:
                        fewest, deadline = count, now + REST_S
                elif quiet_since is None:
                    quiet_since = now
                elif now > quiet_since + QUIET_S:
                    break
                await asyncio.sleep(0.1)
            # A handler may still shoot this one.
            if process.returncode != -signal.SIGKILL:
                break
            await self._listening
            self._ended_early(process.returncode, number)
            self._leaving.append(asyncio.create_task(self._gone(f"rest{number}")))
            number += 1
            if self.shot > sum(SHOTS.get(order.kind, 0) for order in self.orders):
                self.trouble.append("the same handlers end the agent again and again")
                return
        if process.returncode is None:
            process.terminate()
        status = await process.wait()
        await self._listening
        if status != 0:
            self.trouble.append(f"the last agent ended with status {status}")
        self._leaving.append(asyncio.create_task(self._gone(f"rest{number}")))

    def _open(self):
        """What is not settled, and how many of it."""
        states = "SELECT state FROM {} WHERE state IN {}"
        sim = self.field.sandbox.sim("sim")
        return {
            "waiting in the network": self.field.sandbox.network.waiting(sim.card.imsi),
            "in the module's stores": self.field.stored(),
            "open Commands": len(self.field.ask(states.format("commands", ("received", "running")))),
            "open answers": len(self.field.ask(states.format("replies", ("queued", "sending")))),
            "open actions": len(self.field.ask(states.format("actions", ("waiting", "acting")))),
            "parts of incomplete messages": len(self.field.ask("SELECT number FROM parts")),
        }

    async def _ledger(self):
        field = self.field
        return Ledger(
            orders=self.orders,
            notes=handlers.noted(field.folder / "runs"),
            left=field.answers(),
            inbox=await shown(field, "inbox"),
            outbox=await shown(field, "outbox"),
            strays=await shown(field, "inbox", "--strays"),
            actions=field.ask("SELECT command, state, reason FROM actions"),
            remaining=self._open(),
        )


async def shown(field, *command):
    """What the installed command prints as JSON."""
    process = await asyncio.create_subprocess_exec(
        INSTALLED, *command, "--json", "--limit", "1000000", "--config", field.config,
        stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    output, _ = await process.communicate()
    return json.loads(output) if process.returncode == 0 else []


def _marked(mark):
    """The processes that have this setting in their environment."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it has ended, or is another user's
            if mark in (process / "environ").read_bytes().split(b"\0"):
                found.append(process)
    return found


def _command(process):
    try:
        return (process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
    except OSError:
        return process.name
