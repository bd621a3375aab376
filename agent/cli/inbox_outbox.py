"""`modem-agent inbox` and `outbox`: what stands in the journal."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from agent.cli.common import config_option, exit_with_errors, json_option, load_config_or_exit, print_json
from agent.common.events import escape_unprintable
from agent.journal import queries

_UNBROKEN_COLUMNS = ("id", "state", "received", "queued", "at", "sid")
"""Columns that are never broken: people copy them."""

limit_option = click.option(
    "-n",
    "--limit",
    type=click.IntRange(1, 1_000_000),
    default=20,
    show_default=True,
    help="How many, the newest.",
)


@click.command()
@click.option("--strays", is_flag=True, help="Show the messages that commanded nobody, and why.")
@limit_option
@json_option
@config_option
def inbox(config_path: Path, limit: int, *, strays: bool, as_json: bool) -> None:
    """Show the Commands that came and what became of them.

    \b
    received  waits for its handler        done     its handler has ended, its answer is queued
    running   its handler is at work       failed   its handler failed, hung or does not exist
    expired   too old, kept, not run
    """
    rows = _read_rows(config_path, queries.SELECT_IGNORED if strays else queries.SELECT_COMMANDS, limit)
    if as_json:
        print_json(rows)
    elif strays:
        _print_table(rows, ("id", "at", "sender", "reason", "text"), "no strays")
    else:
        _print_table(
            rows,
            ("id", "state", "received", "sid", "body", "duplicates", "handler", "reason"),
            "no Commands yet",
        )


@click.command()
@limit_option
@json_option
@config_option
def outbox(config_path: Path, limit: int, *, as_json: bool) -> None:
    """Show the answers and what became of them.

    \b
    queued    waits to be sent             failed   refused for good, or given up
    sending   may be leaving right now     unknown  may have left; not sent again
    sent      the network took it          delivered  a status report says so
    """
    rows = _read_rows(config_path, queries.SELECT_REPLIES, limit)
    if as_json:
        print_json(rows)
    else:
        _print_table(
            rows,
            ("id", "state", "queued", "command", "destination", "text", "attempts", "reason"),
            "nothing sent yet",
        )


def _read_rows(config_path: Path, query: str, limit: int) -> list[dict[str, Any]]:
    journal = load_config_or_exit(config_path).journal.path
    try:
        return queries.fetch_newest(journal, query, limit)
    except queries.JournalUnreadable as error:
        exit_with_errors(str(error))
    except OSError as error:
        exit_with_errors(f"journal {journal} cannot be looked at: {error.strerror}")


def _print_table(rows: list[dict[str, Any]], columns: tuple[str, ...], empty_message: str) -> None:
    """A table without what is empty in all rows; on a narrow terminal each row on lines of its own."""
    if not rows:
        click.echo(empty_message)
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    shown = [name for name in columns if any(row[name] not in (None, "", 0) for row in rows)]
    cells = [
        ["" if row[name] is None else escape_unprintable(str(row[name])) for name in shown] for row in rows
    ]
    widths = [
        max(len(text) for text in (name, *column))
        for name, column in zip(shown, zip(*cells, strict=True), strict=True)
    ]
    whole = [
        width if name in _UNBROKEN_COLUMNS else min(width, 16)
        for name, width in zip(shown, widths, strict=True)
    ]
    console = Console(highlight=False)
    if console.is_terminal and sum(whole) + 2 * len(whole) > console.width:
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
