"""`modem-agent why`: everything about one Command. `inbox` and `outbox` show the same for a number."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TypeVar

import click

from agent.cli.common import EXIT_CONFIG, exit_with_error, exit_with_errors, load_config_or_exit, print_json
from agent.cli.message_screen import make_command_lines, make_ignored_lines, make_reply_lines
from agent.cli.options import config_option, json_option
from agent.cli.styled_text import Row, format_rows, print_lines, standard_display
from agent.journal.command_record import (
    CommandRecord,
    UnknownSid,
    find_by_id,
    find_by_sid,
    find_ignored,
    find_reply,
)
from agent.journal.queries import JournalUnreadable, format_row

R = TypeVar("R")
MAX_ID_DIGITS = 18
"""The greatest integer of SQLite has 19."""
_SID_RE = re.compile(r"[A-Za-z]{2}[0-9A-Za-z]{0,32}")


@click.command()
@click.argument("which", metavar="SID|NUMBER")
@json_option
@config_option
def why(which: str, config_path: Path, *, as_json: bool) -> None:
    """Explain a Command: its state, what led to it, and what to do.

    \b
    modem-agent why HC0123                the beginning of its SID is enough
    modem-agent why 12                    its number in modem-agent inbox

    It shows the times of each state, the attempts of the handler and what it wrote to its standard error, the
    answer as it was sent with its message reference and status reports, what was cut off, and further
    deliveries. The agent need not run.

    \b
    Exit status:
    1  there is no such Command, or several SIDs begin so
    """
    show_command(config_path, which, as_json=as_json)


def show_command(config_path: Path, which: str, *, as_json: bool) -> None:
    """Show a Command by its number or SID, or print the reason why it cannot be shown and end."""
    journal = load_config_or_exit(config_path).journal
    if which.isdecimal():
        found = _read(lambda: find_by_id(journal.path, _parse_number(which)))
        if found is None:
            exit_with_errors(
                f"there is no Command {which}: modem-agent inbox lists those of {journal.keep_days:g} days"
            )
    elif _SID_RE.fullmatch(which):
        answer = _read(lambda: find_by_sid(journal.path, which))
        found = answer if isinstance(answer, CommandRecord) else None
        if isinstance(answer, UnknownSid):
            exit_with_errors(*_explain_unknown(which, answer, journal.keep_days))
    else:
        exit_with_errors(
            f"{which} is neither a number nor a SID: modem-agent inbox lists both", exit_status=EXIT_CONFIG
        )
    assert found is not None  # noqa: S101  (for the type checker: the other cases have ended)
    if as_json:
        print_json(found.to_json())
    else:
        _print(make_command_lines(found, time.time()))


def show_reply(config_path: Path, reply_id: int, *, as_json: bool) -> None:
    """Show a message of the outbox, or print the reason why it cannot be shown and end."""
    path = load_config_or_exit(config_path).journal.path
    reply = _read(lambda: find_reply(path, reply_id))
    if reply is None:
        exit_with_errors(f"there is no message {reply_id}: modem-agent outbox lists them")
    if as_json:
        print_json(format_row(reply) | {"reports": [format_row(report) for report in reply["reports"]]})
        return
    _print(make_reply_lines(reply, time.time()))
    if reply["command_id"] is not None:
        _print(
            [
                Row("", ""),
                Row("", f"It answers Command {reply['command_id']}: modem-agent why {reply['command_id']}"),
            ]
        )


def show_ignored(config_path: Path, ignored_id: int, *, as_json: bool) -> None:
    """Show an ignored message, or print the reason why it cannot be shown and end."""
    path = load_config_or_exit(config_path).journal.path
    ignored = _read(lambda: find_ignored(path, ignored_id))
    if ignored is None:
        exit_with_errors(f"there is no ignored message {ignored_id}: modem-agent inbox --ignored lists them")
    if as_json:
        print_json(format_row(ignored))
    else:
        _print(make_ignored_lines(ignored, time.time()))


def parse_number_or_exit(text: str, list_command: str) -> int:
    """Return the number of a row, or say which command lists them and end with exit status 2."""
    if not text.isdecimal():
        exit_with_errors(
            f"{text} is not a number: modem-agent {list_command} lists them", exit_status=EXIT_CONFIG
        )
    return _parse_number(text)


def _parse_number(digits: str) -> int:
    """Return the number of a row; one that is too long for the journal is 0, which no row has."""
    return int(digits) if len(digits) <= MAX_ID_DIGITS else 0


def _explain_unknown(which: str, known: UnknownSid, keep_days: float) -> list[str]:
    if known.candidates:
        return [f"{len(known.candidates)} SIDs begin with {which}; the newest are:", *known.candidates]
    if known.pruned_id is not None:
        text = f"{which} was Command {known.pruned_id}; its text was deleted after {keep_days:g} days"
    elif known.ignored_id is not None:
        text = f"{which} is in an ignored message: modem-agent inbox --ignored {known.ignored_id}"
    elif which[:2].upper() not in {"DC", "HC"}:
        text = (
            f"{which} is no SID of a Command, which begins with DC or HC: find the Command by its text in "
            "modem-agent inbox"
        )
    else:
        text = (
            f"no Command with the SID {which} is in the journal: it has not arrived (sudo modem-agent "
            "doctor), or the SID is not in its text (find it in modem-agent inbox, or inbox --ignored)"
        )
    return [text]


def _read(query: Callable[[], R]) -> R:
    try:
        return query()
    except JournalUnreadable as error:
        exit_with_error(error)
    except OSError as error:
        exit_with_errors(f"the journal cannot be opened: {error.strerror}")


def _print(lines: Iterable[Row]) -> None:
    display = standard_display()
    print_lines(format_rows(lines, display))
