"""Runs the installed agent against a sandbox and kills it at the times of a plan, all on one journal."""

import asyncio
import base64
import contextlib
import json
import math
import os
import signal
import time
from pathlib import Path

from crash import audit_handlers, kill_plan
from crash.invariants import CrashInvariants
from crash.sandbox_env import INSTALLED_COMMAND, build_sandbox_env
from hardware.sim.network.subscriber_queue import NetworkTiming
from hardware.sim.service.errors import ServiceError
from hardware.sim.service.rules import LongText, ServiceRules

TIMING = NetworkTiming(
    transit_s=0.005, acknowledgement_timeout_s=0.5, retry_delays_s=(0.2,), alert_delay_s=0.02
)
DRAIN_TIMEOUT_S = 90.0
"""After the last kill the number of open items must fall at least this often, even on a busy machine."""
IDLE_PERIOD_S = 1.2
"""The run ends after this time without open items; redeliveries by the network come sooner."""
ORPHAN_TIMEOUT_S = 5.0
"""Time limit for the end of all processes of a killed agent; it usually takes milliseconds."""
KILLS_PER_COMMAND = {"shoot": 1, "reshoot": 3}
"""How often a handler may kill the agent for one Command."""
STARTUP_S = 0.6
"""Time from process start to session that plans assume; on a slower machine all times are scaled."""
ENVIRONMENT_MARKER = "CRASH_TEST_RUN"

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
allow_volatile = true
[control]
socket = "control.sock"
"""


def build_env(folder, seed, port=None, journal="journal.db", disk_log="", device="generic"):
    """Create the sandbox, not started, and the agent's folder; `disk_log` is the log of a `LoggedDisk`."""
    rules = ServiceRules(long_text=LongText.SPLIT)
    env = build_sandbox_env(folder, seed=seed, sim={"device": device}, rules=rules, timing=TIMING)
    audit_handlers.install_handlers(folder / "handlers", folder / "runs", disk_log)
    env.config.write_text(CONFIG.format(port=port or env.port, journal=journal))
    return env


def send_planned(env, message):
    """Send a planned message, and deliver it again if so planned."""
    if message.kind == "other sender":
        env.sandbox.send_sms("sim", message.sender, message.body)
        return
    body = message.body
    if isinstance(body, bytes):
        sid = env.create_command(base64.b64encode(body).decode(), CommandMode="binary")
    else:
        sid = env.create_command(body, IncludeSid=message.include_sid)
    if message.is_redelivered:

        def redeliver():
            with contextlib.suppress(ServiceError):  # not yet delivered: it then arrives once
                env.sandbox.redeliver(sid)

        asyncio.get_running_loop().call_later(0.3, redeliver)


