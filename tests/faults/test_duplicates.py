"""The same message again, parts of one message, and what is left when the agent is killed in between."""

import re

import pytest

from fault.catalogue import CONCAT8_1, CONCAT8_2, PLAIN_SID_START, SID
from fault.fault_world import FaultWorld, make_pdu
from soak.world import HandlerPlan

WHOLE = "A" * 100 + "B" * 100 + "C" * 60
HOUR = 3600


@pytest.mark.parametrize("sid", [True, False], ids=["with a SID", "without a SID"])
async def test_f28_the_network_delivers_again(tmp_path, message_format, sid):
    """At once, after 30 s, 10 min, a restart, 23 h and 47 h, each at another index: carried out once."""
    again = PLAIN_SID_START if sid else make_pdu("led on")
    async with FaultWorld(tmp_path, message_format) as scene:
        await scene.start_and_settle()
        slots = iter(range(1, 20))
        for wait in (0, 30, 600, "restart", 23 * HOUR, 24 * HOUR):
            if wait == "restart":
                scene.current_run.kill("SIGKILL")
                await scene.start_and_settle()
            else:
                await scene.advance(wait)
            index = next(slots)
            scene.store_pdu(index, again)
            scene.interceptor.send_to_agent(b'\r\n+CMTI: "ME",%d\r\n' % index)
            await scene.advance(10)
            assert scene.stored_indices() == []
        assert scene.executed == ["led on"]
        assert scene.sent_bodies == ["did led on"]
        assert scene.query_journal("SELECT duplicates FROM commands") == [(5,)]


async def test_f28_twice_at_once(tmp_path, message_format):
    """Both copies lie in the store when the agent looks, and at both stores."""
    async with FaultWorld(tmp_path, message_format) as scene:
        for index in (2, 5):
            scene.store_pdu(index, PLAIN_SID_START)
        scene.store_pdu(2, PLAIN_SID_START, store="SM")
        await scene.start_and_settle(30)
        assert scene.executed == ["led on"]
        assert scene.stored_indices() == scene.stored_indices("SM") == []


async def test_f28_another_command_at_the_same_time(tmp_path, message_format):
    """The same words with another SID, or another second, are another Command."""
    other = make_pdu("DC" + "a" * 32 + " led on")
    later = make_pdu("led on", timestamp="26/11/21,22:30:01+00")
    async with FaultWorld(tmp_path, message_format) as scene:
        await scene.start_and_settle()
        for pdu in (PLAIN_SID_START, other, make_pdu("led on"), later):
            scene.deliver_pdu(pdu)
            await scene.advance(3)
        assert scene.executed == ["led on"] * 4


POINTS = {
    "after the read": (r"AT\+CMGR=.*", "after a write"),
    "before the commit": (r"AT\+CMGR=.*", "before a commit"),
    "in the commit": (r"AT\+CMGR=.*", "in a commit"),
    "after the commit": (r"AT\+CMGR=.*", "after a commit"),
    "before the delete": (r"AT\+CMGR=.*", "before a write"),
    "the delete is written": (r"AT\+CMGD=.*", "after a write"),
}


@pytest.mark.deviation(
    "The design holds: at most once unless the handler is `repeatable`; a run that was cut short is answered"
    " `ERR interrupted` and not repeated."
)
@pytest.mark.parametrize("point", POINTS)
@pytest.mark.parametrize("word", ["led", "again"], ids=["once", "repeatable"])
async def test_f29_killed_at_each_step(tmp_path, message_format, point, word):
    """Nothing is deleted before it is committed; what was not begun runs once after the restart."""
    command, moment = POINTS[point]
    async with FaultWorld(tmp_path, message_format) as scene:
        await scene.start_and_settle()

        def kill(reached, life):
            if reached == moment and re.fullmatch(command, scene.interceptor.last_command):
                scene.on_kill_point = lambda point, life: None
                life.kill(point)

        scene.on_kill_point = kill
        scene.deliver_pdu(make_pdu(f"{SID} {word} 1"))
        await scene.advance(3)
        assert not scene.current_run.is_alive
        await scene.start_and_settle(60)
        assert scene.executed == [f"{word} 1"]
        assert scene.sent_bodies == [f"did {word} 1"]
        assert scene.stored_indices() == []


