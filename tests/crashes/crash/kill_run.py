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

from crash import audit_handlers, kill_plan
from crash.invariants import CrashInvariants
from crash.sandbox_env import INSTALLED_COMMAND, SandboxEnv
from hardware.sim.network.subscriber_queue import NetworkTiming
from hardware.sim.sandbox import Sandbox, SimSpec
from hardware.sim.service.errors import ServiceError
from hardware.sim.service.product import ServiceRules

TIMING = NetworkTiming(
    transit_s=0.005, acknowledgement_timeout_s=0.5, retry_delays_s=(0.2,), alert_delay_s=0.02
)
DRAIN_TIMEOUT_S = 90.0
"""After the last kill something must end at least as often, on a busy machine."""
IDLE_PERIOD_S = 1.2
"""Nothing open for so long is the end: what the network brings again comes sooner."""
ORPHAN_TIMEOUT_S = 5.0
"""Until nothing of a killed agent is left; it takes milliseconds."""
KILLS_PER_COMMAND = {"shoot": 1, "reshoot": 3}
"""How often a handler may end the agent for one Command."""
STARTUP_S = 0.6
"""From the start of the process to its session, where plans are meant; a busier machine has more time."""
ENVIRONMENT_MARKER = "CRASH_LIFE"

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


def build_env(folder, seed, port=None, journal="journal.db", disk_log="", device="generic"):
    """The sandbox, not started, and the agent's folder; `log` is the power cutter's."""
    sandbox = Sandbox(
        [SimSpec(service="programmable-wireless", unique_name="sim", device=device)],
        ("127.0.0.1", 0),
        link_dir=folder,
        wall_clock=lambda: datetime.now(UTC),
        rng=random.Random(seed),
        rules=ServiceRules(long_text="split"),
        timing=TIMING,
    )
    field = SandboxEnv(sandbox, folder, "programmable-wireless")
    sandbox.add_observer(field.on_network_event)
    audit_handlers.install_handlers(folder / "handlers", folder / "runs", disk_log)
    field.config.write_text(CONFIG.format(port=port or field.port, journal=journal))
    return field


def send_planned(env, message):
    """Have the network bring it; what is to come twice does so as soon as the service may."""
    if message.kind == "stray":
        env.sandbox.send_sms("sim", message.sender, message.body)
        return
    body = message.body
    if isinstance(body, bytes):
        sid = env.create_command(base64.b64encode(body).decode(), CommandMode="binary")
    else:
        sid = env.create_command(body, IncludeSid=message.include_sid)
    if message.is_redelivered:

        def again():
            with contextlib.suppress(ServiceError):  # not yet delivered: then it comes once
                env.sandbox.redeliver(sid)

        asyncio.get_running_loop().call_later(0.3, again)


