"""Handlers that are slow, hang, fail, or answer while more messages come."""

from pathlib import Path

import pytest

from agent.handlers.api import Command
from agent.handlers.registry import load_registry
from agent.handlers.runner import ProcessRunner
from fault.catalogue import PLAIN_SID_START
from fault.fault_world import FaultWorld, make_pdu
from soak.world import HandlerPlan

READY = b"\r\nRDY\r\n\r\n+CFUN: 1\r\n\r\n+CPIN: READY\r\n\r\nCall Ready\r\n\r\nSMS Ready\r\n"


@pytest.mark.parametrize("result", ["sent", "late"])
async def test_f33_an_answer_while_more_arrive(tmp_path, message_format, result):
    """Messages 2 to 7 come while the answer to the first is on its way: all are handled and answered."""
    async with FaultWorld(tmp_path, message_format) as scene:
        await scene.start_and_settle()
        if result == "late":
            scene.module.faults.add("late:command=+CMGS,seconds=3")
        scene.plans = {f"pump {number}": HandlerPlan([(0.1 * number, "ok")]) for number in range(2, 8)}
        scene.deliver_pdu(PLAIN_SID_START)
        for number in range(2, 8):
            scene.call_later(0.2 + number * 0.02, scene.deliver_pdu, make_pdu(f"pump {number}"))
        await scene.advance(60)
        texts = ["led on", *(f"pump {number}" for number in range(2, 8))]
        assert scene.executed == texts
        assert scene.sent_bodies == [f"did {text}" for text in texts]
        assert [state for state, _ in scene.replies] == ["sent"] * 7


async def test_f36_a_slow_handler_stops_nobody(tmp_path, message_format):
    """Ten minutes of sleep, five more messages and a restart of the module: all five are stored at once."""
    tables = {"handlers": {"timeout_s": 900}}
    async with FaultWorld(tmp_path, message_format, tables=tables) as scene:
        scene.plans = {"led on": HandlerPlan([(600, "ok")])}
        await scene.start_and_settle(100)
        scene.deliver_pdu(PLAIN_SID_START)
        await scene.advance(5)
        texts = ["led 1", "led 2", "pump 3", "again 4", "anything 5"]
        for number, text in enumerate(texts):
            scene.deliver_pdu(make_pdu(text))
            await scene.advance(1)
            if number == 2:
                scene.module.reboot(print_boot_lines=False)
                scene.interceptor.send_to_agent(READY)
        await scene.advance(30)
        assert scene.stored_indices() == scene.stored_indices("SM") == []
        assert len(scene.query_journal("SELECT id FROM commands")) == 6
        assert sorted(scene.executed) == ["again 4", "anything 5", "led on", "pump 3"]
        await scene.advance(700)
        assert scene.executed[-2:] == ["led 1", "led 2"]
        assert len(scene.sent_bodies) == 6


async def test_f36_a_handler_that_hangs_is_ended(tmp_path, message_format):
    """At its time limit, answered honestly, and the next Command of the same handler runs."""
    async with FaultWorld(tmp_path, message_format, tables={"handlers": {"timeout_s": 20}}) as scene:
        scene.plans = {"led on": HandlerPlan([(600, "hang")])}
        await scene.start_and_settle()
        scene.deliver_pdu(PLAIN_SID_START)
        scene.deliver_pdu(make_pdu("led 2"))
        await scene.advance(60)
        assert scene.executed == ["led on", "led 2"]
        assert scene.sent_bodies == ["ERR timed out", "did led 2"]


HOLDS = pytest.mark.deviation(
    "The design holds: only a `repeatable` handler runs again, when it asks for a later attempt; a failure is"
    " answered `ERR failed` and not repeated."
)


