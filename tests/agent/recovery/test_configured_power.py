"""The program of `power = "command"` in a real process: each way in which it can fail, and its log lines."""

import os

import pytest

from agent.common.config import RecoveryConfig
from agent.handlers.runner import ProcessRunner
from agent.recovery.configured_power import make_configured_power
from hardware.power import PowerUnavailable
from hardware.profile import DriverProfile


@pytest.fixture
async def runner():
    events = []
    runner = ProcessRunner(events.append)
    runner.lines = events
    yield runner
    await runner.close()


def write_program(tmp_path, script, mode=0o755):
    path = tmp_path / "switch"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(mode)
    return path


def make_switch(tmp_path, words, runner, **options):
    config = RecoveryConfig(power="command", power_command=tuple(map(str, words)), **options)
    return make_configured_power(config, lambda: None, tmp_path / "journal.db", runner.run_program)


async def test_program_gets_its_arguments_and_one_more(tmp_path, runner):
    """Its standard error is logged; its output is not used. It has no environment of a Command."""
    program = write_program(tmp_path, 'echo "$@" > "$0.called"; echo switching >&2; echo done')
    await make_switch(tmp_path, [program, "1-1", "two words"], runner).power_on(DriverProfile())
    assert (tmp_path / "switch.called").read_text() == "1-1 two words on\n"
    assert [str(event) for event in runner.lines] == ["handler: switch: switching"]


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("exit 1", "exit status 1"),
        ("kill -9 $$", "killed by SIGKILL"),
        ("sleep 60", "it was killed after 0.3 s"),
        ("head -c 1000000 /dev/zero | tr '\\0' x; head -c 1000000 /dev/zero >&2; exit 7", "exit status 7"),
        ('rm "$0"; exit 3', "exit status 3"),
    ],
)
async def test_failure_of_the_program_is_one_sentence(tmp_path, runner, script, reason):
    """It fails, hangs, or prints a megabyte to both outputs."""
    program = write_program(tmp_path, script)
    drives = {
        "power_command_drives": "power-key",
        "power_command_timeout_s": 0.3 if "sleep" in script else 20,
    }
    switch = make_switch(tmp_path, [program], runner, **drives)
    with pytest.raises(PowerUnavailable) as caught:
        await switch.power_on(DriverProfile())
    assert str(caught.value) == f"{program} press 1: {reason}"


async def test_program_that_has_gone_is_a_failure(tmp_path, runner):
    """It was there when the agent started."""
    program = write_program(tmp_path, "exit 0")
    switch = make_switch(tmp_path, [program], runner, power_command_drives="power-key")
    program.unlink()
    with pytest.raises(PowerUnavailable, match="cannot be started: No such file or directory"):
        await switch.power_on(DriverProfile())


@pytest.mark.parametrize(
    ("make", "problem"),
    [
        (lambda path: None, "cannot be run: No such file or directory"),
        (lambda path: path.mkdir(), "is not a program but a folder"),
        (os.mkfifo, "is not a program but a special file"),
        (lambda path: write_program(path.parent, "", 0o644), "cannot be executed by this user: chmod +x it"),
        (
            lambda path: write_program(path.parent, "", 0o777),
            "can be written by others (mode 0777): chmod go-w it",
        ),
    ],
)
async def test_program_that_cannot_be_run_is_found_at_the_start(tmp_path, runner, make, problem):
    """The sentence has the key, the path and the remedy."""
    path = tmp_path / "switch"
    make(path)
    with pytest.raises(PowerUnavailable) as caught:
        make_switch(tmp_path, [path], runner)
    assert str(caught.value) == f"recovery.power_command: {path} {problem}"