class KillRun:
    """One run: many lives, one journal."""

    def __init__(self, folder, seed, kills, program=None, on_progress=lambda life: None):
        self.env = build_env(folder, seed)
        self.planned_runs = kill_plan.draw_plan(seed, kills)
        self.sent_messages = []
        self.errors = []
        self.handler_kills = 0
        """Ends that a handler brought about."""
        self.slowest_cleanup_s = 0.0
        """From a kill until nothing of that agent was left."""
        self._time_scale = 1.0
        self._program = program
        self._on_progress = on_progress
        self._orphan_checks = []
        self._run_id = f"{os.getpid()}-{time.monotonic_ns()}"

    async def run(self):
        """Kill until the plan is over, let the last agent come to rest, draw up the ledger."""
        await self.env.sandbox.start()
        try:
            with (self.env.folder / "agent.log").open("ab") as log:
                for life in self.planned_runs:
                    await self._run_until_kill(life, log)
                    self._on_progress(life)
                    if self.errors:
                        break
                await self._drain(log)
            await asyncio.gather(*self._orphan_checks)
            return await self._collect_invariants()
        finally:
            await self.env.sandbox.stop()

    async def _start_agent(self, number, log):
        log.write(f"--- life {number}\n".encode())
        mark = {ENVIRONMENT_MARKER: f"{self._run_id}-{number}"}
        process = await self.env.start_agent(program=self._program, **mark)
        self._log_lines = 0
        self._started_at = asyncio.get_running_loop().time()
        self._startup_s = None
        self._log_reader = asyncio.create_task(self._read_log(process, log))
        return process

    async def _read_log(self, process, log):
        """Keep what the agent says; each line of it may be a moment to kill at."""
        async for line in process.stderr:
            log.write(line)
            self._log_lines += 1
            if b" session:" in line and self._startup_s is None:
                self._startup_s = asyncio.get_running_loop().time() - self._started_at
            self.env.changed.set()

    async def _run_until_kill(self, planned_run, log):
        """From the start of an agent to its kill."""
        process = await self._start_agent(planned_run.number, log)
        orders = asyncio.create_task(self._send_messages(planned_run))
        if planned_run.acks_to_drop:
            self.env.sandbox.lose_acknowledgements("sim", planned_run.acks_to_drop)
        moment = asyncio.create_task(self._wait_kill_time(planned_run))
        await asyncio.wait(
            (moment, asyncio.ensure_future(process.wait())), return_when=asyncio.FIRST_COMPLETED
        )
        moment.cancel()
        if process.returncode is None:
            process.send_signal(signal.SIGKILL)
            await process.wait()
        else:
            self._record_early_end(process.returncode, planned_run.number)
        await self._log_reader
        if self._startup_s is not None:
            self._time_scale = max(1.0, self._startup_s / STARTUP_S)
        elif planned_run.kill_after_s > STARTUP_S:
            self._time_scale *= 1.2
        self._orphan_checks.append(asyncio.create_task(self._check_no_orphans(planned_run.number)))
        if not orders.done():  # what was to come later comes now, with nobody there
            orders.cancel()
            await asyncio.wait((orders,))

    async def _wait_kill_time(self, planned_run):
        """Wait until it is time to kill."""
        with contextlib.suppress(TimeoutError):
            after = planned_run.kill_after_s * self._time_scale
            async with asyncio.timeout(after):
                if not planned_run.kill_at_log_line:
                    await asyncio.sleep(after)
                await self.env.wait_until(lambda: self._log_lines >= planned_run.kill_at_log_line, after)
                await asyncio.sleep(planned_run.kill_delay_s)

    def _record_early_end(self, status, number):
        if status == -signal.SIGKILL:
            self.handler_kills += 1
        else:
            self.errors.append(f"in life {number} the agent ended by itself, status {status}")

    async def _send_messages(self, planned_run):
        left = list(planned_run.messages)
        loop = asyncio.get_running_loop()
        begun = loop.time()
        try:
            while left:
                await asyncio.sleep(max(0, begun + left[0].send_at_s * self._time_scale - loop.time()))
                self._send_message(left.pop(0))
        finally:
            for order in left:
                self._send_message(order)

    def _send_message(self, message):
        self.sent_messages.append(message)
        send_planned(self.env, message)

    async def _check_no_orphans(self, run_number):
        """Nothing that the agent of that life has started may outlive it."""
        mark = f"{ENVIRONMENT_MARKER}={self._run_id}-{run_number}".encode()
        loop = asyncio.get_running_loop()
        killed = loop.time()
        while survivors := _marked_processes(mark):
            if loop.time() > killed + ORPHAN_TIMEOUT_S:
                names = [_command_line(path) for path in survivors]
                self.errors.append(f"{names} outlived the agent of life {run_number}")
                for path in survivors:
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(int(path.name), signal.SIGKILL)
                return
            await asyncio.sleep(0.05)
        self.slowest_cleanup_s = max(self.slowest_cleanup_s, loop.time() - killed)

    async def _drain(self, log):
        """The quiet end: an agent lives until nothing is open, then stops in order."""
        number = 0
        loop = asyncio.get_running_loop()
        fewest, deadline = math.inf, loop.time() + DRAIN_TIMEOUT_S
        while True:
            process = await self._start_agent(f"rest{number}", log)
            quiet_since = None
            while process.returncode is None and (now := loop.time()) < deadline:
                if count := sum(self._count_open().values()):
                    quiet_since = None
                    if count < fewest:
                        fewest, deadline = count, now + DRAIN_TIMEOUT_S
                elif quiet_since is None:
                    quiet_since = now
                elif now > quiet_since + IDLE_PERIOD_S:
                    break
                await asyncio.sleep(0.1)
            # A handler may still shoot this one.
            if process.returncode != -signal.SIGKILL:
                break
            await self._log_reader
            self._record_early_end(process.returncode, number)
            self._orphan_checks.append(asyncio.create_task(self._check_no_orphans(f"rest{number}")))
            number += 1
            if self.handler_kills > sum(KILLS_PER_COMMAND.get(order.kind, 0) for order in self.sent_messages):
                self.errors.append("the same handlers end the agent again and again")
                return
        if process.returncode is None:
            process.terminate()
        status = await process.wait()
        await self._log_reader
        if status != 0:
            self.errors.append(f"the last agent ended with status {status}")
        self._orphan_checks.append(asyncio.create_task(self._check_no_orphans(f"rest{number}")))

    def _count_open(self):
        """What is not settled, and how many of it."""
        states = "SELECT state FROM {} WHERE state IN {}"
        sim = self.env.sandbox.find_sim("sim")
        return {
            "waiting in the network": self.env.sandbox.network.count_waiting(sim.sim_card.imsi),
            "in the module's stores": self.env.stored_count(),
            "open Commands": len(self.env.query_journal(states.format("commands", ("received", "running")))),
            "open answers": len(self.env.query_journal(states.format("replies", ("queued", "sending")))),
            "open actions": len(self.env.query_journal(states.format("actions", ("pending", "running")))),
            "parts of incomplete messages": len(self.env.query_journal("SELECT number FROM parts")),
        }

    async def _collect_invariants(self):
        field = self.env
        return CrashInvariants(
            messages=self.sent_messages,
            audit_log=audit_handlers.read_audit_log(field.folder / "runs"),
            sent_bodies=field.sent_bodies(),
            inbox=await read_cli_json(field, "inbox"),
            outbox=await read_cli_json(field, "outbox"),
            ignored=await read_cli_json(field, "inbox", "--ignored"),
            actions=field.query_journal("SELECT command_id, state, reason FROM actions"),
            open_counts=self._count_open(),
        )


async def read_cli_json(env, *command):
    """What the installed command prints as JSON."""
    process = await asyncio.create_subprocess_exec(
        INSTALLED_COMMAND, *command, "--json", "--limit", "1000000", "--config", env.config,
        stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    output, _ = await process.communicate()
    return json.loads(output) if process.returncode == 0 else []


def _marked_processes(mark):
    """The processes that have this setting in their environment."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it has ended, or is another user's
            if mark in (process / "environ").read_bytes().split(b"\0"):
                found.append(process)
    return found


def _command_line(process):
    try:
        return (process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
    except OSError:
        return process.name
