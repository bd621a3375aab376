"""`modem-agent inbox`: lists the Commands and the ignored messages in the journal, or shows one of them."""

from __future__ import annotations

from pathlib import Path

import click

from agent.cli.common import print_json, print_table, read_journal_rows
from agent.cli.options import config_option, json_option, limit_option
from agent.cli.why import parse_number_or_exit, show_command, show_ignored
from agent.journal.queries import SELECT_COMMANDS, SELECT_IGNORED


@click.command()
@click.argument("which", metavar="[NUMBER]", required=False)
@click.option("--ignored", is_flag=True, help="List the messages that are not Commands, and why.")
@limit_option
@json_option
@config_option
def inbox(which: str | None, config_path: Path, limit: int, *, ignored: bool, as_json: bool) -> None:
    """List the received Commands, newest last, with state and handler; or show everything about one.

    \b
    modem-agent inbox                     the newest 20
    modem-agent inbox 12                  Command 12, as modem-agent why 12
    modem-agent inbox --ignored 3         the ignored message 3, and why it is one

    \b
    received  waits for its handler     done     the handler succeeded, its reply is queued
    running   its handler is running    failed   the handler failed, timed out or does not exist
    expired   too old; not run
    """
    if which is not None and ignored:
        show_ignored(config_path, parse_number_or_exit(which, "inbox --ignored"), as_json=as_json)
        return
    if which is not None:
        show_command(config_path, which, as_json=as_json)
        return
    rows = read_journal_rows(config_path, SELECT_IGNORED if ignored else SELECT_COMMANDS, limit)
    if as_json:
        print_json(rows)
    elif ignored:
        print_table(rows, ("id", "at", "sender", "reason", "text", "handler_state"), "no ignored messages")
    else:
        columns = ("id", "state", "received", "sid", "body", "duplicates", "handler", "reason")
        print_table(rows, columns, "no Commands yet")
