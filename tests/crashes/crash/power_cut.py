"""Cuts the power under the journal and checks that it still has everything that was visible outside.

One recording is made: the agent works on a disk that logs its writes. For each effect that cannot be undone
(a delete, an acknowledgement, a body that is sent, a run) the recording has the number of writes that the
disk had acknowledged by then. This recording is then cut at many places. Each cut yields the journal as the
next start would find it, and the effects before the cut must be in it.
"""

import asyncio
import contextlib
import os
import shutil
import signal
import sqlite3
from collections import Counter
from dataclasses import dataclass

import pdu
from crash import audit_handlers, kill_plan
from crash.invariants import command_number
from crash.kill_run import build_env, send_planned
from crash.logged_disk import LoggedDisk
from crash.relay import RecordingRelay
from crash.sandbox_env import INSTALLED_COMMAND

MAX_DISTANCE = 4
"""Half of the cuts come within this many writes after an effect."""
RUN_DURATIONS_S = {"generic": (2.0, 1.5, 2.5), "nrf91": (2.5,)}
"""Seconds that each agent runs, by simulated module.

The first stores messages, the second delivers directly.
"""
MESSAGES_PER_SECOND = 9
SESSION_TIMEOUT_S = 30.0
"""Time limit for the first session, on a busy machine."""


@dataclass(frozen=True)
class DurableFact:
    """An effect that the journal must have after a cut that leaves at least `log_position` entries of the
    log."""

    kind: str
    log_position: int
    command_number: int | None = None
    attempt: int = 0
    raw: str = ""
    """The PDU in hex, or the user data of a sent message."""


class PowerCutRecording:
    """Agents at work on a `LoggedDisk`, and the cuts of this recording."""

    def __init__(self, folder, seed, device, program=None):
        self._disk = LoggedDisk(folder / "disk")
        self._folder = folder
        self._device = device
        self._program = program
        self._seed = seed
        self.facts = []
        self.errors = []

    def planned_messages(self):
        """Return the messages to send, without those whose handler kills the agent."""
        messages = [
            message
            for planned_run in kill_plan.draw_plan(self._seed, 100)
            for message in planned_run.messages
            if message.kind not in audit_handlers.KILLS_AGENT
        ]
        return messages[: int(sum(RUN_DURATIONS_S[self._device]) * MESSAGES_PER_SECOND)]

    async def record(self):
        """Run one agent after the other; all but the last are killed."""
        with self._disk.record():
            relay = RecordingRelay(self._folder / "sim", self._disk.log_position)
            port = await relay.start()
            env = build_env(
                self._folder,
                self._seed,
                port=f"socket://127.0.0.1:{port}",
                journal=self._disk.mount_point / "journal.db",
                disk_log=self._disk.log_path,
                device=self._device,
            )
            await env.sandbox.start()
            try:
                sending = asyncio.create_task(self._send_messages(env, self.planned_messages()))
                *killed, last = RUN_DURATIONS_S[self._device]
                for seconds in killed:
                    await self._run_agent(env, seconds, signal.SIGKILL)
                await self._run_agent(env, last, signal.SIGTERM)
                await sending
            finally:
                await relay.stop()
                await env.sandbox.stop()
        self.facts = [*facts_from_effects(relay.effects), *_facts_from_audit_log(self._folder / "runs")]

    async def _run_agent(self, env, seconds, end_signal):
        """Run an agent for some seconds from the beginning of its first session."""
        process = await env.start_agent(program=self._program)
        has_session = asyncio.Event()
        with (self._folder / "agent.log").open("ab") as log:
            reading = asyncio.create_task(_read_log(process, log, has_session))
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(SESSION_TIMEOUT_S):
                    await has_session.wait()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await process.wait()
                    self.errors.append(f"the agent ended by itself, status {process.returncode}")
            if process.returncode is None:
                process.send_signal(end_signal)
                await process.wait()
            await reading

    async def _send_messages(self, env, messages):
        for message in messages:
            send_planned(env, message)
            await asyncio.sleep(1 / MESSAGES_PER_SECOND)

    def choose_cut_positions(self, count, rng):
        """Yield positions in the log at which to cut, as numbers of entries."""
        last = len(self._disk.entries)
        marks = [fact.log_position for fact in self.facts]
        for number in range(count):
            if number % 2:
                yield rng.randrange(min(marks), last + 1)
            else:
                yield min(last, rng.choice(marks) + rng.randrange(MAX_DISTANCE))

    def cut_power(self, at, rng):
        """Cut the power and return a sentence for each effect that is lost.

        The journal is then in `found`.
        """
        found = self._folder / "found"
        shutil.rmtree(found, ignore_errors=True)
        found.mkdir()
        self._disk.restore_at(at, rng, "journal.db*", found)
        due = [fact for fact in self.facts if fact.log_position <= at]
        try:
            return [f"cut at {at}: {sentence}" for sentence in find_lost_facts(found / "journal.db", due)]
        except sqlite3.Error as error:
            return [f"cut at {at}: the journal is damaged: {error}"]

    async def start_agent(self):
        """Start the agent on the journal in `found`, without a module; return a sentence for each
        violation."""
        found = self._folder / "found"
        (found / "handlers").mkdir(mode=0o755)
        config = found / "agent.toml"
        config.write_text(
            '[modem]\nport = "socket://127.0.0.1:9"\n[service]\nname = "programmable-wireless"\n'
            '[handlers]\ndirectory = "handlers"\n[journal]\npath = "journal.db"\nallow_volatile = true\n'
            '[control]\nsocket = "control.sock"\n'
        )
        process = await asyncio.create_subprocess_exec(
            INSTALLED_COMMAND, "run", "--config", config, stderr=asyncio.subprocess.PIPE, env={**os.environ}
        )
        log = b""
        async with asyncio.timeout(30):
            async for line in process.stderr:
                log += line
                if b"ready:" in line:
                    process.terminate()
            status = await process.wait()
        if status != 0:
            return [f"the agent does not start on it, status {status}: {log.decode(errors='replace')}"]
        with contextlib.closing(sqlite3.connect(found / "journal.db")) as journal:
            sending = journal.execute("SELECT count(*) FROM replies WHERE state = 'sending'").fetchone()[0]
        return [f"{sending} answers still sending after a start"] if sending else []


