"""The choice of the handler for a Command, and conflicts between handlers."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.handlers.api import Command
from agent.handlers.registry import HandlerRegistry, HandlerSpec, load_registry
from agent.handlers.runner import HandlerDeclaration, HandlerLoadError


class StubRunner:
    """A runner with fixed declarations for each file; a string is a load error."""

    def __init__(self, **declared):
        self.declared = declared

    async def load(self, file):
        declared = self.declared[file.stem]
        if isinstance(declared, str):
            raise HandlerLoadError(declared)
        return declared


def python_spec(function, **fields):
    return HandlerSpec(f"x.py:{function}", "python", file=Path("/h/x.py"), function=function, **fields)


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
    ("body", "spec"),
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
def test_command_is_matched_to_handler(body, spec):
    """JSON keys come first, in their order, then the first word; the longest prefix; then the default."""
    assert REGISTRY.match(Command.of(body)) is spec


def test_message_to_a_port_goes_only_to_its_handler():
    """Neither its words nor its octets matter, and the default handler does not get it."""
    push = python_spec("push", ports=(2948,))
    registry = HandlerRegistry([LED, BINARY, ONE, DEFAULT, push])
    assert registry.handled_ports == {2948}
    for body in ("led on", b"\x01", ""):
        assert registry.match(Command.of(body, port=2948)) is push
        assert registry.match(Command.of(body, port=2949)) is None
    assert registry.match(Command.of("led on")) is LED


def test_unmatched_command_has_no_handler():
    """Without a default handler and without `binary`, a Command may have no handler."""
    registry = HandlerRegistry([LED])
    assert registry.match(Command.of("temp")) is None
    assert registry.match(Command.of(b"\x01")) is None
    assert HandlerRegistry([DEFAULT]).match(Command.of(b"\x01")) is DEFAULT


@given(st.one_of(st.text(), st.binary()))
def test_matching_never_raises(body):
    """Any text and any octets have a handler or none."""
    REGISTRY.match(Command.of(body))


def test_user_handler_replaces_builtin():
    """Built-ins exist for the words that no handler of the user has."""
    spec = HandlerSpec("status", "executable", file=Path("/h/status"), words=("status",))
    registry = HandlerRegistry([spec])
    assert registry.match(Command.of("STATUS")) is spec
    assert registry.match(Command.of("Ping")).kind == "builtin"
    assert registry.trigger_names == ["help", "ping", "status"]


def test_builtin_replaces_unusable_handler():
    """The built-in `status` names the handler that cannot be used."""
    registry = HandlerRegistry(
        [
            HandlerSpec("status", "executable", file=Path("/h/status"), words=("status",)),
            HandlerSpec("led", "executable", file=Path("/h/led"), words=("led",)),
            DEFAULT,
        ],
        unusable={"status": ["chmod it"], "led": ["chown it", "chmod it"]},
    )
    assert registry.match(Command.of("status")).kind == "builtin"
    assert registry.match(Command.of("led on")).error == "chown it; chmod it"
    assert registry.match(Command.of("other")) is DEFAULT
    assert registry.trigger_names == ["help", "ping", "status"]


def test_trigger_names_are_words_and_json_keys():
    """Words come first, then JSON keys in quotes."""
    assert REGISTRY.trigger_names == [
        *("help", "led", "ping", "status", "temp", "temperature"),
        *('"enable"', '"level"'),
    ]


def test_handler_is_found_by_name():
    """The journal stores the name of a handler."""
    assert REGISTRY.get("x.py:temp") is TEMP
    assert REGISTRY.get("led") is LED
    assert REGISTRY.get("gone") is None


def test_functions_of_one_file_share_queue_key():
    """They share a process; each executable has a queue of its own."""
    assert TEMP.queue_key == ENABLE.queue_key != LED.queue_key


async def test_registry_is_loaded_from_directory(handler_directory):
    """It has executables with options and action, and the functions of Python files with their options."""
    handler_directory.write_executable("Led", "")
    handler_directory.write_executable("Led.then", "")
    handler_directory.write("Led.toml", 'repeatable = true\nreply_to = "2936"')
    device = handler_directory.write_python("device.py", "")
    declared = HandlerDeclaration("temp", line=7, words=("Temp", "TEMP"), timeout_s=5.0, repeatable=True)
    registry = await load_registry(handler_directory.path, StubRunner(device=[declared]))
    led, temp = registry.match(Command.of("led")), registry.match(Command.of("temp"))
    assert (led.name, led.then, led.repeatable, led.reply_to) == (
        "Led",
        handler_directory.path / "Led.then",
        True,
        "2936",
    )
    assert (temp.name, temp.file, temp.function, temp.words) == ("device.py:temp", device, "temp", ("temp",))
    assert (temp.timeout_s, temp.max_age_s, temp.repeatable) == (5.0, None, True)


@pytest.mark.parametrize(
    ("other", "trigger"),
    [
        (HandlerDeclaration("f", line=3, words=("LED",)), 'the word "led"'),
        (HandlerDeclaration("f", line=3, json_keys=("key",)), 'the JSON key "key"'),
        (HandlerDeclaration("f", line=3, prefixes=(b"\x01\xab",)), "the binary prefix 01AB"),
        (HandlerDeclaration("f", line=3, ports=(2948,)), "application port 2948"),
        (HandlerDeclaration("f", line=3, default=True), "all other Commands (default)"),
    ],
)
async def test_two_handlers_for_one_trigger_cannot_be_used(handler_directory, other, trigger):
    """Neither gets the Command. The error names both places; kind, file and case do not matter."""
    handler_directory.write_executable("Led", "")
    handler_directory.write_python("a.py", "")
    handler_directory.write_python("b.py", "")
    first_file = HandlerDeclaration(
        "g", line=9, json_keys=("key",), prefixes=(b"\x01\xab",), ports=(2948,), default=True
    )
    registry = await load_registry(handler_directory.path, StubRunner(a=[first_file], b=[other]))
    assert list(registry.unusable) == ["b.py:f"]
    (error,) = registry.unusable["b.py:f"]
    commands = {
        'the word "led"': Command.of("led on"),
        'the JSON key "key"': Command.of('{"key": 1}'),
        "the binary prefix 01AB": Command.of(b"\x01\xab"),
        "application port 2948": Command.of("x", port=2948),
    }
    assert registry.match(commands.get(trigger, Command.of("anything"))).error == error
    assert f"two handlers for {trigger}: " in error
    first = handler_directory.path / "Led" if other.words else f"{handler_directory.path / 'a.py'} line 9"
    assert f"{first} and {handler_directory.path / 'b.py'} line 3" in error
    assert "rename or remove one" in error


async def test_executables_that_differ_in_case_conflict(handler_directory):
    """`LED` and `led` are the same word."""
    handler_directory.write_executable("LED", "")
    handler_directory.write_executable("led", "")
    registry = await load_registry(handler_directory.path, StubRunner())
    assert 'two handlers for the word "led"' in registry.match(Command.of("led")).error
    assert "led" not in registry.trigger_names


async def test_two_binary_executables_conflict(handler_directory):
    """`BINARY` and `binary` are the same name."""
    handler_directory.write_executable("BINARY", "")
    handler_directory.write_executable("binary", "")
    registry = await load_registry(handler_directory.path, StubRunner())
    assert "two handlers for binary Commands" in registry.match(Command.of(b"x")).error


async def test_all_errors_are_reported_at_once(handler_directory):
    """The user must not find the mistakes one by one."""
    handler_directory.write_executable("led", "").chmod(0o777)
    handler_directory.write_executable("temp", "")
    handler_directory.write_executable("lost.then", "")
    for name in ("a.py", "b.py", "c.py"):
        handler_directory.write_python(name, "")
    runner = StubRunner(
        a="/h/a.py line 3: SyntaxError",
        b=[
            HandlerDeclaration(
                "f", line=4, words=("temp",), errors=("timeout_s must be more", "max_age_s must be more")
            )
        ],
        c=[],
    )
    registry = await load_registry(handler_directory.path, runner)
    errors = [error for errors in registry.unusable.values() for error in errors]
    for part in (
        "led can be written",
        "lost.then has no handler",
        "a.py line 3",
        "timeout_s",
        "max_age_s",
        "the word",
    ):
        assert any(part in error for error in errors), part
    assert len(errors) == 6
    assert registry.trigger_names == ["help", "ping", "status"]


async def test_python_file_without_handlers_is_a_warning(handler_directory):
    """It is harmless, but probably a mistake."""
    handler_directory.write_python("shared.py", "")
    registry = await load_registry(handler_directory.path, StubRunner(shared=[]))
    (warning,) = registry.warnings
    assert "shared.py has no @handler" in warning


async def test_empty_directory_has_builtins(handler_directory):
    """The agent answers `ping`, `status` and `help` before the user writes a handler."""
    assert (await load_registry(handler_directory.path, StubRunner())).trigger_names == [
        "help",
        "ping",
        "status",
    ]
