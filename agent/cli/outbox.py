"""`modem-agent outbox`: lists the replies and other sent messages in the journal."""

from __future__ import annotations

from pathlib import Path

import click

from agent.cli.common import print_json, print_table, read_journal_rows
from agent.cli.options import config_option, json_option, limit_option
from agent.cli.why import parse_number_or_exit, show_reply
from agent.journal.queries import SELECT_REPLIES


@click.command()
@click.argument("which", metavar="[NUMBER]", required=False)
@limit_option
@json_option
@config_option
def outbox(which: str | None, config_path: Path, limit: int, *, as_json: bool) -> None:
    """List the replies and other outgoing messages, newest last; or show everything about one.

    \b
    modem-agent outbox                    the newest 20
    modem-agent outbox 7                  message 7: times, attempts, what was sent, status reports

    \b
    queued   waits to be sent            failed     refused for good, or given up
    sending  may be leaving right now    unknown    may have been sent; not sent again
    sent     accepted by the network     delivered  confirmed by a status report

    omitted is the number of characters that were cut off a text that was too long for [service] max_parts.
    """
    if which is not None:
        show_reply(config_path, parse_number_or_exit(which, "outbox"), as_json=as_json)
        return
    rows = read_journal_rows(config_path, SELECT_REPLIES, limit)
    if as_json:
        print_json(rows)
    else:
        columns = ("id", "state", "queued", "command", "destination", "text", "omitted", "attempts", "reason")
        print_table(rows, columns, "no messages yet")