@HOLDS
@pytest.mark.parametrize("fails", ["fail", "hang", "kill"])
async def test_f37_a_handler_that_fails(tmp_path, message_format, fails):
    """One attempt, one error answer, kept as failed; the slot is free at once, others are unaffected."""
    async with FaultWorld(tmp_path, message_format, tables={"handlers": {"timeout_s": 20}}) as scene:
        scene.plans = {"led on": HandlerPlan([(1, fails)])}
        await scene.start_and_settle()
        scene.deliver_pdu(PLAIN_SID_START)
        scene.deliver_pdu(make_pdu("pump 2"))
        await scene.advance(3)
        assert scene.stored_indices() == []
        if fails == "kill":
            await scene.start_and_settle(3)
        await scene.advance(3600)
        assert scene.executed.count("led on") == 1
        assert scene.executed.count("pump 2") == 1
        errors = {"fail": "ERR failed", "hang": "ERR timed out", "kill": "ERR interrupted"}
        assert sorted(scene.sent_bodies) == [errors[fails], "did pump 2"]
        assert scene.query_journal("SELECT state FROM commands WHERE body = 'led on'") == [("failed",)]


@HOLDS
@pytest.mark.parametrize("works", [True, False], ids=["then it works", "never"])
async def test_f37_a_repeatable_handler_asks_for_later(tmp_path, message_format, works):
    """Attempts 1 and 2 ask for another one, with waits that grow; the third works, or it is given up."""
    async with FaultWorld(tmp_path, message_format) as scene:
        scene.plans = {"again 1": HandlerPlan([(1, "later"), (1, "later"), (1, "ok" if works else "later")])}
        await scene.start_and_settle()
        scene.deliver_pdu(make_pdu("again 1"))
        scene.deliver_pdu(make_pdu("led 2"))
        await scene.advance(2)
        assert scene.stored_indices() == []
        await scene.advance(3600)
        runs = [run for run in scene.handler_runs if run.content == "again 1"]
        assert [run.attempt for run in runs] == [1, 2, 3]
        assert runs[2].started_at - runs[1].started_at > 2 * (runs[1].started_at - runs[0].started_at)
        assert sorted(scene.sent_bodies) == ["did again 1" if works else "ERR failed", "did led 2"]


SLEEPER = """#!/bin/sh
echo $$ > "{folder}/pid"
sleep 600 &
echo $! > "{folder}/child"
wait
"""


@pytest.mark.real_time
async def test_f36_what_a_hanging_handler_started_ends_with_it(tmp_path_factory):
    """Real processes: at the time limit the whole group is gone, and the runner takes the next Command."""
    folder = tmp_path_factory.mktemp("handlers")
    script(folder / "handlers", "sleeper", SLEEPER.format(folder=folder))
    script(folder / "handlers", "quick", "#!/bin/sh\necho done\n")
    hung, quick = await run_both(folder / "handlers", "sleeper", "quick", 1.0)
    assert (type(hung).__name__, quick.reply) == ("TimedOut", "done")
    for name in ("pid", "child"):
        assert not alive(int((folder / name).read_text()))


ENDS = {"exit 1": "exit 1", "killed": "kill -9 $$", "not found": "exec /no/such/program"}


@HOLDS
@pytest.mark.real_time
@pytest.mark.parametrize("ends", ENDS.values(), ids=ENDS)
async def test_f37_every_way_to_fail(tmp_path_factory, ends):
    """Real processes: exit status, signal, a program that is not there; the next one works."""
    folder = tmp_path_factory.mktemp("handlers")
    script(folder, "bad", f"#!/bin/sh\n{ends}\n")
    script(folder, "quick", "#!/bin/sh\necho done\n")
    failed, quick = await run_both(folder, "bad", "quick", 10.0)
    assert (type(failed).__name__, quick.reply) == ("Failed", "done")


async def run_both(directory, first, second, limit):
    """Their outcomes, one after the other, in one runner."""
    runner = ProcessRunner(lambda step: None)
    try:
        catalogue = await load_registry(directory, runner)
        outcomes = []
        for word, seconds in ((first, limit), (second, 10.0)):
            command = Command.of(word)
            outcomes.append(await runner.run(catalogue.match(command), command, seconds))
        return outcomes
    finally:
        await runner.close()


def script(directory, name, text):
    """An executable handler."""
    directory.mkdir(exist_ok=True)
    (directory / name).write_text(text)
    (directory / name).chmod(0o755)


def alive(number):
    """Whether a process is there and more than a name that nobody has asked for yet."""
    try:
        return Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
