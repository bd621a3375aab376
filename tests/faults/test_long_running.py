"""F62 F63 F70 F71 F74: stopping, the log, the disk, secrets, and an outage behind the handlers."""

import asyncio
import contextlib
import itertools
import os
import pty
import signal
import sys
import tty
from dataclasses import replace

import pytest

from agent.at.trace import Trace
from agent.modem.sim import Pin
from fault.catalogue import CONCAT8_1, INTL_SENDER, PLAIN_SID_START, SID
from fault.fault_world import FaultWorld, make_pdu
from fault.saying import FixedReplyRunner
from soak.world import HandlerPlan

DAY = 86_400
STOP_S = 5.0


def numbered(number, text="blink {}"):
    """A Command of its own."""
    return make_pdu(text.format(number), timestamp=f"26/11/21,22:{number // 60 % 60:02}:{number % 60:02}+00")


# F62


STATES = ("idle", "mute", "blocked", "at the prompt", "after Ctrl-Z", "handler", "starting", "no port")


@pytest.mark.deviation("5 s, not 10 s.")
@pytest.mark.parametrize("state", STATES)
async def test_f62_a_stop_takes_seconds(tmp_path, message_format, state):
    """Whatever the module, the line or a handler is at; what was not finished is there at the next start."""
    async with FaultWorld(tmp_path, message_format) as scene:
        scene.plans["led on"] = HandlerPlan([(600, "hang")]) if state == "handler" else HandlerPlan()
        if state == "no port":
            scene.port.unplug()
        life = await scene.start_and_settle(0.2 if state == "starting" else 20)
        if state == "mute":
            scene.module.faults.add("mute:for=0")
        elif state == "blocked":
            scene.port.pause()
        elif state == "at the prompt":
            scene.interceptor.answer(r"AT\+CMGS=.*", [b""])
        elif state == "after Ctrl-Z":
            scene.module.network.submit = lambda *asked: None
        if state not in {"idle", "starting", "no port"}:
            scene.deliver_pdu(PLAIN_SID_START)
            scene.interceptor.send_to_agent(b'\r\n+CMTI: "ME",1\r\n')
            await scene.advance(3)
        began = scene.loop.time()
        await life.stop()
        assert scene.loop.time() - began <= STOP_S
        assert scene.unforced_ends[-1][2] is None
        assert scene.port.transport is None
        if state == "handler":
            scene.plans.clear()
            await scene.start_and_settle(60)
            assert scene.sent_bodies == ["ERR interrupted"]
            assert scene.executed == ["led on"]


@pytest.mark.real_time
@pytest.mark.parametrize("module", ["mute", "full line"])
async def test_f62_the_process_ends(tmp_path, module):
    """SIGTERM to the real process on a real port on which nobody reads."""
    master, slave = pty.openpty()
    tty.setraw(slave)
    port = os.ttyname(slave)
    if module == "full line":
        os.set_blocking(slave, False)
        with contextlib.suppress(BlockingIOError):
            while os.write(slave, b"x" * 4096):
                pass
    config = tmp_path / "agent.toml"
    (tmp_path / "handlers").mkdir()
    config.write_text(
        f'[modem]\nport = "{port}"\n[handlers]\ndirectory = "handlers"\n'
        '[journal]\npath = "journal.db"\n[control]\nsocket = "control.sock"\n'
    )
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", "from agent.cli import main; main()", "run", "--config", config),
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(30):
            while b"ready:" not in await process.stderr.readline():
                pass
            await asyncio.sleep(0.5)  # let it write into the port
            process.send_signal(signal.SIGTERM)
            began = asyncio.get_running_loop().time()
            await process.wait()
        assert asyncio.get_running_loop().time() - began < 2 * STOP_S
        assert process.returncode == 0
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
        process._transport.close()
        os.close(master)
        os.close(slave)


# F63


LINES_A_DAY = 13
"""That an operator gets to see of one condition that lasts (agent/common/log_throttle.py): at first often, then seldom."""


def visible_lines(scene, since):
    """Times of the lines that are logged without --trace."""
    return [at - since for at, _, step in scene.events if at >= since and step.severity >= 20]


@pytest.mark.parametrize("message_format", ["pdu"])
async def test_f63_a_part_waits_for_days(tmp_path, message_format):
    """Told when it came and when it was given up."""
    async with FaultWorld(tmp_path, message_format) as scene:
        await scene.start_and_settle()
        since = scene.loop.time()
        scene.deliver_pdu(CONCAT8_1)
        await scene.advance(3 * DAY)
        assert len(visible_lines(scene, since)) <= 4