@pytest.mark.parametrize(("word", "runs"), [("led", 1), ("again", 2)], ids=["once", "repeatable"])
async def test_f29_killed_while_it_runs(tmp_path, message_format, word, runs):
    """Handler begun: never again, or again and told that it is the second attempt."""
    async with FaultWorld(tmp_path, message_format) as scene:
        scene.plans = {f"{word} 1": HandlerPlan([(5, "ok")])}
        await scene.start_and_settle()
        scene.deliver_pdu(make_pdu(f"{SID} {word} 1"))
        await scene.advance(3)
        scene.current_run.kill("SIGKILL")
        await scene.start_and_settle(60)
        assert [run.attempt for run in scene.handler_runs] == list(range(1, runs + 1))
        assert scene.sent_bodies == ["ERR interrupted" if runs == 1 else "did again 1"]


@pytest.mark.parametrize("when", ["before", "after"])
async def test_f29_killed_when_it_has_ended(tmp_path, message_format, when):
    """Its result is committed with the answer: neither runs again; before that it counts as interrupted."""
    async with FaultWorld(tmp_path, message_format) as scene:
        await scene.start_and_settle()

        def kill(reached, life):
            if (
                scene.handler_runs
                and scene.loop.time() > scene.handler_runs[0].started_at + 0.1
                and reached == f"{when} a commit"
            ):
                scene.on_kill_point = lambda point, life: None
                life.kill(reached)

        scene.on_kill_point = kill
        scene.deliver_pdu(PLAIN_SID_START)
        await scene.advance(3)
        assert not scene.current_run.is_alive
        await scene.start_and_settle(60)
        assert scene.executed == ["led on"]
        assert scene.sent_bodies == ["did led on" if when == "after" else "ERR interrupted"]


@pytest.mark.parametrize("order", [(1, 2), (2, 1), (2, 1, 1), (2, 2, 1), (1, 1, 2)], ids=repr)
@pytest.mark.parametrize("restart", ["no restart", "restart", "kill"])
async def test_f17_parts_in_any_order(tmp_path, message_format, order, restart):
    """One message of 260 characters, once; parts outlive a restart, doubles of parts do no harm."""
    async with FaultWorld(tmp_path, message_format) as scene:
        await scene.start_and_settle()
        for number in order:
            scene.deliver_pdu({1: CONCAT8_1, 2: CONCAT8_2}[number])
            await scene.advance(10)
            assert scene.stored_indices() == []
            if restart == "restart":
                await scene.current_run.stop()
                await scene.start_and_settle()
            elif restart == "kill":
                scene.current_run.kill("SIGKILL")
                await scene.start_and_settle()
        assert scene.executed == [WHOLE]
        assert scene.query_journal("SELECT count(*) FROM parts") == [(0,)]


@pytest.mark.parametrize("message_format", ["pdu"])
async def test_f17_a_part_that_never_comes(tmp_path, message_format):
    """Given up after a day and kept to be looked at; slots are free all the time; few lines in the log."""
    async with FaultWorld(tmp_path, message_format) as scene:
        await scene.start_and_settle()
        scene.deliver_pdu(CONCAT8_1)
        await scene.advance(10)
        assert scene.stored_indices() == []
        assert scene.query_journal("SELECT count(*) FROM ignored") == [(0,)]
        await scene.advance(49 * HOUR)
        assert scene.executed == []
        assert scene.sent_bodies == []
        assert scene.query_journal("SELECT count(*) FROM parts") == [(0,)]
        assert len(scene.query_journal("SELECT raw FROM ignored")) == 1
        assert len([line for line in scene.log_lines() if "part" in line]) <= 2
        scene.deliver_pdu(make_pdu("led 2", timestamp="26/11/24,12:00:00+00"))
        await scene.advance(10)
        assert scene.executed == ["led 2"]
