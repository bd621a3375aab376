"""Built-in handlers."""

from __future__ import annotations

import pytest

from agent.handlers.api import Command
from agent.handlers.builtin import BUILTINS, run

SPECS = {spec.name: spec for spec in BUILTINS}


def run_builtin(text, names=(), status="fine", unusable=()):
    command = Command.of(text)
    return run(SPECS[command.words[0].casefold()], command, lambda: status, names, unusable).reply


def test_ping_returns_pong_and_its_arguments():
    """The arguments come back, so that two pings can be distinguished."""
    assert run_builtin("PING") == "pong"
    assert run_builtin("ping 17 b") == "pong 17 b"


def test_status_returns_status_line_of_agent():
    """The reply is the line that the agent gives."""
    assert run_builtin("status", status="attached, -71 dBm") == "attached, -71 dBm"


def test_help_lists_handler_names():
    """The names come in the given order."""
    assert run_builtin("help", names=["led", '"enable"', "ping"]) == 'led, "enable", ping'


def test_unusable_handlers_are_named():
    """In the replies of `help` and `status`, whole, however many other handlers there are."""
    assert run_builtin("help", names=["led"], unusable=["x.py", "y"]) == "led; not usable: x.py, y"
    assert run_builtin("status", unusable=["x.py"]) == "fine; not usable: x.py"
    assert run_builtin("ping", unusable=["x.py"]) == "pong"
    names = [f"name{number}" for number in range(100)]
    reply = run_builtin("help", names=names, unusable=["x.py", "y"])
    assert len(reply) <= 160
    assert reply.endswith("..; not usable: x.py, y")
    assert len(run_builtin("help", names=names, unusable=names)) <= 160


@pytest.mark.parametrize("text", ["ping " + "word " * 100, "ping " + "x" * 500, "help", "status"])
def test_long_reply_is_cut_to_one_sms(text):
    """It is cut at a separator if there is one, and the cut is marked."""
    reply = run_builtin(text, names=[f"name{number}" for number in range(100)], status="long " * 100)
    assert 150 <= len(reply) <= 160
    assert reply.endswith("..")
    assert not reply.endswith(" ..")


def test_reply_has_only_one_septet_characters():
    """Characters outside the default alphabet, or only in its extension table, become a question mark."""
    assert run_builtin("ping {a}\u20ac\u0414^ ok") == "pong ?a???? ok"
    assert run_builtin("status", status="a\nb") == "a?b"


def test_builtins_are_repeatable():
    """They change nothing, so an interrupted one may run again."""
    assert all(spec.repeatable and spec.words == (spec.name,) for spec in BUILTINS)
