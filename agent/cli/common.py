"""Configuration, error output and exit statuses that the commands share."""

from __future__ import annotations

import json
import sys

from agent.common.printable import escape_unprintable

TYPE_CHECKING = (
    False  # with pathlib and the checks of agent.toml it would take a third of the time of `status`
)
if TYPE_CHECKING:
    from pathlib import Path
    from typing import Any, NoReturn

    from agent.common.config import Config
    from agent.daemon.control_client import ControlError
    from agent.journal.queries import JournalUnreadable

_UNBROKEN_COLUMNS = ("id", "state", "received", "queued", "at", "sid")
"""Columns of a table that are never wrapped, so that a value can be copied."""
_MIN_COLUMN_CHARS = 16
"""Width to which every other column may shrink before the cells of a row are printed below each other."""
CONFIG_VARIABLE = "MODEM_AGENT_CONFIG"
"""Handlers have this variable, so that `modem-agent` in a handler asks the agent that runs it."""
EXIT_FAILURE, EXIT_CONFIG = 1, 2
"""Exit statuses: the command failed; the usage or the configuration cannot work."""


def load_config_or_exit(path: Path | str) -> Config:
    """Return the configuration, or print every error in it and end with exit status 2."""
    from pathlib import Path

    from agent.common.config import ConfigError, load_config

    try:
        return load_config(Path(path))
    except ConfigError as error:
        exit_with_errors(*error.errors, exit_status=EXIT_CONFIG)


def exit_with_error(error: ControlError | JournalUnreadable) -> NoReturn:
    """Print an error and end; if sudo is needed, with the line to type and exit status 2."""
    if not error.needs_sudo:
        exit_with_errors(str(error))
    import shlex

    line = shlex.join(("sudo", "modem-agent", *sys.argv[1:]))
    exit_with_errors(f"{error}: {line}", exit_status=EXIT_CONFIG)


def exit_with_errors(*errors: str, exit_status: int = EXIT_FAILURE) -> NoReturn:
    """Print each error on standard error, as a line that begins with the program's name, and end."""
    for error in errors:
        sys.stderr.write(f"modem-agent: {escape_unprintable(error)}\n")
    raise SystemExit(exit_status)


def print_json(value: Any) -> None:
    """Print a JSON document on one line; control characters become JSON escapes, harmless on a terminal."""
    document = json.dumps(value, ensure_ascii=False)
    sys.stdout.write("".join(c if c.isprintable() else _json_escape(c) for c in document) + "\n")


def _json_escape(character: str) -> str:
    """Return the JSON escapes of a character, one for each UTF-16 code unit (RFC 8259, section 7)."""
    units = character.encode("utf-16-be", "surrogatepass").hex()  # a path may have a half of a pair
    return "".join(f"\\u{units[start : start + 4]}" for start in range(0, len(units), 4))


def read_journal_rows(config_path: Path, query: str, limit: int) -> list[dict[str, Any]]:
    """Return the newest rows of a query of `agent.journal.queries`, or print the error and end."""
    from agent.journal import queries

    journal = load_config_or_exit(config_path).journal.path
    try:
        return queries.fetch_newest(journal, query, limit)
    except queries.JournalUnreadable as error:
        exit_with_error(error)
    except OSError as error:
        exit_with_errors(f"journal {journal} cannot be opened: {error.strerror}")


def print_table(rows: list[dict[str, Any]], columns: tuple[str, ...], empty_message: str) -> None:
    """Print a table without the columns that are empty in all rows.

    On a terminal that is too narrow, the cells of a row are printed below each other.
    """
    if not rows:
        sys.stdout.write(f"{empty_message}\n")
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    shown = [name for name in columns if any(row.get(name) not in (None, "", 0) for row in rows)]
    cells = [
        ["" if row[name] is None else escape_unprintable(str(row[name])) for name in shown] for row in rows
    ]
    widths = [
        max(len(text) for text in (name, *column))
        for name, column in zip(shown, zip(*cells, strict=True), strict=True)
    ]
    min_widths = [
        width if name in _UNBROKEN_COLUMNS else min(width, _MIN_COLUMN_CHARS)
        for name, width in zip(shown, widths, strict=True)
    ]
    console = Console(highlight=False)
    if console.is_terminal and sum(min_widths) + 2 * len(min_widths) > console.width:
        for row in cells:
            for name, text in zip(shown, row, strict=True):
                if text:
                    console.print(Text.assemble((f"{name:<12}", "bold"), text), soft_wrap=True)
            console.print()
        return
    if not console.is_terminal:
        console = Console(highlight=False, width=sum(widths) + 2 * len(widths) + 2)
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in shown:
        table.add_column(name, overflow="fold", no_wrap=name in _UNBROKEN_COLUMNS)
    for row in cells:
        table.add_row(*map(Text, row))
    console.print(table)