@pytest.mark.parametrize("message_format", ["pdu"])
async def test_f63_the_module_is_absent_for_days(tmp_path, message_format):
    """Said once; the ladder says what it does, and that is bounded."""
    async with FaultWorld(tmp_path, message_format) as scene:
        await scene.start_and_settle()
        since = scene.loop.time()
        scene.port.unplug()
        await scene.advance(3 * DAY)
        lines = visible_lines(scene, since)
        assert 1 <= len(lines) <= 3 * LINES_A_DAY
        assert len([at for at in lines if at > 2 * DAY]) <= len([at for at in lines if at < DAY])


@pytest.mark.parametrize("message_format", ["pdu"])
async def test_f63_the_module_is_mute_for_days(tmp_path, message_format):
    """The same."""
    async with FaultWorld(tmp_path, message_format) as scene:
        await scene.start_and_settle()
        since = scene.loop.time()
        scene.interceptor.filter_to_module = lambda data: b""
        await scene.advance(2 * DAY)
        assert (
            1 <= len(visible_lines(scene, since)) <= 5 * LINES_A_DAY
        )  # each step of the ladder is one more line


@pytest.mark.parametrize(
    ("message_format", "says"),
    [("pdu", b"\r\n+CMS ERROR: 320\r\n"), ("pdu", b"\r\nERROR\r\n"), ("text", b"\r\n+CMS ERROR: 500\r\n")],
)
async def test_f63_reading_fails_at_each_look(tmp_path, message_format, says):
    """No line a look for ever: said when it begins, then less and less often; and something is done about it.

    First another session, then the module's own restart, each with its lines, ever more seldom.
    """
    async with FaultWorld(tmp_path, message_format) as scene:
        await scene.start_and_settle()
        since = scene.loop.time()
        scene.interceptor.answer(r"AT\+CMG[RL].*", says, times=0)
        scene.deliver_pdu(PLAIN_SID_START)
        await scene.advance(DAY / 3)
        taken = [
            (at, step.message) for at, _, step in scene.events if at >= since and step.kind == "recovery"
        ]
        assert "begin a new session" in taken[0][1]
        assert all("restart it by its own command" in detail for _, detail in taken[1:])
        rests = [after - before for (before, _), (after, _) in itertools.pairwise(taken)]
        assert 2 <= len(taken) <= 6
        assert rests == sorted(rests)
        assert len(visible_lines(scene, since)) <= LINES_A_DAY + 4 * len(taken)
        lines = [
            at - since for at, _, step in scene.events if step.kind == "read refused" and step.severity >= 20
        ]
        assert 1 <= len(lines) <= LINES_A_DAY
        waits = [round(after - before, -1) for before, after in itertools.pairwise(lines)]
        assert waits == sorted(waits)
        assert waits[0] >= 60
        scene.interceptor.clear_rules()
        await scene.advance(600)
        assert scene.executed == ["led on"]


@pytest.mark.parametrize("message_format", ["pdu"])
async def test_f63_a_slot_cannot_be_deleted(tmp_path, message_format):
    """The message is carried out once, and the complaint is not repeated at each sweep."""
    async with FaultWorld(tmp_path, message_format) as scene:
        await scene.start_and_settle()
        since = scene.loop.time()
        scene.interceptor.answer(r"AT\+CMGD=.*", b"\r\n+CMS ERROR: 500\r\n", times=0)
        scene.deliver_pdu(PLAIN_SID_START)
        await scene.advance(DAY)
        assert scene.executed == ["led on"]
        assert len(visible_lines(scene, since)) <= LINES_A_DAY + 5


@pytest.mark.parametrize("message_format", ["pdu"])
async def test_f63_codes_every_second(tmp_path, message_format):
    """^RSSI is nobody's business: no line, and nothing is asked because of it."""
    async with FaultWorld(tmp_path, message_format) as scene:
        await scene.start_and_settle()
        since, asked = scene.loop.time(), len(scene.interceptor.commands)
        for number in range(1800):
            scene.interceptor.send_to_agent(b"\r\n^RSSI:%d\r\n" % (number % 32))
            await scene.advance(1)
        assert visible_lines(scene, since) == []
        assert len(scene.interceptor.commands) - asked <= 80


# F70


@pytest.mark.parametrize("message_format", ["pdu"])
async def test_f70_idle_writes_nothing(tmp_path, message_format):
    """A day without messages: not one commit after the first minutes."""
    async with FaultWorld(tmp_path, message_format) as scene:
        life = await scene.start_and_settle(600)
        commits = count_loop_work(life)
        await scene.advance(DAY)
        assert len(commits) <= 2


