"""F33 F36 F37: handlers that are slow, hang, fail, or reply while more messages arrive."""

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
async def test_f33_messages_arrive_while_a_reply_is_sent(tmp_path, message_format, result):
    """All are executed and answered in order."""
    async with FaultWorld(tmp_path, message_format) as world:
        await world.start_and_settle()
        if result == "late":
            world.module.faults.add("late:command=+CMGS,seconds=3")
        world.plans = {f"pump {number}": HandlerPlan([(0.1 * number, "ok")]) for number in range(2, 8)}
        world.deliver_pdu(PLAIN_SID_START)
        for number in range(2, 8):
            world.call_later(0.2 + number * 0.02, world.deliver_pdu, make_pdu(f"pump {number}"))
        await world.advance(60)
        texts = ["led on", *(f"pump {number}" for number in range(2, 8))]
        assert world.executed == texts
        assert world.sent_bodies == [f"did {text}" for text in texts]
        assert [state for state, _ in world.replies] == ["sent"] * 7


async def test_f36_slow_handler_does_not_block_reception(tmp_path, message_format):
    """During ten minutes of a handler and a restart of the module, five messages are stored at once."""
    tables = {"handlers": {"timeout_s": 900}}
    async with FaultWorld(tmp_path, message_format, tables=tables) as world:
        world.plans = {"led on": HandlerPlan([(600, "ok")])}
        await world.start_and_settle(100)
        world.deliver_pdu(PLAIN_SID_START)
        await world.advance(5)
        texts = ["led 1", "led 2", "pump 3", "again 4", "anything 5"]
        for number, text in enumerate(texts):
            world.deliver_pdu(make_pdu(text))
            await world.advance(1)
            if number == 2:
                world.module.reboot(print_boot_lines=False)
                world.interceptor.send_to_agent(READY)
        await world.advance(30)
        assert world.stored_indices() == world.stored_indices("SM") == []
        assert len(world.query_journal("SELECT id FROM commands")) == 6
        assert sorted(world.executed) == ["again 4", "anything 5", "led on", "pump 3"]
        await world.advance(700)
        assert world.executed[-2:] == ["led 1", "led 2"]
        assert len(world.sent_bodies) == 6


async def test_f36_hanging_handler_is_killed_at_its_timeout(tmp_path, message_format):
    """The reply is `ERR timed out`, and the next Command of the same handler is executed."""
    async with FaultWorld(tmp_path, message_format, tables={"handlers": {"timeout_s": 20}}) as world:
        world.plans = {"led on": HandlerPlan([(600, "hang")])}
        await world.start_and_settle()
        world.deliver_pdu(PLAIN_SID_START)
        world.deliver_pdu(make_pdu("led 2"))
        await world.advance(60)
        assert world.executed == ["led on", "led 2"]
        assert world.sent_bodies == ["ERR timed out", "did led 2"]


NO_REPETITION = pytest.mark.deviation(
    "Only a `repeatable` handler runs again, when it asks for a retry; a failure is answered `ERR failed` and"
    " not repeated."
)


@NO_REPETITION
@pytest.mark.parametrize("failure", ["fail", "hang", "kill"])
async def test_f37_failing_handler_is_answered_once(tmp_path, message_format, failure):
    """One attempt, one error reply, and other Commands are not affected."""
    async with FaultWorld(tmp_path, message_format, tables={"handlers": {"timeout_s": 20}}) as world:
        world.plans = {"led on": HandlerPlan([(1, failure)])}
        await world.start_and_settle()
        world.deliver_pdu(PLAIN_SID_START)
        world.deliver_pdu(make_pdu("pump 2"))
        await world.advance(3)
        assert world.stored_indices() == []
        if failure == "kill":
            await world.start_and_settle(3)
        await world.advance(3600)
        assert world.executed.count("led on") == 1
        assert world.executed.count("pump 2") == 1
        errors = {"fail": "ERR failed", "hang": "ERR timed out", "kill": "ERR interrupted"}
        assert sorted(world.sent_bodies) == [errors[failure], "did pump 2"]
        assert world.query_journal("SELECT state FROM commands WHERE body = 'led on'") == [("failed",)]


@NO_REPETITION
@pytest.mark.parametrize("succeeds", [True, False], ids=["third attempt succeeds", "never"])
async def test_f37_repeatable_handler_is_retried_with_backoff(tmp_path, message_format, succeeds):
    """Attempts 1 and 2 ask for a retry. The third one succeeds, or the Command fails."""
    async with FaultWorld(tmp_path, message_format) as world:
        world.plans = {
            "again 1": HandlerPlan([(1, "later"), (1, "later"), (1, "ok" if succeeds else "later")])
        }
        await world.start_and_settle()
        world.deliver_pdu(make_pdu("again 1"))
        world.deliver_pdu(make_pdu("led 2"))
        await world.advance(2)
        assert world.stored_indices() == []
        await world.advance(3600)
        runs = [run for run in world.handler_runs if run.content == "again 1"]
        assert [run.attempt for run in runs] == [1, 2, 3]
        assert runs[2].started_at - runs[1].started_at > 2 * (runs[1].started_at - runs[0].started_at)
        assert sorted(world.sent_bodies) == ["did again 1" if succeeds else "ERR failed", "did led 2"]


SLEEPING_HANDLER = """#!/bin/sh
echo $$ > "{folder}/pid"
sleep 600 &
echo $! > "{folder}/child"
wait
"""


@pytest.mark.real_time
async def test_f36_process_group_of_a_hanging_handler_is_killed(tmp_path_factory):
    """At the timeout of a real handler all its processes end, and the runner executes the next Command."""
    folder = tmp_path_factory.mktemp("handlers")
    write_handler(folder / "handlers", "sleeper", SLEEPING_HANDLER.format(folder=folder))
    write_handler(folder / "handlers", "quick", "#!/bin/sh\necho done\n")
    hung, quick = await run_both(folder / "handlers", "sleeper", "quick", 1.0)
    assert (type(hung).__name__, quick.reply) == ("TimedOut", "done")
    for name in ("pid", "child"):
        assert not is_alive(int((folder / name).read_text()))


FAILING_COMMANDS = {"exit 1": "exit 1", "killed": "kill -9 $$", "not found": "exec /no/such/program"}


@NO_REPETITION
@pytest.mark.real_time
@pytest.mark.parametrize("command", FAILING_COMMANDS.values(), ids=FAILING_COMMANDS)
async def test_f37_every_failure_of_a_process_is_reported(tmp_path_factory, command):
    """Exit status, signal, or missing program: the result is Failed, and the next Command is executed."""
    folder = tmp_path_factory.mktemp("handlers")
    write_handler(folder, "bad", f"#!/bin/sh\n{command}\n")
    write_handler(folder, "quick", "#!/bin/sh\necho done\n")
    failed, quick = await run_both(folder, "bad", "quick", 10.0)
    assert (type(failed).__name__, quick.reply) == ("Failed", "done")


async def run_both(directory, first, second, limit):
    """Run two Commands one after the other in one runner, and return their results."""
    runner = ProcessRunner(lambda event: None)
    try:
        registry = await load_registry(directory, runner)
        results = []
        for word, seconds in ((first, limit), (second, 10.0)):
            command = Command.of(word)
            results.append(await runner.run(registry.match(command), command, seconds))
        return results
    finally:
        await runner.close()


def write_handler(directory, name, text):
    """Write an executable handler."""
    directory.mkdir(exist_ok=True)
    (directory / name).write_text(text)
    (directory / name).chmod(0o755)


def is_alive(pid):
    """Return True if the process exists and is not a zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
