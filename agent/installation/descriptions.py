"""What man pages and reference say of keys, log events and exit statuses, read where each is defined.

A key of agent.toml is described by the comment above it in `config/agent.toml`; its type and default are
those of `agent.common.config`. A log event is described by the docstring below its `EventKind`. An exit
status is described in the help text of its command, in a paragraph "Exit status:".
"""

from __future__ import annotations

import ast
import inspect
import itertools
import re
import textwrap
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from agent.common.config import Config
from agent.common.events import EventKind
from hardware.table import describe_type, field_types, format_value
from pdu.record import Record, field_defaults

COMMON_EXIT_STATUSES = {
    0: "success",
    1: "failure (standard error has the reason)",
    2: "wrong usage or a configuration that cannot work",
}
"""What the exit statuses mean, where the help text of a command does not say it."""
_EXIT_STATUSES = re.compile("\n\n\b\nExit status:\n((?:[0-9]+  .*(?:\n|$))+)")
_KEY = re.compile(r"#?(\w+) = (.*)")
_TABLE = re.compile(r"#?\[([\w.-]+)\]$")


@dataclass(frozen=True, slots=True)
class Setting:
    """One key of agent.toml."""

    name: str
    summary: str
    """The permitted values, the default, and the value in the shipped file if it differs."""


@dataclass(frozen=True, slots=True)
class SettingGroup:
    """The keys that share one comment in agent.toml, mostly a single one."""

    table: str
    """Empty before the first table."""
    settings: tuple[Setting, ...]
    comment: tuple[str, ...]
    """The lines of the comment."""


@dataclass(frozen=True, slots=True)
class EventDescription:
    """One `EventKind`."""

    kind: EventKind
    topic: str
    """The comment above its group in the source."""
    meaning: str
    to_do: str
    """What an operator does about it; empty if nothing."""


def read_settings(config_text: str) -> Iterator[SettingGroup]:
    """Return the groups of keys in the order of the annotated agent.toml.

    A text without a key is a group without settings. Raises KeyError for a table or key that the agent does
    not have.
    """
    table = ""
    comment: list[str] = []
    settings: list[Setting] = []
    for line in [*config_text.splitlines(), ""]:
        if match := _KEY.match(line):
            settings.append(_describe_setting(table, match[1], match[2]))
            continue
        if (settings or comment) and not (line.startswith("#") and not settings and not _TABLE.match(line)):
            yield SettingGroup(table, tuple(settings), tuple(comment))
            settings, comment = [], []
        if match := _TABLE.match(line):
            table = match[1]
        elif line.startswith("#"):
            comment.append(line.removeprefix("#").removeprefix(" "))


def _describe_setting(table: str, name: str, shown: str) -> Setting:
    table_type: Any = Config
    for part in table.split("."):
        table_type = _find_table_type(field_types(table_type)[part])
    value: Any = field_defaults(table_type).get(name)
    default = _format_default(value)
    summary = f"{describe_type(field_types(table_type)[name])}; default: {default}"
    [shipped] = tomllib.loads(f"{name} = {shown}").values()
    if bool(shipped) if value is None else _format_default(type(value)(shipped)) != default:
        summary += f"; the shipped file has {shown}"
    return Setting(name, summary)


def _find_table_type(annotation: Any) -> Any:
    """Return the record type in an annotation such as `MqttConfig | None`."""
    members = getattr(annotation, "__args__", (annotation,))
    return next(each for each in members if isinstance(each, type) and issubclass(each, Record))


def _format_default(value: object) -> str:
    if value is None:
        return "none"
    if isinstance(value, tuple | list):
        return f"[{', '.join(map(_format_default, value))}]"
    if isinstance(value, float):
        return f"{value:g}"
    return f'"{value}"' if isinstance(value, Path) else format_value(value)


def read_events() -> Iterator[EventDescription]:
    """Return the descriptions of all log events in the order of the source."""
    source = textwrap.dedent(inspect.getsource(EventKind))
    lines = source.splitlines()
    [definition] = ast.parse(source).body
    assert isinstance(definition, ast.ClassDef)  # noqa: S101  (for the type checker: it is the source of a class)
    topic = ""
    for statement, follower in itertools.pairwise([*definition.body, ast.Pass()]):
        if not isinstance(statement, ast.Assign):
            continue
        [target] = statement.targets
        above = lines[statement.lineno - 2].strip()
        topic = above.removeprefix("# ") if above.startswith("# ") else topic
        match follower:
            case ast.Expr(value=ast.Constant(value=str(docstring))):
                meaning, _, to_do = inspect.cleandoc(docstring).partition("\n\nTo do: ")
            case _:
                meaning = to_do = ""
        kind = EventKind[ast.unparse(target)]
        yield EventDescription(kind, topic, " ".join(meaning.split()), " ".join(to_do.split()))


def read_exit_statuses(command: click.Command) -> dict[int, str]:
    """Return the meaning of each exit status of a command."""
    match = _EXIT_STATUSES.search(inspect.cleandoc(command.help or ""))
    own = {}
    for line in match[1].splitlines() if match else ():
        number, _, meaning = line.strip().partition("  ")
        own[int(number)] = meaning.strip()
    return dict(sorted((COMMON_EXIT_STATUSES | own).items()))


def read_description(command: click.Command) -> str:
    """Return the help text of a command without its paragraph "Exit status:"."""
    return _EXIT_STATUSES.sub("", inspect.cleandoc(command.help or "")).strip()
