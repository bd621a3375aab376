"""`modem-agent inbox`: lists the Commands and the ignored messages in the journal."""

from __future__ import annotations

from pathlib import Path

import click

from agent.cli.common import (
    config_option,
    json_option,
    limit_option,
    print_json,
    print_table,
    read_journal_rows,
)
from agent.journal.queries import SELECT_COMMANDS, SELECT_IGNORED


@click.command()
@click.option("--ignored", is_flag=True, help="List the messages that are not Commands, and why.")
@limit_option
@json_option
@config_option
def inbox(config_path: Path, limit: int, *, ignored: bool, as_json: bool) -> None:
    """List the received Commands, newest last, with state and handler.

    \b
    received  waits for its handler     done     the handler succeeded, its reply is queued
    running   its handler is running    failed   the handler failed, timed out or does not exist
    expired   too old; not run
    """
    rows = read_journal_rows(config_path, SELECT_IGNORED if ignored else SELECT_COMMANDS, limit)
    if as_json:
        print_json(rows)
    elif ignored:
        print_table(rows, ("id", "at", "sender", "reason", "text", "handler_state"), "no ignored messages")
    else:
        columns = ("id", "state", "received", "sid", "body", "duplicates", "handler", "reason")
        print_table(rows, columns, "no Commands yet")
