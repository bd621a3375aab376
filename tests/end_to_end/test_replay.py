"""A session is recorded, and a module that replays the recording leads to the same results."""

import asyncio
import signal
import sys
from contextlib import asynccontextmanager

import pytest
from click.testing import CliRunner

from agent.at.trace import Trace
from agent.cli.commands import group
from agent.daemon.agent import Dependencies
from agent.recording.redact import ContentRedactor
from hardware.recording import MASKED_TAG, format_header, parse_recording
from hardware.sim.fault_spec import FAULT_DESCRIPTIONS
from hardware.sim.module.pty import Pty
from hardware.sim.replay import ReplayedModule

TRACED_KINDS = {"session ended", "module", "port"}


@asynccontextmanager
async def recording(sandbox_env, lines, *redactor):
    """Run an agent and append the recording to `lines`; yields the events of the agent."""
    trace = Trace(lines.append, *redactor, relative_times=True)

    def on_event(event):
        if event.kind in TRACED_KINDS:
            trace.log_event(event.kind, asyncio.get_running_loop().time())

    try:
        async with sandbox_env.run_in_process(Dependencies(trace=trace), on_event) as events:
            yield events
    finally:
        trace.close()


@asynccontextmanager
async def replaying(sandbox_env, lines, *header_tags):
    """Replace the simulated module by one that replays `lines`, and delete the journal; yields the module."""
    for path in sandbox_env.folder.glob("journal.db*"):
        path.unlink()
    (sandbox_env.folder / "runs").unlink(missing_ok=True)
    sandbox_env.port.unlink()
    pty = Pty(sandbox_env.port)
    module = ReplayedModule(
        asyncio.get_running_loop(),
        parse_recording("\n".join([format_header(*header_tags), *lines])),
        pty.write,
    )
    pty.start(module.receive)
    try:
        yield module
    finally:
        pty.close()


def event_kinds_by_sid(events):
    """Return the kinds of the events of each Command and its reply, in order."""
    kinds = ("received", "duplicate", "running", "done", "queued", "sending", "sent", "ignored")
    return {
        sid: [event.kind for event in events if event.sid == sid and event.kind in kinds]
        for sid in {event.sid for event in events}
    }


async def run_commands(sandbox_env, events):
    """Send two Commands, one of them twice, and a message from another sender; wait until all are done."""
    sids = [
        sandbox_env.create_command("count 1", IncludeSid="end"),
        sandbox_env.create_command("count 2", IncludeSid="start"),
    ]
    await sandbox_env.wait_until(lambda: len(sandbox_env.sent_bodies()) == 2)
    sandbox_env.sandbox.redeliver(sids[0])
    sandbox_env.sandbox.send_sms("sim", "+447700900123", "count {secret} from Alice")
    await sandbox_env.wait_until(
        lambda: sum(str(event.kind) == "acknowledged" for event in sandbox_env.network_events) == 4
    )
    await sandbox_env.wait_store_empty()
    await sandbox_env.wait_until(lambda: count_finished(events) == 4)


def count_finished(events):
    """Return the number of messages whose processing has ended."""
    return sum(event.kind in ("sent", "duplicate", "ignored") for event in events)


async def test_replayed_recording_leads_to_the_same_results(sandbox_env):
    """The same Commands run, the same replies are sent, and no line differs from the recording."""
    lines, again = [], []
    async with recording(sandbox_env, lines) as first:
        await run_commands(sandbox_env, first)
    runs = sandbox_env.handler_log_lines()
    assert len(runs) == 2
    async with replaying(sandbox_env, lines) as module, recording(sandbox_env, again) as second:
        await sandbox_env.wait_until(lambda: count_finished(second) == 4)
        async with asyncio.timeout(5):
            while module.unplayed_requests:  # noqa: ASYNC110  (a replayed module sends no event)
                await asyncio.sleep(0.01)
    assert module.divergences == []
    assert module.unplayed_requests == []
    assert sandbox_env.handler_log_lines() == runs
    assert event_kinds_by_sid(second) == event_kinds_by_sid(first)


async def test_masked_recording_is_replayed(sandbox_env):
    """It contains no texts, numbers or identities. The same messages arrive, and no line differs."""
    lines = []
    async with recording(sandbox_env, lines, ContentRedactor()) as first:
        await run_commands(sandbox_env, first)
    text = "\n".join(lines)
    sim = sandbox_env.sandbox.find_sim("sim")
    imei = sim.module.profile.imei
    assert all(len(number) >= 15 for number in (sim.sim_card.imsi, sim.sim_card.iccid, imei))
    sender = "447700090021F3"  # semi-octets
    for word in ("Alice", "secret", "447700900123", sender, sim.sim_card.imsi, sim.sim_card.iccid, imei):
        assert word not in text
    async with replaying(sandbox_env, lines, MASKED_TAG) as module, recording(sandbox_env, []) as second:
        await sandbox_env.wait_until(lambda: count_finished(second) == 4)
    assert module.divergences == []
    assert [event.sid for event in second if event.kind == "received"] == [
        event.sid for event in first if event.kind == "received"
    ]
    assert sandbox_env.handler_log_lines() == []
    assert sandbox_env.sent_bodies() == [] or len(sandbox_env.sent_bodies()) == 2


