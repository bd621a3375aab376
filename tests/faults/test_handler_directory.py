"""F133: one bad handler file leaves the others and the agent working."""

import os
import shutil

import pytest
from click.testing import CliRunner

from agent.cli.commands import group
from agent.handlers.api import Command
from agent.handlers.registry import load_registry
from agent.handlers.results import HandlerLoadError
from agent.handlers.runner import ProcessRunner
from fault.catalogue import PLAIN_SID_START
from fault.fault_world import FaultWorld, make_pdu
from soak.simulated_runner import SimulatedRunner

HEAD = "from agent import handler\n"
GOOD_FILE = HEAD + '@handler("temp")\ndef temp(c): return "21"\n'
CONFIG = """
[modem]
port = "/dev/nowhere"
[service]
name = "super-sim"
[handlers]
directory = "handlers"
[journal]
path = "journal.db"
allow_volatile = true
[control]
socket = "control.sock"
"""


@pytest.fixture
def handler_directory(tmp_path_factory):
    """A folder with agent.toml, and a directory with a good executable and a good Python file."""
    folder = tmp_path_factory.mktemp("device")
    (folder / "agent.toml").write_text(CONFIG)
    directory = folder / "handlers"
    directory.mkdir(mode=0o755)
    write(directory / "led", "#!/bin/sh\necho led\n", 0o755)
    write(directory / "temp.py", GOOD_FILE)
    return directory


def write(path, text, mode=0o644):
    """Write a file with this mode."""
    path.write_text(text)
    path.chmod(mode)


def make_directory_of_another_user(directory, name):
    write(directory / name, "#!/bin/sh\n", 0o755)
    os.chown(directory / name, 4711, 4711)


AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file to another user")
BAD_FILES = {
    "executable of another user": pytest.param(
        lambda directory: make_directory_of_another_user(directory, "bad"), "bad", marks=AS_ROOT
    ),
    "Python file of another user": pytest.param(
        lambda directory: make_directory_of_another_user(directory, "bad.py"), "bad.py", marks=AS_ROOT
    ),
    "writable executable": (lambda directory: write(directory / "bad", "#!/bin/sh\n", 0o777), "bad"),
    "writable Python file": (lambda directory: write(directory / "bad.py", GOOD_FILE, 0o666), "bad.py"),
    "syntax": (lambda directory: write(directory / "bad.py", "def f(:\n"), "bad.py"),
    "missing import": (lambda directory: write(directory / "bad.py", "import no_such_module\n"), "bad.py"),
    "exits": (lambda directory: write(directory / "bad.py", "import os\nos._exit(1)\n"), "bad.py"),
    "octets": (lambda directory: (directory / "bad.py").write_bytes(b"\0\xff\xfe"), "bad.py"),
    "imports a writable file": (
        lambda directory: (
            write(directory / "_shared.py", "x = 1\n", 0o666),
            write(directory / "bad.py", HEAD + "import _shared\n"),
        ),
        "bad.py",
    ),
    "imports a package with a writable file": (
        lambda directory: (
            (directory / "_shared").mkdir(0o755),
            write(directory / "_shared" / "__init__.py", ""),
            write(directory / "_shared" / "table.py", "x = 1\n", 0o666),
            write(directory / "bad.py", HEAD + "from _shared import table\n"),
        ),
        "bad.py",
    ),
    "imports from a writable folder": (
        lambda directory: (
            (directory / "_shared").mkdir(),
            (directory / "_shared").chmod(0o777),
            write(directory / "bad.py", HEAD + "import _shared\n"),
        ),
        "bad.py",
    ),
    "invalid option": (
        lambda directory: write(
            directory / "bad.py", HEAD + '@handler("bad", timeout_s=0)\ndef bad(c): return "bad"\n'
        ),
        "bad.py:bad",
    ),
    "invalid options file": (
        lambda directory: (
            write(directory / "bad", "#!/bin/sh\n", 0o755),
            write(directory / "bad.toml", "retries = 5\n"),
        ),
        "bad",
    ),
    "action that cannot run": (
        lambda directory: (
            write(directory / "bad", "#!/bin/sh\n", 0o755),
            write(directory / "bad.then", "#!/bin/sh\n", 0o644),
        ),
        "bad",
    ),
    "dangling link": (lambda directory: (directory / "bad").symlink_to("/nowhere/bad"), "bad"),
    "impossible name": (lambda directory: write(directory / "b=ad", "#!/bin/sh\n", 0o755), "b=ad"),
    "two for one word": (
        lambda directory: (
            write(directory / "bad", "#!/bin/sh\n", 0o755),
            write(directory / "BAD", "#!/bin/sh\n", 0o755),
        ),
        "bad",
    ),
}


@pytest.mark.real_time
async def test_f133_import_of_a_package_in_the_handler_directory(handler_directory):
    """Its files are found, and the lock file of an editor in it does no harm."""
    (handler_directory / "_shared").mkdir(0o755)
    write(handler_directory / "_shared" / "table.py", "answer = 'good'\n")
    (handler_directory / "_shared" / ".#table.py").symlink_to("user@host.1")
    text = HEAD + "from _shared import table\n@handler('good')\ndef good(c): return table.answer\n"
    write(handler_directory / "good.py", text)
    runner = ProcessRunner(lambda event: None)
    try:
        registry = await load_registry(handler_directory, runner)
        assert not registry.unusable
        command = Command.of("good")
        assert (await runner.run(registry.match(command), command, 20)).reply == "good"
    finally:
        await runner.close()


