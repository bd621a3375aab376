"""Built-in handlers."""

from __future__ import annotations

import pytest

from agent.handlers.api import Command
from agent.handlers.builtin import BUILTINS, run

SPECS = {entry.name: entry for entry in BUILTINS}


def ask(text, names=(), status="fine"):
    command = Command.of(text)
    return run(SPECS[command.words[0].casefold()], command, names, lambda: status)


def test_ping_is_answered_by_pong():
    """With what was sent along, so that two pings can be told apart."""
    assert ask("PING") == "pong"
    assert ask("ping 17 b") == "pong 17 b"


def test_status_is_what_the_agent_says_of_itself():
    """In its own words."""
    assert ask("status", status="attached, -71 dBm") == "attached, -71 dBm"


def test_help_names_the_handlers():
    """In the order given."""
    assert ask("help", names=["led", '"enable"', "ping"]) == 'led, "enable", ping'


@pytest.mark.parametrize("text", ["ping " + "word " * 100, "ping " + "x" * 500, "help", "status"])
def test_an_answer_fits_one_sms(text):
    """It is cut at a seam where there is one, and marked."""
    reply = ask(text, names=[f"name{number}" for number in range(100)], status="long " * 100)
    assert 150 <= len(reply) <= 160
    assert reply.endswith("..")
    assert not reply.endswith(" ..")


def test_every_character_takes_one_septet():
    """What is in no or only in the extended alphabet becomes a question mark."""
    assert ask("ping {a}\u20ac\u0414^ ok") == "pong ?a???? ok"
    assert ask("status", status="a\nb") == "a?b"


def test_builtins_may_run_again():
    """They change nothing, so an interrupted one is simply repeated."""
    assert all(entry.repeatable and entry.words == (entry.name,) for entry in BUILTINS)