async def test_divergence_from_the_recording_is_reported(sandbox_env):
    """The report has the number of the line in the recording, and the command that was sent instead."""
    lines = []
    async with recording(sandbox_env, lines) as events:
        await run_commands(sandbox_env, events)
    changed = [line.replace("AT+CMGD=1", "AT+CMGD=19") for line in lines]
    assert changed != lines
    async with replaying(sandbox_env, changed) as module, recording(sandbox_env, []):
        async with asyncio.timeout(5):
            while not module.divergences:  # noqa: ASYNC110  (a replayed module sends no event)
                await asyncio.sleep(0.01)
    number = next(number for number, line in enumerate(changed, 2) if "CMGD=19" in line)
    assert module.divergences[0] == (
        f"line {number}: the recording has AT+CMGD=19, but the host sent AT+CMGD=1"
    )


async def start_program(*words, stderr=asyncio.subprocess.PIPE):
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        "from agent.cli import main; main()",
        *map(str, words),
        stdout=asyncio.subprocess.PIPE,
        stderr=stderr,
    )


async def stop_program(process, number=signal.SIGINT):
    """Stop the process; return its exit status, standard output and standard error."""
    if process.returncode is None:
        process.send_signal(number)
    async with asyncio.timeout(10):
        output, errors = await process.communicate()
    return process.returncode, output.decode(), (errors or b"").decode()


@pytest.mark.parametrize("sandbox_env", ["super-sim"], indirect=True)
async def test_record_and_replay_by_the_command_line(sandbox_env):
    """An agent runs with `run --record FILE --mask`, and then another one with `sandbox --replay FILE`."""
    file = sandbox_env.folder / "recording"
    agent = await start_program("run", "--config", sandbox_env.config, "--record", file, "--mask")
    async with asyncio.timeout(10):
        async for line in agent.stderr:
            if b"session" in line:
                break
    sandbox_env.create_command("count 1")
    async with asyncio.timeout(10):
        async for line in agent.stderr:
            if b" sent " in line:
                break
    await sandbox_env.wait_store_empty()
    assert (await stop_program(agent))[0] == 0
    assert oct(file.stat().st_mode)[-3:] == "600"
    recorded = parse_recording(file.read_text())
    assert recorded.is_masked
    assert b"AT+CMGD=1\r" in [chunk.octets for chunk in recorded.chunks]
    for path in sandbox_env.folder.glob("journal.db*"):
        path.unlink()
    sandbox = await start_program(
        "sandbox", "--replay", file, "--no-delays", "--json", "--link-dir", sandbox_env.folder
    )
    async with asyncio.timeout(10):
        assert b"masked" in await sandbox.stdout.readline()
    sandbox_env.config.write_text(
        sandbox_env.config.read_text().replace(str(sandbox_env.port), str(sandbox_env.folder / "replay"))
    )
    agent = await start_program("run", "--config", sandbox_env.config)
    async with asyncio.timeout(10):
        async for line in agent.stderr:
            if b" sent " in line:
                break
    await stop_program(agent)
    status, _, errors = await stop_program(sandbox)
    assert (status, errors) == (0, "")
    assert not (sandbox_env.folder / "replay").is_symlink()


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("run", "--mask"), "--mask needs --record FILE"),
        (("sandbox", "--no-delays"), "--no-delays needs --replay FILE"),
        (
            ("sandbox", "--replay", "x", "--fault", "mute"),
            "--replay does not take --fault",
        ),
        (("sandbox", "--fault", "moot"), 'there is no fault "moot"; the faults are mute, late'),
        (("sandbox", "--fault", "mute:for=x"), "fault mute: "),
        (("sandbox", "--fault", "mute@nobody"), "mute@nobody: there is no SIM nobody; there are super-sim"),
        (("sandbox", "--device", "nokia"), "there is no profile nokia; there are "),
        (("sandbox", "--replay", "/nowhere"), "--replay /nowhere: No such file"),
        (("sandbox", "--replay", __file__), "line 1: a recording begins with"),
    ],
)
def test_invalid_options_are_refused(words, sentence):
    """One sentence and exit status 2; nothing is started."""
    result = CliRunner().invoke(group, words)
    assert result.exit_code == 2
    assert sentence in result.output.replace("\n", " ")


def test_fault_list_describes_faults_and_keys():
    """`sandbox --fault list` describes every fault and every key."""
    result = CliRunner().invoke(group, ["sandbox", "--fault", "list"])
    assert result.exit_code == 0
    for name, meaning in FAULT_DESCRIPTIONS.items():
        assert name in result.output
        assert meaning in result.output
    for key in ("after", "for", "times", "command", "seconds", "refusal", "stat"):
        assert f"  {key} " in result.output
