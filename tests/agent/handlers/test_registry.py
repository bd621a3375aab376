"""Which handler a Command goes to, and what makes a set of handlers impossible."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.handlers.api import Command
from agent.handlers.registry import HandlerConfigError, HandlerRegistry, HandlerSpec, load_registry
from agent.handlers.runner import HandlerDeclaration, HandlerLoadError


class StubRunner:
    """A runner that knows what files declare without running them."""

    def __init__(self, **declared):
        self.declared = declared

    async def load(self, file):
        answer = self.declared[file.stem]
        if isinstance(answer, str):
            raise HandlerLoadError(answer)
        return answer


def python_spec(function, **more):
    return HandlerSpec(f"x.py:{function}", "python", file=Path("/h/x.py"), function=function, **more)


LED = HandlerSpec("led", "executable", file=Path("/h/led"), words=("led",))
BINARY = HandlerSpec("binary", "executable", file=Path("/h/binary"))
TEMP = python_spec("temp", words=("temp", "temperature"))
ENABLE = python_spec("enable", json_keys=("enable",))
LEVEL = python_spec("level", json_keys=("level",))
ONE = python_spec("one", prefixes=(b"\x01",))
ONE_TWO = python_spec("one_two", prefixes=(b"\x01\x02",))
DEFAULT = python_spec("anything", default=True)
REGISTRY = HandlerRegistry([LED, BINARY, TEMP, ENABLE, LEVEL, ONE, ONE_TWO, DEFAULT])


@pytest.mark.parametrize(
    ("body", "entry"),
    [
        ("led on", LED),
        ("LED", LED),
        ("  Led\non", LED),
        ("led=on", LED),
        ("ledx", DEFAULT),
        ("/led", DEFAULT),
        ("../led", DEFAULT),
        ("../h/led", DEFAULT),
        ("/h/led", DEFAULT),
        ("./led", DEFAULT),
        ("led\0", DEFAULT),
        ("led;reboot", DEFAULT),
        ("$(led)", DEFAULT),
        ("*", DEFAULT),
        ("", DEFAULT),
        (" " * 160, DEFAULT),
        ("\n\n", DEFAULT),
        ("\0", DEFAULT),
        ("=", DEFAULT),
        ("=led", DEFAULT),
        ("binary", DEFAULT),
        ("temp", TEMP),
        ("TEMPERATURE=5", TEMP),
        ('{"enable": true}', ENABLE),
        (' \n{"enable":1}', ENABLE),
        ('{"level": 1, "enable": 2}', LEVEL),
        ('{"enable": 1, "level": 2}', ENABLE),
        ('{"x": {"enable": 1}}', DEFAULT),
        ('{"Enable": 1}', DEFAULT),
        ('["enable"]', DEFAULT),
        ('{"enable": 1', DEFAULT),
        ('{"enable": 1} x', DEFAULT),
        ('{"a":' * 5000, DEFAULT),
        ('{"enable": "\ud800"}', DEFAULT),
        (b"\x01", ONE),
        (b"\x01\x03", ONE),
        (b"\x01\x02", ONE_TWO),
        (b"\x01\x02\x03", ONE_TWO),
        (b"\x02", BINARY),
        (b"led", BINARY),
        (b"", BINARY),
    ],
)
def test_the_choice(body, entry):
    """First the JSON keys in their order, then the first word; the longest prefix; else the default."""
    assert REGISTRY.match(Command.of(body)) is entry


def test_nobody_wants_it():
    """Without a default and without an executable for binary Commands there is no handler."""
    few = HandlerRegistry([LED])
    assert few.match(Command.of("temp")) is None
    assert few.match(Command.of(b"\x01")) is None
    assert HandlerRegistry([DEFAULT]).match(Command.of(b"\x01")) is DEFAULT


@given(st.one_of(st.text(), st.binary()))
def test_any_command_has_a_choice_or_none(body):
    """Nothing is raised, whatever somebody sends."""
    REGISTRY.match(Command.of(body))


def test_builtins_fill_the_words_that_are_left():
    """A handler of the user takes the place of a built-in."""
    mine = HandlerSpec("status", "executable", file=Path("/h/status"), words=("status",))
    catalogue = HandlerRegistry([mine])
    assert catalogue.match(Command.of("STATUS")) is mine
    assert catalogue.match(Command.of("Ping")).kind == "builtin"
    assert catalogue.trigger_names == ["help", "ping", "status"]


def test_names_are_what_people_can_write():
    """Words, then JSON keys in quotes."""
    assert REGISTRY.trigger_names == [
        *("help", "led", "ping", "status", "temp", "temperature"),
        *('"enable"', '"level"'),
    ]


def test_a_handler_is_found_by_its_name():
    """The name that the journal kept."""
    assert REGISTRY.get("x.py:temp") is TEMP
    assert REGISTRY.get("led") is LED
    assert REGISTRY.get("gone") is None


def test_functions_of_one_file_share_a_lane():
    """They share a process; executables run on their own."""
    assert TEMP.queue_key == ENABLE.queue_key != LED.queue_key


async def test_everything_in_a_directory(handler_directory):
    """Executables with options and action, functions of Python files with theirs."""
    handler_directory.write_executable("Led", "")
    handler_directory.write_executable("Led.then", "")
    handler_directory.write("Led.toml", 'repeatable = true\nreply_to = "2936"')
    device = handler_directory.write_python("device.py", "")
    declared = HandlerDeclaration("temp", 7, words=("Temp", "TEMP"), timeout_s=5.0, repeatable=True)
    catalogue = await load_registry(handler_directory.path, StubRunner(device=[declared]))
    led, temp = catalogue.match(Command.of("led")), catalogue.match(Command.of("temp"))
    assert (led.name, led.then, led.repeatable, led.reply_to) == (
        "Led",
        handler_directory.path / "Led.then",
        True,
        "2936",
    )
    assert (temp.name, temp.file, temp.function, temp.words) == ("device.py:temp", device, "temp", ("temp",))
    assert (temp.timeout_s, temp.max_age_s, temp.repeatable) == (5.0, None, True)


@pytest.mark.parametrize(
    ("other", "what"),
    [
        (HandlerDeclaration("f", 3, words=("LED",)), 'the word "led"'),
        (HandlerDeclaration("f", 3, json_keys=("key",)), 'the JSON key "key"'),
        (HandlerDeclaration("f", 3, prefixes=(b"\x01\xab",)), "the binary prefix 01AB"),
        (HandlerDeclaration("f", 3, default=True), "what nobody else wants (default)"),
    ],
)
async def test_two_handlers_for_one_thing(handler_directory, other, what):
    """Refused with both places, across kinds, files and upper and lower case."""
    handler_directory.write_executable("Led", "")
    handler_directory.write_python("a.py", "")
    handler_directory.write_python("b.py", "")
    mine = HandlerDeclaration("g", 9, json_keys=("key",), prefixes=(b"\x01\xab",), default=True)
    with pytest.raises(HandlerConfigError) as raised:
        await load_registry(handler_directory.path, StubRunner(a=[mine], b=[other]))
    (sentence,) = raised.value.errors
    assert f"two handlers for {what}: " in sentence
    first = handler_directory.path / "Led" if other.words else f"{handler_directory.path / 'a.py'} line 9"
    assert f"{first} and {handler_directory.path / 'b.py'} line 3" in sentence
    assert "rename or remove one" in sentence


async def test_two_executables_that_differ_in_case(handler_directory):
    """`LED` and `led` are one word."""
    handler_directory.write_executable("LED", "")
    handler_directory.write_executable("led", "")
    with pytest.raises(HandlerConfigError, match='two handlers for the word "led"'):
        await load_registry(handler_directory.path, StubRunner())


async def test_two_executables_for_binary(handler_directory):
    """As for words."""
    handler_directory.write_executable("BINARY", "")
    handler_directory.write_executable("binary", "")
    with pytest.raises(HandlerConfigError, match="two handlers for binary Commands"):
        await load_registry(handler_directory.path, StubRunner())


async def test_all_mistakes_at_once(handler_directory):
    """Nobody mends one and then meets the next."""
    handler_directory.write_executable("led", "").chmod(0o777)
    handler_directory.write_executable("temp", "")
    handler_directory.write_executable("lost.then", "")
    for name in ("a.py", "b.py", "c.py"):
        handler_directory.write_python(name, "")
    runner = StubRunner(
        a="/h/a.py line 3: SyntaxError",
        b=[
            HandlerDeclaration(
                "f", 4, words=("temp",), errors=("timeout_s must be more", "max_age_s must be more")
            )
        ],
        c=[],
    )
    with pytest.raises(HandlerConfigError) as raised:
        await load_registry(handler_directory.path, runner)
    sentences = raised.value.errors
    for part in (
        "led can be written",
        "lost.then belongs",
        "a.py line 3",
        "timeout_s",
        "max_age_s",
        "the word",
    ):
        assert any(part in sentence for sentence in sentences), part
    assert len(sentences) == 6
    assert str(raised.value) == "\n".join(sentences)


async def test_a_file_without_handlers_is_remarked(handler_directory):
    """It harms nobody, but it was hardly meant so."""
    handler_directory.write_python("shared.py", "")
    catalogue = await load_registry(handler_directory.path, StubRunner(shared=[]))
    (remark,) = catalogue.warnings
    assert "shared.py has no @handler" in remark


async def test_an_empty_directory_has_the_builtins(handler_directory):
    """The agent can be asked things before anybody has written a handler."""
    assert (await load_registry(handler_directory.path, StubRunner())).trigger_names == [
        "help",
        "ping",
        "status",
    ]