@pytest.mark.real_time
@pytest.mark.parametrize(("spoil", "name"), BAD_FILES.values(), ids=BAD_FILES)
async def test_f133_bad_handler_file_leaves_the_others_working(handler_directory, spoil, name):
    """The good handlers run. The bad one is named with a remedy, and its word goes to no other handler."""
    write(handler_directory / "other.py", HEAD + "@handler(default=True)\ndef other(c): return 'other'\n")
    spoil(handler_directory)
    runner = ProcessRunner(lambda event: None)
    try:
        registry = await load_registry(handler_directory, runner)
        assert name in registry.unusable
        assert all(str(handler_directory) in error for error in registry.unusable[name])
        assert {"led", "temp"} <= set(registry.trigger_names)
        assert "bad" not in registry.trigger_names
        for word, reply in (("led", "led"), ("temp", "21"), ("anything", "other")):
            command = Command.of(word)
            assert (await runner.run(registry.match(command), command, 20)).reply == reply
        if name in ("bad", "bad.py:bad"):
            assert registry.match(Command.of("bad")).error
    finally:
        await runner.close()


@pytest.mark.real_time
def test_f133_config_check_reports_the_bad_file(handler_directory):
    """Exit status 2 with a bad file, and 0 after it was mended."""
    write(handler_directory / "bad.py", "import no_such_module\n")
    write(handler_directory / "led", "#!/bin/sh\n", 0o777)
    result = check_config(handler_directory)
    assert result.exit_code == 2
    assert "bad.py line 1: ModuleNotFoundError: No module named 'no_such_module'" in result.stderr
    assert "led can be written by others (mode 0777): chmod go-w it" in result.stderr
    write(handler_directory / "bad.py", HEAD + '@handler("bad")\ndef bad(c): return "good"\n')
    write(handler_directory / "led", "#!/bin/sh\n", 0o755)
    result = check_config(handler_directory)
    assert result.exit_code == 0
    assert "modem-agent: " not in result.stderr
    assert "handlers bad, help, led, ping, status, temp" in result.stdout


def check_config(handler_directory):
    """Run `modem-agent config check`."""
    config = handler_directory.parent / "agent.toml"
    return CliRunner().invoke(group, ["config", "check", "--config", str(config)])


class RunnerWithBadFile(SimulatedRunner):
    """A runner that cannot load the file bad.py unless it is empty."""

    async def load(self, file):
        if file.name != "bad.py":
            return await super().load(file)
        if file.stat().st_size:
            raise HandlerLoadError(f"{file} line 1: invalid syntax")
        return []


async def test_f133_agent_runs_without_the_bad_handler(tmp_path, message_format):
    """Other Commands are executed; the bad handler's are answered with an error.

    Log, `status` and the replies of `status` and `help` name it. After it was mended and the agent restarted
    it works.
    """
    async with FaultWorld(tmp_path, message_format, default_handler=False) as world:
        world.make_runner = lambda agent_run: RunnerWithBadFile(world, agent_run)
        (world.handler_directory / "pump").chmod(0o777)
        (world.handler_directory / "bad.py").write_text("syntax error\n")
        await world.start_and_settle()
        lines = [line for line in world.log_lines(30) if line.startswith("handler unusable")]
        assert len(lines) == 2
        assert (
            f"{world.handler_directory / 'pump'} can be written by others (mode 0777): chmod go-w" in lines[0]
        )
        assert f"{world.handler_directory / 'bad.py'} line 1: invalid syntax" in lines[1]
        status = await world.control_api.get_status({})
        assert [line.removeprefix("handler unusable: ") for line in lines] == status["handler_errors"]
        world.deliver_pdu(PLAIN_SID_START)
        for text in ("pump 1", "valve 1", "help", "status"):
            world.deliver_pdu(make_pdu(text))
        await world.advance(60)
        assert world.executed == ["led on"]
        bodies = world.sent_bodies
        assert {"did led on", "ERR unusable pump", "ERR unknown valve"} <= set(bodies)
        suffix = "; not usable: pump, bad.py"
        assert [body.endswith(suffix) for body in bodies].count(True) == 2
        assert world.query_journal("SELECT state FROM commands WHERE body = 'pump 1'") == [("failed",)]
        reasons = world.query_journal("SELECT reason FROM commands WHERE body = 'valve 1'")
        assert reasons == [("no handler; not usable: bad.py",)]
        (world.handler_directory / "pump").chmod(0o755)
        (world.handler_directory / "bad.py").write_text("")
        await world.current_run.stop()
        await world.start_and_settle()
        assert (await world.control_api.get_status({}))["handler_errors"] == []
        world.deliver_pdu(make_pdu("pump 2"))
        await world.advance(30)
        assert world.executed == ["led on", "pump 2"]
        assert world.sent_bodies[-1] == "did pump 2"


async def test_f133_directory_that_others_can_write_is_not_used(tmp_path, message_format):
    """Others could put any file into it: the agent runs with its built-in handlers and says why."""
    async with FaultWorld(tmp_path, message_format, default_handler=False) as world:
        world.handler_directory.chmod(0o777)
        await world.start_and_settle()
        world.deliver_pdu(PLAIN_SID_START)
        world.deliver_pdu(make_pdu("ping"))
        await world.advance(30)
        assert world.executed == []
        assert sorted(world.sent_bodies) == ["ERR unknown led", "pong"]
        assert any(line.startswith("handler unusable") for line in world.log_lines(30))


def test_f133_missing_directory_is_a_configuration_error(handler_directory):
    """A directory that does not exist is a wrong setting: exit status 2."""
    shutil.rmtree(handler_directory)
    assert check_config(handler_directory).exit_code == 2
