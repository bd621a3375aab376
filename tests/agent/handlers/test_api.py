"""The API for handler files."""

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
    # One list for each process, because a handler file has a process of its own; here for each test.
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
def test_text_is_split_into_words(text, words):
    """White space of any kind separates words; KEY=VALUE at the start counts as two words."""
    assert split_words(text) == words
    assert Command.of(text).words == words


def test_text_command_has_text_and_words():
    """All fields are set, and `data` is None."""
    when = datetime(2026, 5, 4, tzinfo=UTC)
    command = Command("DC1", "2936", when, "text", 2, "led on", None)
    assert (command.sid, command.sender, command.timestamp, command.attempt) == ("DC1", "2936", when, 2)
    assert (command.mode, command.text, command.data, command.words) == (
        "text",
        "led on",
        None,
        ("led", "on"),
    )


def test_binary_command_has_data_only():
    """A binary Command has neither text nor words."""
    command = Command.of(b"led")
    assert (command.mode, command.text, command.data, command.words) == ("binary", None, b"led", ())


def test_repr_of_command_hides_its_content():
    """The content of a message must not get into a log by accident."""
    assert "secret" not in repr(Command.of("secret 1234", sid="HC1"))
    assert "HC1" in repr(Command.of("secret", sid="HC1"))


def test_package_exports_handler_api():
    """`from agent import ...` gives all names that handlers are written with."""
    assert (agent.Command, agent.Reply, agent.handler) == (Command, Reply, handler)
    assert issubclass(agent.TryLater, Exception)


def test_several_decorators_make_one_handler(declared):
    """The triggers add up, one decorator has the options, and the function stays callable."""

    @handler("on", "off", timeout_s=5)
    @handler(json_key="on")
    @handler(binary_prefix=b"\x01")
    @handler(port=2948)
    @handler(port=5000)
    @handler(default=True)
    def switch(command):
        return "ok"

    (found,) = declared
    assert (found.name, found.words, found.json_keys) == ("switch", ["on", "off"], ["on"])
    assert (found.prefixes, found.default, found.options) == ([b"\x01"], True, {"timeout_s": 5})
    assert found.ports == [5000, 2948]
    assert found.errors == []
    assert switch(Command.of("on")) == "ok"


@pytest.mark.parametrize(
    ("decorate", "error"),
    [
        (handler, "handles nothing"),
        (lambda: handler(""), "not one word"),
        (lambda: handler("two words"), "not one word"),
        (lambda: handler("a=b"), "never be a first word"),
        (lambda: handler("a\0"), "NUL"),
        (lambda: handler(7), "7 is not text"),
        (lambda: handler(json_key=5), "json_key must be text"),
        (lambda: handler(binary_prefix=b""), "at least one octet"),
        (lambda: handler(binary_prefix="x"), "at least one octet"),
        (lambda: handler(port=65536), "port must be a port number from 0 to 65535, not 65536"),
        (lambda: handler(port="2948"), "port must be a port number"),
        (lambda: handler(port=True), "port must be a port number"),
        (lambda: handler("x", timeout_s=0), "timeout_s must be seconds above 0"),
        (lambda: handler("x", max_age_s="old"), "max_age_s must be"),
        (lambda: handler("x", repeatable="yes"), "repeatable must be true or false"),
        (lambda: handler("x", reply_to="home"), "reply_to must be a telephone number"),
    ],
)
def test_invalid_argument_is_collected(declared, decorate, error):
    """A mistake does not stop the loading of the file, so that all mistakes can be reported at once."""
    decorate()(lambda command: None)
    (found,) = declared[0].errors
    assert error in found


def test_two_functions_of_one_name_are_an_error(declared):
    """The journal stores names, so a name must identify one handler."""
    for word in ("a", "b"):

        @handler(word)
        def same(command): ...

    assert any("same name" in error for declaration in declared for error in declaration.errors)


def test_options_in_two_decorators_are_an_error(declared):
    """It would be unclear which of them applies."""
    handler("b", timeout_s=2)(handler("a", timeout_s=1)(lambda command: None))
    assert "two decorators" in declared[0].errors[0]


def test_decorator_without_brackets_is_explained():
    """The most common mistake has an error message of its own."""
    with pytest.raises(TypeError, match="needs brackets"):
        handler(lambda command: None)


def test_import_loads_no_other_modules():
    """Every handler process imports this package, so it loads nothing that Python has not loaded already."""
    code = (
        "import sys; sys.path.append(sys.argv[1]); before = set(sys.modules); import agent;"
        "print(*sorted(name for name in set(sys.modules) - before if not name.startswith('agent')))"
    )
    root = str(Path(agent.__file__).parents[1])
    result = subprocess.run(
        [sys.executable, "-P", "-c", code, root], capture_output=True, text=True, check=True
    )
    assert set(result.stdout.split()) <= {"__future__"}


def test_reply_keeps_name_of_action_function():
    """Only the name is stored, because the action must be found again after a restart of the agent."""

    def act(command):
        return None

    assert Reply("x", then=act).then == Reply("x", then="act").then == "act"
    assert Reply("x").then is None
