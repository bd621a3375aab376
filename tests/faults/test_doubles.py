"""The same message again, parts of one message, and what is left when the agent is killed in between."""

import re

import pytest

from fault.catalogue import CONCAT8_1, CONCAT8_2, PLAIN_SID_START, SID
from fault.scene import Scene, message
from soak.world import Plan

WHOLE = "A" * 100 + "B" * 100 + "C" * 60
HOUR = 3600


@pytest.mark.parametrize("sid", [True, False], ids=["with a SID", "without a SID"])
async def test_f28_the_network_delivers_again(tmp_path, mode, sid):
    """At once, after 30 s, 10 min, a restart, 23 h and 47 h, each at another index: carried out once."""
    again = PLAIN_SID_START if sid else message("led on")
    async with Scene(tmp_path, mode) as scene:
        await scene.begin()
        slots = iter(range(1, 20))
        for wait in (0, 30, 600, "restart", 23 * HOUR, 24 * HOUR):
            if wait == "restart":
                scene.life.kill("SIGKILL")
                await scene.begin()
            else:
                await scene.passes(wait)
            index = next(slots)
            scene.store(index, again)
            scene.opponent.say(b'\r\n+CMTI: "ME",%d\r\n' % index)
            await scene.passes(10)
            assert scene.slots() == []
        assert scene.carried_out == ["led on"]
        assert scene.bodies == ["did led on"]
        assert scene.journal("SELECT doubles FROM commands") == [(5,)]


async def test_f28_twice_at_once(tmp_path, mode):
    """Both copies lie in the store when the agent looks, and at both stores."""
    async with Scene(tmp_path, mode) as scene:
        for index in (2, 5):
            scene.store(index, PLAIN_SID_START)
        scene.store(2, PLAIN_SID_START, store="SM")
        await scene.begin(30)
        assert scene.carried_out == ["led on"]
        assert scene.slots() == scene.slots("SM") == []


async def test_f28_another_command_at_the_same_time(tmp_path, mode):
    """The same words with another SID, or another second, are another Command."""
    other = message("DC" + "a" * 32 + " led on")
    later = message("led on", timestamp="26/11/21,22:30:01+00")
    async with Scene(tmp_path, mode) as scene:
        await scene.begin()
        for pdu in (PLAIN_SID_START, other, message("led on"), later):
            scene.arrive(pdu)
            await scene.passes(3)
        assert scene.carried_out == ["led on"] * 4


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
async def test_f29_killed_at_each_step(tmp_path, mode, point, word):
    """Nothing is deleted before it is committed; what was not begun runs once after the restart."""
    command, moment = POINTS[point]
    async with Scene(tmp_path, mode) as scene:
        await scene.begin()

        def kill(reached, life):
            if reached == moment and re.fullmatch(command, scene.opponent.command):
                scene.at_points = lambda point, life: None
                life.kill(point)

        scene.at_points = kill
        scene.arrive(message(f"{SID} {word} 1"))
        await scene.passes(3)
        assert not scene.life.alive
        await scene.begin(60)
        assert scene.carried_out == [f"{word} 1"]
        assert scene.bodies == [f"did {word} 1"]
        assert scene.slots() == []


@pytest.mark.parametrize(("word", "runs"), [("led", 1), ("again", 2)], ids=["once", "repeatable"])
async def test_f29_killed_while_it_runs(tmp_path, mode, word, runs):
    """Handler begun: never again, or again and told that it is the second attempt."""
    async with Scene(tmp_path, mode) as scene:
        scene.plans = {f"{word} 1": Plan([(5, "ok")])}
        await scene.begin()
        scene.arrive(message(f"{SID} {word} 1"))
        await scene.passes(3)
        scene.life.kill("SIGKILL")
        await scene.begin(60)
        assert [run.attempt for run in scene.runs] == list(range(1, runs + 1))
        assert scene.bodies == ["ERR interrupted" if runs == 1 else "did again 1"]


@pytest.mark.parametrize("when", ["before", "after"])
async def test_f29_killed_when_it_has_ended(tmp_path, mode, when):
    """Its result is committed with the answer: neither runs again; before that it counts as interrupted."""
    async with Scene(tmp_path, mode) as scene:
        await scene.begin()

        def kill(reached, life):
            if scene.runs and scene.loop.time() > scene.runs[0].at + 0.1 and reached == f"{when} a commit":
                scene.at_points = lambda point, life: None
                life.kill(reached)

        scene.at_points = kill
        scene.arrive(PLAIN_SID_START)
        await scene.passes(3)
        assert not scene.life.alive
        await scene.begin(60)
        assert scene.carried_out == ["led on"]
        assert scene.bodies == ["did led on" if when == "after" else "ERR interrupted"]


@pytest.mark.parametrize("order", [(1, 2), (2, 1), (2, 1, 1), (2, 2, 1), (1, 1, 2)], ids=repr)
@pytest.mark.parametrize("restart", ["no restart", "restart", "kill"])
async def test_f17_parts_in_any_order(tmp_path, mode, order, restart):
    """One message of 260 characters, once; parts outlive a restart, doubles of parts do no harm."""
    async with Scene(tmp_path, mode) as scene:
        await scene.begin()
        for number in order:
            scene.arrive({1: CONCAT8_1, 2: CONCAT8_2}[number])
            await scene.passes(10)
            assert scene.slots() == []
            if restart == "restart":
                await scene.life.stop()
                await scene.begin()
            elif restart == "kill":
                scene.life.kill("SIGKILL")
                await scene.begin()
        assert scene.carried_out == [WHOLE]
        assert scene.journal("SELECT count(*) FROM parts") == [(0,)]


@pytest.mark.parametrize("mode", ["pdu"])
async def test_f17_a_part_that_never_comes(tmp_path, mode):
    """Given up after a day and kept to be looked at; slots are free all the time; few lines in the log."""
    async with Scene(tmp_path, mode) as scene:
        await scene.begin()
        scene.arrive(CONCAT8_1)
        await scene.passes(10)
        assert scene.slots() == []
        assert scene.journal("SELECT count(*) FROM strays") == [(0,)]
        await scene.passes(49 * HOUR)
        assert scene.carried_out == []
        assert scene.bodies == []
        assert scene.journal("SELECT count(*) FROM parts") == [(0,)]
        assert len(scene.journal("SELECT raw FROM strays")) == 1
        assert len([line for line in scene.log() if "part" in line]) <= 2
        scene.arrive(message("led 2", timestamp="26/11/24,12:00:00+00"))
        await scene.passes(10)
        assert scene.carried_out == ["led 2"]