@pytest.mark.parametrize("message_format", ["pdu"])
async def test_f70_a_message_costs_few_commits(tmp_path, message_format):
    """Five for a Command and its answer; that its slot is free costs none (agent/journal/README.md)."""
    async with FaultWorld(
        tmp_path, message_format, tables={"service": {"name": "super-sim", "max_per_minute": 1000}}
    ) as scene:
        life = await scene.start_and_settle(600)
        commits = count_loop_work(life)
        for number in range(100):
            scene.deliver_pdu(numbered(number))
            await scene.advance(30)
        await scene.advance(60)
        assert len(scene.sent_bodies) == 100
        assert len(commits) <= 5 * 100 + 5


def count_loop_work(life):
    """The commits of its journal from now on."""
    commits = []
    connection = life.agent.components.command_store._journal.connection
    connection.set_trace_callback(lambda statement: commits.append(1) if statement == "COMMIT" else None)
    return commits


# F71


TOKEN = "token-4f1c9a77"
NUMBER = "15557654321"


async def test_f71_nothing_personal_in_the_log(tmp_path, message_format):
    """Neither what messages say nor who else sent one; SIDs may be seen."""
    async with FaultWorld(tmp_path, message_format) as scene:
        scene.make_runner = lambda life: FixedReplyRunner(scene, life, f"answer {TOKEN}")
        await scene.start_and_settle()
        scene.deliver_pdu(make_pdu(f"{SID} login {TOKEN}"))
        scene.deliver_pdu(INTL_SENDER)
        scene.deliver_pdu(make_pdu(f"login {TOKEN}", sender="+447700900555"))
        await scene.advance(60)
        assert len(scene.sent_bodies) == 1
        log = "\n".join(scene.log_lines())
        for secret in (TOKEN, NUMBER, "reboot", "447700900555"):
            assert secret not in log
        assert SID in log


async def test_f71_the_pin_is_in_no_trace(tmp_path, message_format):
    """Not even where every octet is asked for, echo on or off, nor in the status."""
    lines = []
    async with FaultWorld(tmp_path, message_format) as scene:
        scene.sim.pin, scene.sim.pin_enabled = "48261", True
        scene.module.power_off()
        scene.module.power_on()
        life = scene.start()
        life.agent._dependencies = replace(
            life.agent._dependencies, pin=Pin("48261", "a file"), trace=Trace(lines.append)
        )
        await scene.advance(60)
        scene.deliver_pdu(make_pdu(f"login {TOKEN}"))
        await scene.advance(30)
        assert scene.interceptor.commands_matching(r'AT\+CPIN="48261"')
        assert scene.executed == [f"login {TOKEN}"]
        status = str(await life.agent.components.control_api.get_status({}))
    assert any("AT+CPIN=" in line for line in lines)
    assert "48261" not in "\n".join([*lines, *scene.log_lines(), status])
    assert len(lines) > 20


# F74


@pytest.mark.parametrize("message_format", ["pdu"])
async def test_f74_an_outage_behind_the_handlers(tmp_path, message_format):
    """For 6 h every handler hangs until its time limit; 60 messages come, the store has 20 places.

    They are in the journal and out of the module within seconds, and are carried out in their order.
    """
    tables = {"handlers": {"timeout_s": 300.0}}
    async with FaultWorld(tmp_path, message_format, tables=tables | _handlers(tmp_path, 300.0)) as scene:
        await scene.start_and_settle()
        most = 0
        for number in range(60):
            scene.plans[f"led {number}"] = HandlerPlan([(10_000, "hang")])
            scene.deliver_pdu(numbered(number, "led {}"))
            await scene.advance(5)
            most = max(most, len(scene.stored_indices()))
            await scene.advance(355)
        assert most == 0
        assert scene.query_journal("SELECT count(*) FROM commands") == [(60,)]
        await scene.advance(6 * 3600)
        assert scene.executed == [f"led {number}" for number in range(60)]


def _handlers(folder, timeout_s):
    return {"handlers": {"directory": str(folder / "handlers"), "timeout_s": timeout_s}}


async def test_f74_a_burst_while_a_handler_is_busy(tmp_path, message_format):
    """60, one a second: the store is emptied as they come, the order is kept."""
    async with FaultWorld(tmp_path, message_format) as scene:
        await scene.start_and_settle()
        scene.plans["led 0"] = HandlerPlan([(25, "ok")])
        for number in range(60):
            scene.send(f"led {number}")
            await scene.advance(1)
        assert scene.stored_indices() == []
        await scene.advance(600)
        assert scene.executed == [f"led {number}" for number in range(60)]