class KillRun:
    """Many agent runs on one journal, each ended by a kill."""

    def __init__(self, folder, seed, kills, program=None, on_progress=lambda planned_run: None):
        self.env = build_env(folder, seed)
        self.planned_runs = kill_plan.draw_plan(seed, kills)
        self.sent_messages = []
        self.errors = []
        self.handler_kills = 0
        """Number of times that a handler killed the agent."""
        self.slowest_cleanup_s = 0.0
        """Longest time from a kill until all processes of that agent had ended."""
        self._time_scale = 1.0
        self._program = program
        self._on_progress = on_progress
        self._orphan_checks = []
        self._run_id = f"{os.getpid()}-{time.monotonic_ns()}"

    async def run(self):
        """Run the plan, let the last agent become idle, and return what was observed."""
        await self.env.sandbox.start()
        try:
            with (self.env.folder / "agent.log").open("ab") as log:
                for planned_run in self.planned_runs:
                    await self._run_until_kill(planned_run, log)
                    self._on_progress(planned_run)
                    if self.errors:
                        break
                await self._drain(log)
            await asyncio.gather(*self._orphan_checks)
            return await self._collect_invariants()
        finally:
            await self.env.sandbox.stop()

    async def _start_agent(self, number, log):
        log.write(f"--- agent run {number}\n".encode())
        mark = {ENVIRONMENT_MARKER: f"{self._run_id}-{number}"}
        process = await self.env.start_agent(program=self._program, **mark)
        self._log_lines = 0
        self._started_at = asyncio.get_running_loop().time()
        self._startup_s = None
        self._log_reader = asyncio.create_task(self._read_log(process, log))
        return process

    async def _read_log(self, process, log):
        """Copy the log of the agent and count its lines."""
        async for line in process.stderr:
            log.write(line)
            self._log_lines += 1
            if b" session:" in line and self._startup_s is None:
                self._startup_s = asyncio.get_running_loop().time() - self._started_at
            self.env.changed.set()

    async def _run_until_kill(self, planned_run, log):
        """Start an agent, send the planned messages, and kill it."""
        process = await self._start_agent(planned_run.number, log)
        sending = asyncio.create_task(self._send_messages(planned_run))
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
        if not sending.done():  # messages that are still due are sent now, while no agent runs
            sending.cancel()
            await asyncio.wait((sending,))

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
            self.errors.append(f"in run {number} the agent ended by itself, status {status}")

    async def _send_messages(self, planned_run):
        left = list(planned_run.messages)
        loop = asyncio.get_running_loop()
        start = loop.time()
        try:
            while left:
                await asyncio.sleep(max(0, start + left[0].send_at_s * self._time_scale - loop.time()))
                self._send_message(left.pop(0))
        finally:
            for message in left:
                self._send_message(message)

    def _send_message(self, message):
        self.sent_messages.append(message)
        send_planned(self.env, message)

    async def _check_no_orphans(self, run_number):
        """Check that no process that this agent run has started outlives it."""
        mark = f"{ENVIRONMENT_MARKER}={self._run_id}-{run_number}".encode()
        loop = asyncio.get_running_loop()
        killed = loop.time()
        while survivors := _marked_processes(mark):
            if loop.time() > killed + ORPHAN_TIMEOUT_S:
                names = [_command_line(path) for path in survivors]
                self.errors.append(f"{names} outlived the agent of run {run_number}")
                for path in survivors:
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(int(path.name), signal.SIGKILL)
                return
            await asyncio.sleep(0.05)
        self.slowest_cleanup_s = max(self.slowest_cleanup_s, loop.time() - killed)

    async def _drain(self, log):
        """Run the agent until nothing is open, then stop it."""
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
                elif self._startup_s is None or quiet_since is None:  # it does not handle SIGTERM before
                    quiet_since = now
                elif now > quiet_since + IDLE_PERIOD_S:
                    break
                await asyncio.sleep(0.1)
            # A handler may still kill this agent.
            if process.returncode != -signal.SIGKILL:
                break
            await self._log_reader
            self._record_early_end(process.returncode, number)
            self._orphan_checks.append(asyncio.create_task(self._check_no_orphans(f"rest{number}")))
            number += 1
            if self.handler_kills > sum(
                KILLS_PER_COMMAND.get(message.kind, 0) for message in self.sent_messages
            ):
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
        """Return the number of open items, by their place."""
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
        env = self.env
        return CrashInvariants(
            messages=self.sent_messages,
            audit_log=audit_handlers.read_audit_log(env.folder / "runs"),
            sent_bodies=env.sent_bodies(),
            inbox=await read_cli_json(env, "inbox"),
            outbox=await read_cli_json(env, "outbox"),
            ignored=await read_cli_json(env, "inbox", "--ignored"),
            actions=env.query_journal("SELECT command_id, state, reason FROM actions"),
            open_counts=self._count_open(),
        )


async def read_cli_json(env, *command):
    """Return the JSON that the installed command prints."""
    process = await asyncio.create_subprocess_exec(
        INSTALLED_COMMAND, *command, "--json", "--limit", "1000000", "--config", env.config,
        stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    output, _ = await process.communicate()
    return json.loads(output) if process.returncode == 0 else []


def _marked_processes(mark):
    """Return the processes with this setting in their environment."""
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
