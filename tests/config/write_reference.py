"""Writes config/REFERENCE.md: every command with its options and exit statuses, every key, every log event.

    python tests/config/write_reference.py          writes the page (`make reference`)
    python tests/config/write_reference.py --check  fails if the page is out of date

The texts are where each thing is defined, see `agent.installation.descriptions`.
"""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import click

from agent.cli.commands import group
from agent.common.events import Severity
from agent.installation.descriptions import (
    COMMON_EXIT_STATUSES,
    read_events,
    read_exit_statuses,
    read_settings,
)

CHECKOUT = Path(__file__).parents[2]
PAGE = CHECKOUT / "config/REFERENCE.md"
WIDTH = 100
"""Columns of the help texts."""
LOGGING_PACKAGES = ("daemon", "handlers", "journal", "pipeline", "recovery")
"""The packages of `agent` that log events."""
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
HEAD = """\
# Reference

<!-- Written by `make reference`; do not edit. The texts are where each thing is defined. -->

On the device the same texts are man pages: `man modem-agent` and `man modem-agent-status` for the commands,
`man modem-agent.toml` for the keys, `man modem-agent-log` for the log.

- [Commands](#commands)
- [Exit statuses](#exit-statuses)
- [Keys of agent.toml](#keys-of-agenttoml)
- [Log lines](#log-lines)

## Commands
"""
EXIT_STATUSES = """\
## Exit statuses

Unless the table says something else:
{}.

| command | status | meaning |
|---|---|---|
"""
KEYS = """\
## Keys of agent.toml

`modem-agent config check` reports every error in the file at once.
"""
LOG = """\
## Log lines

Read the log with `journalctl -u modem-agent`. A line begins with the words in the first column, which are
also its field `EVENT`: `journalctl EVENT=sent` shows the replies that were sent. The second column has the
severities with which it is logged; `debug` is shown with `modem-agent run --trace` only.
"""


def iter_commands(context):
    """Yield the context of every command that is not a group."""
    command = context.command
    if not isinstance(command, click.Group):
        yield context
        return
    for name in command.list_commands(context):
        child = command.get_command(context, name)
        yield from iter_commands(click.Context(child, parent=context, info_name=name))


def list_commands():
    """Return the context of every command, in the order of the help."""
    settings = {"terminal_width": WIDTH, "max_content_width": WIDTH}
    return list(
        iter_commands(click.Context(group, info_name="modem-agent", **settings, **group.context_settings))
    )


def read_severities():
    """Return the severities with which each event is logged, as the source has them, by its name."""
    found = {}
    for package in LOGGING_PACKAGES:
        for file in sorted((CHECKOUT / "agent" / package).glob("*.py")):
            for name, severities in _read_file_severities(ast.parse(file.read_text())):
                found.setdefault(name, set()).update(severities or {"INFO"})
    return found


def _read_file_severities(tree):
    """Yield the name of a kind, and the severities beside it or in the function that makes the event."""
    functions = [node for node in ast.walk(tree) if isinstance(node, FUNCTIONS)]
    parents = {child: node for node in ast.walk(tree) for child in ast.iter_child_nodes(node)}
    for node in ast.walk(tree):
        if not _is_member(node, "EventKind"):
            continue
        match parents[node]:
            case ast.Call(func=callee, keywords=keywords) if any(word.arg == "severity" for word in keywords):
                [value] = [word.value for word in keywords if word.arg == "severity"]
                yield node.attr, _severities(value) or _severities(_enclosing(node, parents))
            case ast.Call(func=callee):  # a function of this file may make the event
                name = ast.unparse(callee).rpartition(".")[2]
                makers = [each for each in functions if each.name == name and name != "log"]
                yield node.attr, _severities(*makers)
            case ast.Compare():
                pass
            case ast.Dict() as table:
                name = ast.unparse(parents[table].targets[0])
                yield node.attr, _severities(*(each for each in functions if name in ast.unparse(each)))
            case _:
                yield node.attr, _severities(_enclosing(node, parents))


def _enclosing(node, parents):
    """Return the innermost function around a node, or the module."""
    while node in parents and not isinstance(node, FUNCTIONS):
        node = parents[node]
    return node


def _severities(*trees):
    return {node.attr for tree in trees for node in ast.walk(tree) if _is_member(node, "Severity")}


def _is_member(node, enum):
    return isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == enum


def make_page():
    """Return the page in Markdown."""
    commands = list_commands()
    lines = [HEAD]
    for context in commands:
        lines += [f"### {context.command_path}", "", "```text", context.get_help().rstrip(), "```", ""]
    common = ", ".join(f"{status} means {meaning}" for status, meaning in COMMON_EXIT_STATUSES.items())
    lines.append(EXIT_STATUSES.format(common).rstrip())
    for context in commands:
        name = f"`{context.command_path}`"
        own = read_exit_statuses(context.command)
        lines += [
            f"| {name} | {status} | {_cell(own[status])} |"
            for status in own
            if own[status] != COMMON_EXIT_STATUSES.get(status)
        ]
    lines += ["", KEYS]
    table = ""
    for keys in read_settings((CHECKOUT / "config/agent.toml").read_text()):
        if keys.table != table:
            table = keys.table
            lines += [f"### [{table}]", ""]
        lines += [f"- **`{setting.name}`**: {setting.summary}" for setting in keys.settings]
        if table:
            lines += ["", *keys.comment, ""]
    lines.append(LOG)
    severities = read_severities()
    topic = ""
    for event in read_events():
        if event.topic != topic:
            topic = event.topic
            lines += ["", f"### {topic}", ""]
            lines += ["| begins with | severity | meaning | what to do |", "|---|---|---|---|"]
        levels = sorted(severities.get(event.kind.name, {"INFO"}), key=lambda name: Severity[name])
        cells = (
            f"`{event.kind}`",
            ", ".join(levels).lower(),
            event.meaning,
            event.to_do[:1].upper() + event.to_do[1:] or "Nothing.",
        )
        lines.append(f"| {' | '.join(map(_cell, cells))} |")
    return "\n".join([*lines, ""]).replace("\n\n\n", "\n\n")


def _cell(text):
    return text.replace("|", r"\|")


def main():
    """Write the page, or with `--check` fail if it is out of date."""
    text = make_page()
    if PAGE.exists() and PAGE.read_text() == text:
        return
    if "--check" in sys.argv:
        raise SystemExit("config/REFERENCE.md is out of date: run make reference")
    PAGE.write_text(text)


if __name__ == "__main__":
    main()
