"""F17 F28 F29: duplicates, concatenated messages, and kills between read and delete."""

import re

import pytest

from fault.catalogue import CONCAT8_1, CONCAT8_2, PLAIN_SID_START, SID
from fault.fault_world import FaultWorld, make_pdu
from soak.world import HandlerPlan

WHOLE = "A" * 100 + "B" * 100 + "C" * 60
HOUR = 3600


@pytest.mark.long
@pytest.mark.parametrize("sid", [True, False], ids=["with a SID", "without a SID"])
async def test_f28_redelivered_message_is_executed_once(tmp_path, message_format, sid):
    """Copies arrive at once and up to 47 h later, also after a restart, each at another index."""
    copy = PLAIN_SID_START if sid else make_pdu("led on")
    async with FaultWorld(tmp_path, message_format) as world:
        await world.start_and_settle()
        slots = iter(range(1, 20))
        for wait in (0, 30, 600, "restart", 23 * HOUR, 24 * HOUR):
            if wait == "restart":
                world.current_run.kill("SIGKILL")
                await world.start_and_settle()
            else:
                await world.advance(wait)
            index = next(slots)
            world.store_pdu(index, copy)
            world.interceptor.send_to_agent(b'\r\n+CMTI: "ME",%d\r\n' % index)
            await world.advance(10)
            assert world.stored_indices() == []
        assert world.executed == ["led on"]
        assert world.sent_bodies == ["did led on"]
        assert world.query_journal("SELECT duplicates FROM commands") == [(5,)]


async def test_f28_copies_in_the_stores_are_executed_once(tmp_path, message_format):
    """Copies in one store and in both stores are executed once."""
    async with FaultWorld(tmp_path, message_format) as world:
        for index in (2, 5):
            world.store_pdu(index, PLAIN_SID_START)
        world.store_pdu(2, PLAIN_SID_START, store="SM")
        await world.start_and_settle(30)
        assert world.executed == ["led on"]
        assert world.stored_indices() == world.stored_indices("SM") == []


async def test_f28_other_sid_or_second_is_another_command(tmp_path, message_format):
    """The same text with another SID or another timestamp is executed again."""
    other = make_pdu("DC" + "a" * 32 + " led on")
    later = make_pdu("led on", timestamp="26/11/21,22:30:01+00")
    async with FaultWorld(tmp_path, message_format) as world:
        await world.start_and_settle()
        for pdu in (PLAIN_SID_START, other, make_pdu("led on"), later):
            world.deliver_pdu(pdu)
            await world.advance(3)
        assert world.executed == ["led on"] * 4


KILL_POINTS = {
    "before the commit": (r"AT\+CMGR=.*", "before a commit"),
    "in the commit": (r"AT\+CMGR=.*", "in a commit"),
    "after the commit": (r"AT\+CMGR=.*", "after a commit"),
    "before the delete": (r"AT\+CMGR=.*", "before a write"),
    "after the delete": (r"AT\+CMGR=.*", "after a write"),
}
"""The last command that the module has received, and the next step of the agent."""


@pytest.mark.deviation(
    "A Command is executed at most once unless the handler is `repeatable`; an interrupted run is answered"
    " `ERR interrupted` and not repeated. It counts as interrupted from the commit that stores it as running."
)
@pytest.mark.parametrize("point", KILL_POINTS)
@pytest.mark.parametrize("word", ["led", "again"], ids=["once", "repeatable"])
async def test_f29_kill_between_read_and_delete(tmp_path, message_format, point, word):
    """Nothing is deleted before it is committed, nothing is lost, and nothing runs twice unflagged."""
    command, moment = KILL_POINTS[point]
    async with FaultWorld(tmp_path, message_format) as world:
        world.plans = {f"{word} 1": HandlerPlan([(5, "ok")])}
        await world.start_and_settle()

        def kill(reached, agent_run):
            if reached == moment and re.fullmatch(command, world.interceptor.last_command):
                world.on_kill_point = lambda point, agent_run: None
                agent_run.kill(point)

        world.on_kill_point = kill
        world.deliver_pdu(make_pdu(f"{SID} {word} 1"))
        await world.advance(3)
        assert not world.current_run.is_alive
        started_before = len(world.handler_runs)
        assert started_before == (point.endswith("the delete"))
        await world.start_and_settle(60)
        attempts = [run.attempt for run in world.handler_runs[started_before:]]
        if point == "before the commit":
            assert attempts == [1]
        else:
            assert attempts == ([2] if word == "again" else [])
        assert world.sent_bodies == [f"did {word} 1" if attempts else "ERR interrupted"]
        assert world.stored_indices() == []


