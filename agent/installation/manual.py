"""Man pages and shell completion, generated from the commands of click and from `descriptions`."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator, Mapping

import click
from click.shell_completion import get_completion_class

from agent.installation.descriptions import (
    read_description,
    read_events,
    read_exit_statuses,
    read_settings,
)

PROGRAM = "modem-agent"
COMPLETION_FILES = {
    "bash": "bash-completion/completions/modem-agent",
    "zsh": "zsh/vendor-completions/_modem-agent",
    "fish": "fish/vendor_completions.d/modem-agent.fish",
}
"""Where each shell looks for completions, below /usr/share."""
_FILES_SECTION = """\
.SH FILES
.TP
.I /etc/modem-agent/agent.toml
The configuration, see
.BR modem-agent.toml (5).
.TP
.I /etc/modem-agent/handlers
The handlers of the Commands.
.TP
.I /var/lib/modem-agent/journal.db
The journal: received Commands and replies.
"""


def make_manual_pages(group: click.Group, version: str, config_text: str) -> dict[str, str]:
    """Return the man pages by file name: one for each command, one for agent.toml and one for the log."""
    context = click.Context(group, info_name=PROGRAM, **group.context_settings)
    pages = dict(_make_command_pages(context, version))
    pages[f"{PROGRAM}.toml.5"] = _make_config_page(config_text, version)
    pages[f"{PROGRAM}-log.7"] = _make_log_page(version)
    return pages


def _make_command_pages(context: click.Context, version: str) -> Iterator[tuple[str, str]]:
    command = context.command
    name = context.command_path.replace(" ", "-")
    help_text = read_description(command)
    summary = command.get_short_help_str(limit=200).rstrip(".")
    lines = [
        f'.TH {name.upper()} 1 "" "{PROGRAM} {version}"',
        ".SH NAME",
        rf"{_escape(name)} \- {_escape(summary[:1].lower() + summary[1:])}",
        ".SH SYNOPSIS",
        rf".B {_escape(context.command_path)}",
        _escape(" ".join(command.collect_usage_pieces(context))),
        ".SH DESCRIPTION",
        *_make_paragraphs(help_text),
    ]
    records = filter(None, (option.get_help_record(context) for option in command.get_params(context)))
    lines.append(".SH OPTIONS")  # there is --help at least
    for names, text in records:
        lines += [".TP", rf"\fB{_escape(names)}\fR", _escape(text)]
    related = [f"{PROGRAM}(1)", f"{PROGRAM}.toml(5)", f"{PROGRAM}-log(7)"]
    if isinstance(command, click.Group):
        lines.append(".SH COMMANDS")
        for child_name in command.list_commands(context):
            child = command.get_command(context, child_name)
            assert child is not None  # noqa: S101  (for the type checker: it was just listed)
            child_context = click.Context(child, parent=context, info_name=child_name)
            lines += [".TP", rf"\fB{_escape(child_name)}\fR", _escape(child.get_short_help_str(limit=200))]
            related.append(f"{name}-{child_name}(1)")
            yield from _make_command_pages(child_context, version)
    lines.append(".SH EXIT STATUS")
    for status, meaning in read_exit_statuses(command).items():
        lines += [".TP", str(status), _escape(meaning)]
    related = [page for page in related if page != f"{name}(1)"]
    see_also = [".SH SEE ALSO", *(_escape(page) + "," for page in related[:-1]), _escape(related[-1])]
    yield f"{name}.1", "\n".join([*lines, _FILES_SECTION.rstrip(), *see_also, ""])


def _make_paragraphs(text: str) -> Iterator[str]:
    """Convert the help of click: paragraphs, of which those that begin with a backspace keep their lines."""
    for index, paragraph in enumerate(re.split(r"\n\s*\n", text)):
        if index:
            yield ".PP"
        first, _, kept_lines = textwrap.dedent(paragraph).partition("\n")
        if first == "\b":
            yield from (".nf", *map(_escape, kept_lines.splitlines()), ".fi")
        else:
            yield from map(_escape, textwrap.dedent(paragraph).splitlines())


def _make_config_page(text: str, version: str) -> str:
    """Return the man page of the annotated agent.toml: each key with values, default and comment."""
    lines = [
        f'.TH {PROGRAM.upper()}.TOML 5 "" "{PROGRAM} {version}"',
        ".SH NAME",
        rf"{PROGRAM}.toml \- configuration of {PROGRAM}, /etc/modem\-agent/agent.toml",
        ".SH DESCRIPTION",
    ]
    table = ""
    for group in read_settings(text):
        if group.table != table:
            table = group.table
            lines.append(f'.SH "[{table}]"')
        for number, setting in enumerate(group.settings):
            tag = rf"\fB{_escape(setting.name)}\fR: {_escape(setting.summary)}"
            lines += [".TQ" if number else ".TP", tag]
        lines += map(_escape, group.comment)
    return "\n".join([*lines, ".SH SEE ALSO", rf".BR {PROGRAM} (1)", ""])


def _make_log_page(version: str) -> str:
    """Return the man page of the log lines: what each means and what to do about it."""
    lines = [
        f'.TH {PROGRAM.upper()}-LOG 7 "" "{PROGRAM} {version}"',
        ".SH NAME",
        rf"{PROGRAM}-log \- log lines of {PROGRAM}, and what to do about them",
        ".SH DESCRIPTION",
        "Read the log with journalctl \\-u modem\\-agent. A line begins with one of these words:",
    ]
    topic = ""
    for event in read_events():
        if event.topic != topic:
            topic = event.topic
            lines.append(f'.SH "{topic.upper()}"')
        lines += [".TP", rf"\fB{_escape(event.kind)}\fR", _escape(event.meaning)]
        if event.to_do:
            lines.append(_escape(f"What to do: {event.to_do}"))
    return "\n".join([*lines, ".SH SEE ALSO", rf".BR {PROGRAM} (1),", rf".BR {PROGRAM}.toml (5)", ""])


def make_completions(group: click.Group) -> Mapping[str, str]:
    """Return the completion scripts by their file below /usr/share."""
    variable = f"_{PROGRAM.upper().replace('-', '_')}_COMPLETE"
    scripts = {}
    for shell, file in COMPLETION_FILES.items():
        kind = get_completion_class(shell)
        assert kind is not None  # noqa: S101  (for the type checker: click has these shells)
        completion = kind(group, {}, PROGRAM, variable)
        scripts[file] = completion.source_template % completion.source_vars()  # source() would start bash
    return scripts


def _escape(text: str) -> str:
    """Return a text as roff prints it unchanged, see groff(7)."""
    escaped = text.replace("\\", r"\e").replace("-", r"\-")
    return rf"\&{escaped}" if escaped.startswith((".", "'")) else escaped
