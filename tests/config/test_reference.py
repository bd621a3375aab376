"""config/REFERENCE.md describes every command, exit status, key and log event, as they are now."""

from __future__ import annotations

import importlib.util
import inspect
import re
from pathlib import Path

import pytest

from agent.common.events import EventKind
from agent.installation.descriptions import (
    COMMON_EXIT_STATUSES,
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


def test_reference_is_up_to_date(program):
    """If it is not, run `make reference`."""
    assert program.PAGE.read_text().splitlines() == program.make_page().splitlines()


def test_log_events_are_described(program):
    """The docstring below each EventKind says what it means and, of a warning or an error, what to do."""
    events, severities = list(read_events()), program.read_severities()
    assert [event.kind for event in events] == list(EventKind)
    assert [event.kind for event in events if not event.meaning] == []
    serious = {name for name, found in severities.items() if found & {"WARNING", "ERROR"}}
    assert [event.kind for event in events if event.kind.name in serious and not event.to_do] == []


def test_exit_statuses_are_described(program):
    """Each status that the file of a command names is in the help text of a command in that file."""
    used, described = {}, {}
    for context in program.list_commands():
        callback = inspect.unwrap(context.command.callback)
        words = re.findall(r"\bEXIT_[A-Z]+\b", inspect.getsource(inspect.getmodule(callback)))
        used[callback.__module__] = {callback.__globals__[word] for word in words}
        described.setdefault(callback.__module__, set()).update(read_exit_statuses(context.command))
        assert not re.search(r"Exit status \d", read_description(context.command)), "not in its paragraph"
    assert {name for name, statuses in used.items() if statuses - described[name]} == set()
    assert 3 in described["agent.cli.doctor"] - set(COMMON_EXIT_STATUSES)