@pytest.mark.parametrize(("word", "runs"), [("led", 1), ("again", 2)], ids=["once", "repeatable"])
async def test_f29_kill_during_a_handler(tmp_path, message_format, word, runs):
    """The handler is not started again, or it is repeatable and gets attempt number 2."""
    async with FaultWorld(tmp_path, message_format) as world:
        world.plans = {f"{word} 1": HandlerPlan([(5, "ok")])}
        await world.start_and_settle()
        world.deliver_pdu(make_pdu(f"{SID} {word} 1"))
        await world.advance(3)
        world.current_run.kill("SIGKILL")
        await world.start_and_settle(60)
        assert [run.attempt for run in world.handler_runs] == list(range(1, runs + 1))
        assert world.sent_bodies == ["ERR interrupted" if runs == 1 else "did again 1"]


@pytest.mark.parametrize("when", ["before", "after"])
async def test_f29_kill_around_the_commit_of_a_result(tmp_path, message_format, when):
    """The result is committed with the reply. Before that the Command counts as interrupted.

    After it the body may have left, so the reply is not sent again.
    """
    async with FaultWorld(tmp_path, message_format) as world:
        await world.start_and_settle()

        def kill(reached, agent_run):
            if (
                world.handler_runs
                and world.loop.time() > world.handler_runs[0].started_at + 0.1
                and reached == f"{when} a commit"
            ):
                world.on_kill_point = lambda point, agent_run: None
                agent_run.kill(reached)

        world.on_kill_point = kill
        world.deliver_pdu(PLAIN_SID_START)
        await world.advance(3)
        assert not world.current_run.is_alive
        await world.start_and_settle(60)
        assert world.executed == ["led on"]
        if when == "before":
            assert world.sent_bodies == ["ERR interrupted"]
        else:
            assert world.sent_bodies == []
            assert world.query_journal("SELECT state FROM replies") == [("unknown",)]


async def test_f29_kill_while_the_prompt_is_late(tmp_path, message_format):
    """The body has not left, and the journal knows it: the next agent sends the reply."""
    async with FaultWorld(tmp_path, message_format) as world:
        await world.start_and_settle()
        world.interceptor.answer(r"AT\+CMGS=.*", b"")
        world.deliver_pdu(PLAIN_SID_START)
        await world.advance(3)
        assert world.sent_bodies == []
        world.current_run.kill("SIGKILL")
        await world.start_and_settle(60)
        assert world.executed == ["led on"]
        assert world.sent_bodies == ["did led on"]


@pytest.mark.parametrize("order", [(1, 2), (2, 1), (2, 1, 1), (2, 2, 1), (1, 1, 2)], ids=repr)
@pytest.mark.parametrize("restart", ["no restart", "restart", "kill"])
async def test_f17_parts_in_any_order(tmp_path, message_format, order, restart):
    """A message of 260 characters is executed once; parts survive a restart, duplicate parts are harmless."""
    async with FaultWorld(tmp_path, message_format) as world:
        await world.start_and_settle()
        for number in order:
            world.deliver_pdu({1: CONCAT8_1, 2: CONCAT8_2}[number])
            await world.advance(10)
            assert world.stored_indices() == []
            if restart == "restart":
                await world.current_run.stop()
                await world.start_and_settle()
            elif restart == "kill":
                world.current_run.kill("SIGKILL")
                await world.start_and_settle()
        assert world.executed == [WHOLE]
        assert world.query_journal("SELECT count(*) FROM parts") == [(0,)]


@pytest.mark.long
@pytest.mark.parametrize("message_format", ["pdu"])
async def test_f17_incomplete_message_is_given_up_after_a_day(tmp_path, message_format):
    """Its part is kept in the journal, its slot is freed at once, and there are few log lines."""
    async with FaultWorld(tmp_path, message_format) as world:
        await world.start_and_settle()
        world.deliver_pdu(CONCAT8_1)
        await world.advance(10)
        assert world.stored_indices() == []
        assert world.query_journal("SELECT count(*) FROM ignored") == [(0,)]
        await world.advance(49 * HOUR)
        assert world.executed == []
        assert world.sent_bodies == []
        assert world.query_journal("SELECT count(*) FROM parts") == [(0,)]
        assert len(world.query_journal("SELECT raw FROM ignored")) == 1
        assert len([line for line in world.log_lines() if "part" in line]) <= 2
        world.deliver_pdu(make_pdu("led 2", timestamp="26/11/24,12:00:00+00"))
        await world.advance(10)
        assert world.executed == ["led 2"]
