"""A conversation is recorded, and the recording plays the module: the agent does the same again."""

import asyncio
import signal
import sys
from contextlib import asynccontextmanager

import pytest
from click.testing import CliRunner

from agent.app import Agent, Seams
from agent.at.trace import Trace
from agent.cli import group
from agent.cli.record.mask import ContentMask
from agent.config import load
from hardware.recording import MASKED, first_line, parse
from hardware.sim.faults import MEANING
from hardware.sim.module.pty import Pty
from hardware.sim.replay import ReplayedModule

ENDINGS = {"session ended", "module", "port"}


@asynccontextmanager
async def recording(house, lines, *masked):
    """An agent whose conversation is recorded into `lines`."""
    trace = Trace(lines.append, *masked, from_zero=True)
    steps, session = [], asyncio.Event()

    def tell(step):
        steps.append(step)
        if step.what in ENDINGS:
            trace.happened(step.what, asyncio.get_running_loop().time())
        house.changed.set()
        if step.what == "session":
            session.set()

    agent = Agent(load(house.config), tell, Seams(trace=trace))
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
async def replaying(house, lines, *about):
    """The recorded module instead of the simulated one, and a journal that knows nothing."""
    for path in house.folder.glob("journal.db*"):
        path.unlink()
    (house.folder / "runs").unlink(missing_ok=True)
    house.port.unlink()
    pty = Pty(house.port)
    module = ReplayedModule(
        asyncio.get_running_loop(), parse("\n".join([first_line(*about), *lines])), pty.write
    )
    pty.start(module.receive)
    try:
        yield module
    finally:
        pty.close()


def road(steps):
    """What became of each Command and its reply, step by step."""
    told = ("received", "double", "running", "done", "queued", "sending", "sent", "stray")
    return {
        sid: [step.what for step in steps if step.sid == sid and step.what in told]
        for sid in {step.sid for step in steps}
    }


async def conversation(house, steps):
    """Some of everything: Commands, a double, a stranger, a long message, an answer each."""
    sids = [house.create("count 1", IncludeSid="end"), house.create("count 2", IncludeSid="start")]
    await house.until(lambda: len(house.answers()) == 2)
    house.sandbox.redeliver(sids[0])
    house.sandbox.send_sms("sim", "+447700900123", "count {secret} from Alice")
    await house.until(lambda: sum(str(event.kind) == "acknowledged" for event in house.happened) == 4)
    await house.emptied()
    await house.until(lambda: ended_well(steps) == 4)


def ended_well(steps):
    """How many messages have come to their end."""
    return sum(step.what in ("sent", "double", "stray") for step in steps)


async def test_a_recording_of_our_agent_is_green_against_our_agent(house):
    """The same Commands run, the same answers leave, and no line is another than in the recording."""
    lines, again = [], []
    async with recording(house, lines) as first:
        await conversation(house, first)
    runs = house.runs()
    assert len(runs) == 2
    async with replaying(house, lines) as module, recording(house, again) as second:
        await house.until(lambda: ended_well(second) == 4)
        async with asyncio.timeout(5):
            while module.unasked:  # noqa: ASYNC110  (a replayed module sends no event)
                await asyncio.sleep(0.01)
    assert module.divergences == []
    assert module.unasked == []
    assert house.runs() == runs
    assert road(second) == road(first)


async def test_a_masked_recording_is_replayed_too(house):
    """It holds nothing of what was said; the same messages come, the same lines are spoken."""
    lines = []
    async with recording(house, lines, ContentMask()) as first:
        await conversation(house, first)
    text = "\n".join(lines)
    sim = house.sandbox.sim("sim")
    imei = sim.module.device.imei
    assert all(len(number) >= 15 for number in (sim.card.imsi, sim.card.iccid, imei))
    stranger = "447700090021F3"  # semi-octets
    for word in ("Alice", "secret", "447700900123", stranger, sim.card.imsi, sim.card.iccid, imei):
        assert word not in text
    async with replaying(house, lines, MASKED) as module, recording(house, []) as second:
        await house.until(lambda: ended_well(second) == 4)
    assert module.divergences == []
    assert [step.sid for step in second if step.what == "received"] == [
        step.sid for step in first if step.what == "received"
    ]
    assert house.runs() == []
    assert house.answers() == [] or len(house.answers()) == 2


async def test_another_conversation_is_told(house):
    """With the line of the recording, and what was said instead."""
    lines = []
    async with recording(house, lines) as steps:
        await conversation(house, steps)
    changed = [line.replace("AT+CMGD=1", "AT+CMGD=19") for line in lines]
    assert changed != lines
    async with replaying(house, changed) as module, recording(house, []):
        async with asyncio.timeout(5):
            while not module.divergences:  # noqa: ASYNC110  (a replayed module sends no event)
                await asyncio.sleep(0.01)
    number = next(place for place, line in enumerate(changed, 2) if "CMGD=19" in line)
    assert module.divergences[0] == (f"line {number}: the recording has AT+CMGD=19, the host says AT+CMGD=1")


async def program(*words, stderr=asyncio.subprocess.PIPE):
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        "from agent.cli import main; main()",
        *map(str, words),
        stdout=asyncio.subprocess.PIPE,
        stderr=stderr,
    )


async def ended(process, number=signal.SIGINT):
    """Stop it; its exit status and what it said."""
    if process.returncode is None:
        process.send_signal(number)
    async with asyncio.timeout(10):
        said, wrong = await process.communicate()
    return process.returncode, said.decode(), (wrong or b"").decode()


@pytest.mark.parametrize("house", ["super-sim"], indirect=True)
async def test_from_the_command_line(house):
    """`run --record FILE --mask`, then `sandbox --replay FILE`, on which another agent runs."""
    file = house.folder / "recording"
    agent = await program("run", "--config", house.config, "--record", file, "--mask")
    async with asyncio.timeout(10):
        async for line in agent.stderr:
            if b"session" in line:
                break
    house.create("count 1")
    async with asyncio.timeout(10):
        async for line in agent.stderr:
            if b" sent " in line:
                break
    await house.emptied()
    assert (await ended(agent))[0] == 0
    assert oct(file.stat().st_mode)[-3:] == "600"
    recorded = parse(file.read_text())
    assert recorded.masked
    assert b"AT+CMGD=1\r" in [run.octets for run in recorded.runs]
    for path in house.folder.glob("journal.db*"):
        path.unlink()
    sandbox = await program("sandbox", "--replay", file, "--no-delays", "--json", "--link-dir", house.folder)
    async with asyncio.timeout(10):
        assert b"masked" in await sandbox.stdout.readline()
    house.config.write_text(house.config.read_text().replace(str(house.port), str(house.folder / "replay")))
    agent = await program("run", "--config", house.config)
    async with asyncio.timeout(10):
        async for line in agent.stderr:
            if b" sent " in line:
                break
    await ended(agent)
    status, _, wrong = await ended(sandbox)
    assert (status, wrong) == (0, "")
    assert not (house.folder / "replay").is_symlink()


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("run", "--mask"), "--mask needs --record FILE"),
        (("sandbox", "--no-delays"), "--no-delays needs --replay FILE"),
        (("sandbox", "--replay", "x", "--fault", "mute"), "--replay plays a recording and nothing else"),
        (("sandbox", "--fault", "moot"), 'there is no fault "moot"; known are mute, late'),
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
    for name, meaning in MEANING.items():
        assert name in result.output
        assert meaning in result.output
    for key in ("after", "for", "times", "command", "seconds", "refusal", "stat"):
        assert f"  {key} " in result.output
