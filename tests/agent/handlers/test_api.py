"""What handler files import."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

import agent
from agent.handlers import api
from agent.handlers.api import Command, Reply, handler, split_words


@pytest.fixture(autouse=True)
def declared(monkeypatch):
    monkeypatch.setattr(api, "declared_functions", [])
    return api.declared_functions


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", ()),
        (" " * 160, ()),
        ("led", ("led",)),
        ("  led\r\non \f  5", ("led", "on", "5")),
        ("LED=on", ("LED", "on")),
        ("led=on fast", ("led", "on", "fast")),
        ("led=", ("led",)),
        ("led=a=b", ("led", "a=b")),
        ("=on", ("=on",)),
        ("led = on", ("led", "=", "on")),
        ("led on=1", ("led", "on=1")),
        ("../x", ("../x",)),
        ("a\0b", ("a\0b",)),
    ],
)
def test_the_words_of_a_text(text, words):
    """Blanks of any kind separate; KEY=VALUE in front counts as two words."""
    assert split_words(text) == words
    assert Command.of(text).words == words


def test_a_command_of_text():
    """Everything is there; `data` is None."""
    when = datetime(2026, 5, 4, tzinfo=UTC)
    command = Command("DC1", "2936", when, "text", 2, "led on", None)
    assert (command.sid, command.sender, command.timestamp, command.attempt) == ("DC1", "2936", when, 2)
    assert (command.mode, command.text, command.data, command.words) == (
        "text",
        "led on",
        None,
        ("led", "on"),
    )


def test_a_command_of_octets():
    """Text and words are for text only."""
    command = Command.of(b"led")
    assert (command.mode, command.text, command.data, command.words) == ("binary", None, b"led", ())


def test_a_command_is_shown_without_its_content():
    """What people write does not get into logs by accident."""
    assert "secret" not in repr(Command.of("secret 1234", sid="HC1"))
    assert "HC1" in repr(Command.of("secret", sid="HC1"))


def test_the_door_of_the_package():
    """`from agent import ...` gives what handlers are written with."""
    assert (agent.Command, agent.Reply, agent.handler) == (Command, Reply, handler)
    assert issubclass(agent.TryLater, Exception)


def test_a_function_with_several_decorators_is_one_handler(declared):
    """Triggers add up, options stand in one of the decorators; the function stays callable."""

    @handler("on", "off", timeout_s=5)
    @handler(json_key="on")
    @handler(binary_prefix=b"\x01")
    @handler(default=True)
    def switch(command):
        return "ok"

    (one,) = declared
    assert (one.name, one.words, one.json_keys, one.prefixes) == ("switch", ["on", "off"], ["on"], [b"\x01"])
    assert (one.default, one.options, one.faults) == (True, {"timeout_s": 5}, [])
    assert switch(Command.of("on")) == "ok"


@pytest.mark.parametrize(
    ("decorate", "fault"),
    [
        (handler, "answers to nothing"),
        (lambda: handler(""), "not one word"),
        (lambda: handler("two words"), "not one word"),
        (lambda: handler("a=b"), "never be a first word"),
        (lambda: handler("a\0"), "NUL"),
        (lambda: handler(7), "7 is no text"),
        (lambda: handler(json_key=5), "json_key must be text"),
        (lambda: handler(binary_prefix=b""), "at least one octet"),
        (lambda: handler(binary_prefix="x"), "at least one octet"),
        (lambda: handler("x", timeout_s=0), "timeout_s must be seconds above 0"),
        (lambda: handler("x", max_age_s="old"), "max_age_s must be"),
        (lambda: handler("x", repeatable="yes"), "repeatable must be true or false"),
        (lambda: handler("x", reply_to="home"), "reply_to must be a telephone number"),
    ],
)
def test_an_impossible_argument_is_collected(declared, decorate, fault):
    """A mistake does not end the loading of the file, so all of them can be told at once."""
    decorate()(lambda command: None)
    (sentence,) = declared[0].faults
    assert fault in sentence


def test_functions_of_one_name_are_a_mistake(declared):
    """The journal keeps names: they must tell handlers apart."""
    for word in ("a", "b"):

        @handler(word)
        def same(command): ...

    assert any("same name" in fault for one in declared for fault in one.faults)


def test_options_in_two_decorators_are_a_mistake(declared):
    """Nobody could say which of them holds."""
    handler("b", timeout_s=2)(handler("a", timeout_s=1)(lambda command: None))
    assert "two decorators" in declared[0].faults[0]


def test_a_decorator_without_brackets_says_so():
    """The commonest slip gets a sentence of its own."""
    with pytest.raises(TypeError, match="needs brackets"):
        handler(lambda command: None)


def test_the_import_is_cheap():
    """A handler process carries what this imports: nothing beyond what Python itself has loaded."""
    code = (
        "import sys; sys.path.append(sys.argv[1]); before = set(sys.modules); import agent;"
        "print(*sorted(name for name in set(sys.modules) - before if not name.startswith('agent')))"
    )
    root = str(Path(agent.__file__).parents[1])
    result = subprocess.run(
        [sys.executable, "-P", "-c", code, root], capture_output=True, text=True, check=True
    )
    assert set(result.stdout.split()) <= {"__future__"}


def test_an_action_may_be_given_as_the_function_itself():
    """Only its name is kept: it must be found again after a restart of the agent."""

    def act(command):
        return None

    assert Reply("x", then=act).then == Reply("x", then="act").then == "act"
    assert Reply("x").then is None
