"""Which handler a Command goes to, and what makes a set of handlers impossible."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.handlers.api import Command
from agent.handlers.catalogue import Catalogue, CatalogueError, Entry, load
from agent.handlers.runner import CannotLoad, Declared


class Files:
    """A runner that knows what files declare without running them."""

    def __init__(self, **declared):
        self.declared = declared

    async def declare(self, file):
        answer = self.declared[file.stem]
        if isinstance(answer, str):
            raise CannotLoad(answer)
        return answer


def python(function, **more):
    return Entry(f"x.py:{function}", "python", file=Path("/h/x.py"), function=function, **more)


LED = Entry("led", "executable", file=Path("/h/led"), words=("led",))
BINARY = Entry("binary", "executable", file=Path("/h/binary"))
TEMP = python("temp", words=("temp", "temperature"))
ENABLE = python("enable", json_keys=("enable",))
LEVEL = python("level", json_keys=("level",))
ONE = python("one", prefixes=(b"\x01",))
ONE_TWO = python("one_two", prefixes=(b"\x01\x02",))
DEFAULT = python("anything", default=True)
ALL = Catalogue([LED, BINARY, TEMP, ENABLE, LEVEL, ONE, ONE_TWO, DEFAULT])


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
    assert ALL.choose(Command.of(body)) is entry


def test_nobody_wants_it():
    """Without a default and without an executable for binary Commands there is no handler."""
    few = Catalogue([LED])
    assert few.choose(Command.of("temp")) is None
    assert few.choose(Command.of(b"\x01")) is None
    assert Catalogue([DEFAULT]).choose(Command.of(b"\x01")) is DEFAULT


@given(st.one_of(st.text(), st.binary()))
def test_any_command_has_a_choice_or_none(body):
    """Nothing is raised, whatever somebody sends."""
    ALL.choose(Command.of(body))


def test_builtins_fill_the_words_that_are_left():
    """A handler of the user takes the place of a built-in."""
    mine = Entry("status", "executable", file=Path("/h/status"), words=("status",))
    catalogue = Catalogue([mine])
    assert catalogue.choose(Command.of("STATUS")) is mine
    assert catalogue.choose(Command.of("Ping")).kind == "builtin"
    assert catalogue.names == ["help", "ping", "status"]


def test_names_are_what_people_can_write():
    """Words, then JSON keys in quotes."""
    assert ALL.names == [
        *("help", "led", "ping", "status", "temp", "temperature"),
        *('"enable"', '"level"'),
    ]


def test_a_handler_is_found_by_its_name():
    """The name that the journal kept."""
    assert ALL.named("x.py:temp") is TEMP
    assert ALL.named("led") is LED
    assert ALL.named("gone") is None


def test_functions_of_one_file_share_a_lane():
    """They share a process; executables run on their own."""
    assert TEMP.lane == ENABLE.lane != LED.lane


async def test_everything_in_a_directory(folder):
    """Executables with options and action, functions of Python files with theirs."""
    folder.executable("Led", "")
    folder.executable("Led.then", "")
    folder.file("Led.toml", 'repeatable = true\nreply_to = "2936"')
    device = folder.python("device.py", "")
    declared = Declared("temp", 7, words=("Temp", "TEMP"), timeout_s=5.0, repeatable=True)
    catalogue = await load(folder.path, Files(device=[declared]))
    led, temp = catalogue.choose(Command.of("led")), catalogue.choose(Command.of("temp"))
    assert (led.name, led.then, led.repeatable, led.reply_to) == (
        "Led",
        folder.path / "Led.then",
        True,
        "2936",
    )
    assert (temp.name, temp.file, temp.function, temp.words) == ("device.py:temp", device, "temp", ("temp",))
    assert (temp.timeout_s, temp.max_age_s, temp.repeatable) == (5.0, None, True)


@pytest.mark.parametrize(
    ("other", "what"),
    [
        (Declared("f", 3, words=("LED",)), 'the word "led"'),
        (Declared("f", 3, json_keys=("key",)), 'the JSON key "key"'),
        (Declared("f", 3, prefixes=(b"\x01\xab",)), "the binary prefix 01AB"),
        (Declared("f", 3, default=True), "what nobody else wants (default)"),
    ],
)
async def test_two_handlers_for_one_thing(folder, other, what):
    """Refused with both places, across kinds, files and upper and lower case."""
    folder.executable("Led", "")
    folder.python("a.py", "")
    folder.python("b.py", "")
    mine = Declared("g", 9, json_keys=("key",), prefixes=(b"\x01\xab",), default=True)
    with pytest.raises(CatalogueError) as raised:
        await load(folder.path, Files(a=[mine], b=[other]))
    (sentence,) = raised.value.sentences
    assert f"two handlers for {what}: " in sentence
    first = folder.path / "Led" if other.words else f"{folder.path / 'a.py'} line 9"
    assert f"{first} and {folder.path / 'b.py'} line 3" in sentence
    assert "rename or remove one" in sentence


async def test_two_executables_that_differ_in_case(folder):
    """`LED` and `led` are one word."""
    folder.executable("LED", "")
    folder.executable("led", "")
    with pytest.raises(CatalogueError, match='two handlers for the word "led"'):
        await load(folder.path, Files())


async def test_two_executables_for_binary(folder):
    """As for words."""
    folder.executable("BINARY", "")
    folder.executable("binary", "")
    with pytest.raises(CatalogueError, match="two handlers for binary Commands"):
        await load(folder.path, Files())


async def test_all_mistakes_at_once(folder):
    """Nobody mends one and then meets the next."""
    folder.executable("led", "").chmod(0o777)
    folder.executable("temp", "")
    folder.executable("lost.then", "")
    for name in ("a.py", "b.py", "c.py"):
        folder.python(name, "")
    runner = Files(
        a="/h/a.py line 3: SyntaxError",
        b=[Declared("f", 4, words=("temp",), faults=("timeout_s must be more", "max_age_s must be more"))],
        c=[],
    )
    with pytest.raises(CatalogueError) as raised:
        await load(folder.path, runner)
    sentences = raised.value.sentences
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


async def test_a_file_without_handlers_is_remarked(folder):
    """It harms nobody, but it was hardly meant so."""
    folder.python("shared.py", "")
    catalogue = await load(folder.path, Files(shared=[]))
    (remark,) = catalogue.remarks
    assert "shared.py has no @handler" in remark


async def test_an_empty_directory_has_the_builtins(folder):
    """The agent can be asked things before anybody has written a handler."""
    assert (await load(folder.path, Files())).names == ["help", "ping", "status"]
