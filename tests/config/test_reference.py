"""config/REFERENCE.md describes every command, exit status, key and log event, as they are now."""

from __future__ import annotations

import importlib.util
import inspect
import itertools
import re
import subprocess
import sys
from pathlib import Path

import pytest

from agent.common.events import EventKind
from agent.installation.descriptions import (
    read_description,
    read_events,
    read_exit_statuses,
)


@pytest.fixture(scope="module")
def program():
    """The module write_reference, which writes the page."""
    spec = importlib.util.spec_from_file_location(
        "write_reference", Path(__file__).with_name("write_reference.py")
    )
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_reference_is_up_to_date():
    """If it is not, run `make reference`.

    In a process of its own: click keeps the help option of a command that another test has used.
    """
    command = (sys.executable, Path(__file__).with_name("write_reference.py"), "--check")
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_log_events_are_described(program):
    """The docstring below each EventKind says what it means and, of a warning or an error, what to do."""
    events, severities = list(read_events()), program.read_severities()
    assert [event.kind for event in events] == list(EventKind)
    assert [event.kind for event in events if not event.meaning] == []
    serious = {name for name, found in severities.items() if found & {"WARNING", "ERROR"}}
    assert [event.kind for event in events if event.kind.name in serious and not event.to_do] == []


def test_exit_statuses_are_described(program):
    """Each status in the files of a command (run.py, run_agent.py) is in the help text of a command there."""
    used, described = {}, {}
    for context in program.list_commands():
        module = inspect.unwrap(context.command.callback).__module__
        files = Path(inspect.getfile(program.group.callback)).parent.glob(f"{module.rpartition('.')[2]}*.py")
        own = [re.findall(r"^EXIT_[A-Z_]+ = (\d+)$", file.read_text(), re.MULTILINE) for file in files]
        used[module] = set(map(int, itertools.chain(*own)))
        described.setdefault(module, set()).update(read_exit_statuses(context.command))
        assert not re.search(r"Exit status \d", read_description(context.command)), "not in its paragraph"
    assert {name for name, statuses in used.items() if statuses - described[name]} == set()
    assert (used["agent.cli.doctor"], used["agent.cli.run"]) == ({3}, {3})