async def _read_log(process, log, has_session):
    """Copy the log of the agent, and set the event when its session begins or it ends."""
    async for line in process.stderr:
        log.write(line)
        if b" session" in line:
            has_session.set()
    has_session.set()


def facts_from_effects(effects):
    """Return the effects that passed through the relay as facts."""
    delivered = [
        (each, pdu.decode(bytes.fromhex(each.raw), direction="mt")) for each in effects if each.kind != "body"
    ]
    facts = [
        DurableFact(each.kind, each.log_position, _command_number_at(place, delivered), raw=each.raw)
        for place, (each, _) in enumerate(delivered)
    ]
    for each in effects:
        if each.kind == "body":
            submit = pdu.decode(bytes.fromhex(each.raw), direction="mo")
            facts.append(DurableFact("body", each.log_position, raw=submit.user_data.octets.hex()))
    return facts


def _command_number_at(place, delivered):
    """Return the number of the Command of a delivered message or of one of its parts; None if it is unknown.

    Only the first part has the number, and it may be delivered last. References are used again, so the
    nearest first part with the same reference counts.
    """
    deliver = delivered[place][1]
    if _reference(deliver) is None or _command_number(deliver) is not None:
        return _command_number(deliver)
    firsts = [
        (abs(other - place), _command_number(each))
        for other, (_, each) in enumerate(delivered)
        if _reference(each) == _reference(deliver) and _command_number(each) is not None
    ]
    return min(firsts)[1] if firsts else None


def _command_number(deliver):
    if deliver.text is not None:
        return command_number({"text": deliver.text})
    return command_number({"mode": "binary", "body": deliver.data.hex()})


def _reference(deliver):
    """Return the reference of the concatenated message that this is a part of; None if it is not a part."""
    concatenation = deliver.user_data.concatenation
    return None if concatenation is None else concatenation.reference


def _facts_from_audit_log(path):
    return [
        DurableFact(what, mark, number, attempt)
        for what, number, attempt, mark in audit_handlers.read_audit_log(path)
    ]


def find_lost_facts(path, facts):
    """Return a sentence for each fact that is missing in the journal at `path`. Raises sqlite3.Error."""
    if not path.exists():
        return ["there is no journal"] if facts else []
    with contextlib.closing(sqlite3.connect(path)) as journal:
        journal.row_factory = sqlite3.Row
        errors = [row[0] for row in journal.execute("PRAGMA integrity_check")]
        if errors != ["ok"]:
            return [f"the journal is damaged: {errors[0]}"]
        if not facts:
            return []
        commands = {command_number(_plain_row(row)): row for row in journal.execute("SELECT * FROM commands")}
        stored = {row[0] for row in journal.execute("SELECT raw FROM parts UNION SELECT raw FROM ignored")}
        bodies = Counter(
            bytes(row[0]).hex()
            for row in journal.execute("SELECT user_data FROM replies WHERE state NOT IN ('queued')")
        )
        acting = {
            row[0] for row in journal.execute("SELECT command_id FROM actions WHERE state NOT IN ('pending')")
        }
    return [
        f"{fact.kind} {fact.command_number or fact.raw} at {fact.log_position} is lost"
        for fact in facts
        if not _is_stored(fact, commands, stored, bodies, acting)
    ]


def _plain_row(row):
    body = row["body"]
    return {"mode": row["mode"], "body": body.hex() if isinstance(body, bytes) else body}


def _is_stored(fact, commands, stored, bodies, acting):
    row = commands.get(fact.command_number)
    match fact.kind:
        case "deleted" | "acknowledged":
            return row is not None or fact.raw in stored
        case "body":
            return bodies[fact.raw] > 0
        case "begin" | "end":
            return row is not None and row["attempts"] >= fact.attempt
        case "act":
            return row is not None and row["id"] in acting
