"""Options, configuration, error output and exit statuses that the commands share."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

from agent.common.config import DEFAULT_CONFIG_PATH, Config, ConfigError, load_config
from agent.common.events import escape_unprintable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agent.at.transport.base import TransportOpener
    from agent.modem.sim import Pin

SIM_PIN_CREDENTIAL = "sim-pin"
"""Name of the systemd credential that holds the PIN."""
_UNBROKEN_COLUMNS = ("id", "state", "received", "queued", "at", "sid")
"""Columns of a table that are never wrapped, so that a value can be copied."""
_MIN_COLUMN_CHARS = 16
"""Width to which every other column may shrink before the cells of a row are printed below each other."""
EXIT_FAILURE, EXIT_CONFIG = 1, 2
"""Exit statuses: the command failed; the usage or the configuration cannot work."""

config_option = click.option(
    "--config",
    "config_path",
    type=click.Path(path_type=Path, readable=False),
    default=DEFAULT_CONFIG_PATH,
    show_default=True,
    metavar="FILE",
    help="The configuration file.",
)
limit_option = click.option(
    "-n",
    "--limit",
    type=click.IntRange(1, 1_000_000),
    default=20,
    show_default=True,
    help="Number of rows to list, the newest ones.",
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON document, for scripts.")


def load_config_or_exit(path: Path) -> Config:
    """Return the configuration, or print every error in it and end with exit status 2."""
    try:
        return load_config(path)
    except ConfigError as error:
        exit_with_errors(*error.errors, exit_status=EXIT_CONFIG)


def make_port_opener(path: Path, config: Config) -> TransportOpener:
    """Return the opener for the port that the configuration names. Raises ConfigError."""
    from agent.at.transport.open import make_opener

    try:
        return make_opener(config.modem.port, config.modem.baud)
    except ValueError as error:
        raise ConfigError(f"{path}: modem.port: {error}") from None


def check_init(path: Path, config: Config) -> None:
    """Raise ConfigError if a command of `modem.init` is none or would break the agent."""
    from agent.modem.init_commands import check_init_commands

    if errors := check_init_commands(config.modem.init):
        raise ConfigError(*(f"{path}: {error}" for error in errors))


def load_sim_pin(path: Path, config: Config, environ: Mapping[str, str]) -> Pin | None:
    """Return the PIN from `modem.pin_file`, else from the systemd credential; None if neither exists.

    A PIN from `modem.pin_file` can be reloaded while the agent runs; systemd copies a credential only when it
    starts the service. Raises ConfigError if the file cannot be used; the text never shows its content.
    """
    from agent.modem.error import SimUnusable
    from agent.modem.sim import Pin

    file = config.modem.pin_file
    key = f"{path}: modem.pin_file: {file}"
    if file is None:
        if not (folder := environ.get("CREDENTIALS_DIRECTORY")):
            return None
        file = Path(folder) / SIM_PIN_CREDENTIAL
        key = f"the systemd credential {SIM_PIN_CREDENTIAL}"
        if not file.exists():
            return None
    digits = _read_pin(file, key, private=config.modem.pin_file is not None)
    if config.modem.pin_file is None:
        return Pin(digits, f"the credential {SIM_PIN_CREDENTIAL}")

    def reload() -> Pin:
        try:
            return Pin(_read_pin(file, key, private=True), str(file), reload)
        except ConfigError as error:
            raise SimUnusable(f"the SIM asks for its PIN; {error}") from None

    return Pin(digits, str(file), reload)


def _read_pin(file: Path, key: str, *, private: bool) -> str:
    """Return the digits in a file.

    Raises ConfigError, with `private` also if every user may read the file.
    """
    try:
        readable_by_all = private and file.stat().st_mode & 0o007
        digits = file.read_text("ascii", "replace").strip()
    except OSError as error:
        raise ConfigError(f"{key}: {error.strerror or error}") from None
    if readable_by_all:
        raise ConfigError(f"{key} can be read by every user; run: chmod o= {file}")
    if not (digits.isascii() and digits.isdigit() and 4 <= len(digits) <= 8):
        raise ConfigError(f"{key} must contain the PIN of the SIM and nothing else: 4 to 8 digits")
    return digits


def exit_with_errors(*errors: str, exit_status: int = EXIT_FAILURE) -> NoReturn:
    """Print each error on standard error, as a line that begins with the program's name, and end."""
    for error in errors:
        click.echo(f"modem-agent: {escape_unprintable(error)}", err=True)
    raise SystemExit(exit_status)


def print_json(value: Any) -> None:
    """Print a JSON document on one line; control characters become JSON escapes, harmless on a terminal."""
    document = json.dumps(value, ensure_ascii=False)
    click.echo("".join(c if c.isprintable() else _json_escape(c) for c in document))


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
        exit_with_errors(str(error))
    except OSError as error:
        exit_with_errors(f"journal {journal} cannot be opened: {error.strerror}")


def print_table(rows: list[dict[str, Any]], columns: tuple[str, ...], empty_message: str) -> None:
    """Print a table without the columns that are empty in all rows.

    On a terminal that is too narrow, the cells of a row are printed below each other.
    """
    if not rows:
        click.echo(empty_message)
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
