"""A conversation is recorded, and the recording plays the module: the agent does the same again."""

import asyncio
import signal
import sys
from contextlib import asynccontextmanager

import pytest
from click.testing import CliRunner

from agent.at.trace import Trace
from agent.cli import group
from agent.common.config import load_config
from agent.daemon.agent import Agent, Dependencies
from agent.recording.redact import ContentRedactor
from hardware.recording import MASKED_TAG, format_header, parse_recording
from hardware.sim.faults import FAULT_DESCRIPTIONS
from hardware.sim.module.pty import Pty
from hardware.sim.replay import ReplayedModule

TRACED_KINDS = {"session ended", "module", "port"}


@asynccontextmanager
async def recording(sandbox_env, lines, *masked):
    """An agent whose conversation is recorded into `lines`."""
    trace = Trace(lines.append, *masked, relative_times=True)
    steps, session = [], asyncio.Event()

    def tell(step):
        steps.append(step)
        if step.kind in TRACED_KINDS:
            trace.log_event(step.kind, asyncio.get_running_loop().time())
        sandbox_env.changed.set()
        if step.kind == "session":
            session.set()

    agent = Agent(load_config(sandbox_env.config), tell, Dependencies(trace=trace))
    task = asyncio.create_task(agent.run())
    try:
        async with asyncio.timeout(10):
            await session.wait()
        yield steps
    finally:
        agent.stop()
        await asyncio.wait_for(task, 6)
        trace.close()


@asynccontextmanager
async def replaying(sandbox_env, lines, *about):
    """The recorded module instead of the simulated one, and a journal that knows nothing."""
    for path in sandbox_env.folder.glob("journal.db*"):
        path.unlink()
    (sandbox_env.folder / "runs").unlink(missing_ok=True)
    sandbox_env.port.unlink()
    pty = Pty(sandbox_env.port)
    module = ReplayedModule(
        asyncio.get_running_loop(), parse_recording("\n".join([format_header(*about), *lines])), pty.write
    )
    pty.start(module.receive)
    try:
        yield module
    finally:
        pty.close()


def event_kinds_by_sid(steps):
    """What became of each Command and its reply, step by step."""
    told = ("received", "duplicate", "running", "done", "queued", "sending", "sent", "ignored")
    return {
        sid: [step.kind for step in steps if step.sid == sid and step.kind in told]
        for sid in {step.sid for step in steps}
    }


async def run_conversation(sandbox_env, steps):
    """Some of everything: Commands, a double, a stranger, a long message, an answer each."""
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
    await sandbox_env.wait_until(lambda: count_finished(steps) == 4)


def count_finished(steps):
    """How many messages have come to their end."""
    return sum(step.kind in ("sent", "duplicate", "ignored") for step in steps)


async def test_a_recording_of_our_agent_is_green_against_our_agent(sandbox_env):
    """The same Commands run, the same answers leave, and no line is another than in the recording."""
    lines, again = [], []
    async with recording(sandbox_env, lines) as first:
        await run_conversation(sandbox_env, first)
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


async def test_a_masked_recording_is_replayed_too(sandbox_env):
    """It holds nothing of what was said; the same messages come, the same lines are spoken."""
    lines = []
    async with recording(sandbox_env, lines, ContentRedactor()) as first:
        await run_conversation(sandbox_env, first)
    text = "\n".join(lines)
    sim = sandbox_env.sandbox.find_sim("sim")
    imei = sim.module.profile.imei
    assert all(len(number) >= 15 for number in (sim.sim_card.imsi, sim.sim_card.iccid, imei))
    stranger = "447700090021F3"  # semi-octets
    for word in ("Alice", "secret", "447700900123", stranger, sim.sim_card.imsi, sim.sim_card.iccid, imei):
        assert word not in text
    async with replaying(sandbox_env, lines, MASKED_TAG) as module, recording(sandbox_env, []) as second:
        await sandbox_env.wait_until(lambda: count_finished(second) == 4)
    assert module.divergences == []
    assert [step.sid for step in second if step.kind == "received"] == [
        step.sid for step in first if step.kind == "received"
    ]
    assert sandbox_env.handler_log_lines() == []
    assert sandbox_env.sent_bodies() == [] or len(sandbox_env.sent_bodies()) == 2


async def test_another_conversation_is_told(sandbox_env):
    """With the line of the recording, and what was said instead."""
    lines = []
    async with recording(sandbox_env, lines) as steps:
        await run_conversation(sandbox_env, steps)
    changed = [line.replace("AT+CMGD=1", "AT+CMGD=19") for line in lines]
    assert changed != lines
    async with replaying(sandbox_env, changed) as module, recording(sandbox_env, []):
        async with asyncio.timeout(5):
            while not module.divergences:  # noqa: ASYNC110  (a replayed module sends no event)
                await asyncio.sleep(0.01)
    number = next(place for place, line in enumerate(changed, 2) if "CMGD=19" in line)
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
    """Stop it; its exit status and what it said."""
    if process.returncode is None:
        process.send_signal(number)
    async with asyncio.timeout(10):
        said, wrong = await process.communicate()
    return process.returncode, said.decode(), (wrong or b"").decode()


@pytest.mark.parametrize("sandbox_env", ["super-sim"], indirect=True)
async def test_from_the_command_line(sandbox_env):
    """`run --record FILE --mask`, then `sandbox --replay FILE`, on which another agent runs."""
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
    assert b"AT+CMGD=1\r" in [run.octets for run in recorded.chunks]
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
    status, _, wrong = await stop_program(sandbox)
    assert (status, wrong) == (0, "")
    assert not (sandbox_env.folder / "replay").is_symlink()


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("run", "--mask"), "--mask needs --record FILE"),
        (("sandbox", "--no-delays"), "--no-delays needs --replay FILE"),
        (
            ("sandbox", "--replay", "x", "--fault", "mute"),
            "--replay takes none of --sim, --device, --baud and --fault",
        ),
        (("sandbox", "--fault", "moot"), 'there is no fault "moot"; the faults are mute, late'),
        (("sandbox", "--fault", "mute:for=x"), "fault mute: "),
        (("sandbox", "--fault", "mute@nobody"), "mute@nobody: there is no SIM nobody; there are super-sim"),
        (("sandbox", "--device", "nokia"), "there is no profile nokia; there are "),
        (("sandbox", "--replay", "/nowhere"), "--replay /nowhere: No such file"),
        (("sandbox", "--replay", __file__), "line 1: a recording begins with"),
    ],
)
def test_what_the_command_line_refuses(words, sentence):
    """One sentence, exit status 2, nothing begun."""
    result = CliRunner().invoke(group, words)
    assert result.exit_code == 2
    assert sentence in result.output.replace("\n", " ")


def test_the_names_of_faults_are_taught():
    """`sandbox --fault list` explains all of them and the keys."""
    result = CliRunner().invoke(group, ["sandbox", "--fault", "list"])
    assert result.exit_code == 0
    for name, meaning in FAULT_DESCRIPTIONS.items():
        assert name in result.output
        assert meaning in result.output
    for key in ("after", "for", "times", "command", "seconds", "refusal", "stat"):
        assert f"  {key} " in result.output
