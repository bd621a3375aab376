"""`modem-agent status`: shows the state of the running agent and its module."""

from __future__ import annotations

from pathlib import Path

import click

from agent.cli.common import EXIT_CONFIG, exit_with_errors, load_config_or_exit
from agent.cli.options import config_option, json_option
from agent.cli.show_status import show_status
from agent.cli.styled_text import standard_display


@click.command()
@click.option("--check", is_flag=True, help="Print one line: whether Commands can be received and answered.")
@click.option("--watch", is_flag=True, help="Show it until q or Ctrl-C, with each change as it happens.")
@json_option
@config_option
def status(config_path: Path, *, check: bool, watch: bool, as_json: bool) -> None:
    """Show the state of the running agent on one screen.

    \b
    SIM, operator     what is in use
    signal            the last value, and a chart of the last hours (one value in 5 minutes)
    registration      in the network, and in each domain if they differ
    session           connection to the module: its number since the start, and for how long
    last Command      the newest, and the newest answer: see modem-agent why
    waiting           what has not been run or sent yet
    Commands, answers how many of each state are in the journal: see modem-agent inbox, outbox
    ignored           messages that are not Commands: see modem-agent inbox --ignored
    sent              messages against the limits, and their cost if service.price_per_message is set
    resets            of the module by the agent, against the limits

    These are shown only if there is something to say:

    \b
    no session        since when there is no connection to the module, and why
    recovery          the next recovery action
    not done          the recovery action that was due and not allowed or not possible
    sending           a message whose result is missing; the module is asked nothing until it comes
    held              why replies wait
    read error        why the module does not let its messages be read
    port conflict     the last traces of another program on the port, since the agent started
    alarm             the problem for which the program of [alarm] was called, or why that failed
    journal error     why the journal cannot be written, and since when
    volatile          why the journal does not survive a loss of power
    damaged           copies of damaged journals that were set aside
    overdue           tasks that have missed their deadline
    handler error     a handler file with a mistake; the others work
    note              a refusal or deviation of the module that the agent works around

    While the status is watched, registration and signal are queried about every 15 s instead of every 5
    minutes.

    \b
    Exit status:
    1  no agent is running; with --check also: Commands cannot be received or answered
    """
    if watch and (check or as_json):
        raise click.UsageError("--watch shows a screen; for scripts type: modem-agent status --json")
    if watch:
        from agent.cli.status_watch import watch_status

        path = load_config_or_exit(config_path).control.socket
        if not standard_display().columns:
            exit_with_errors(
                "--watch needs a terminal; for scripts type: modem-agent status --json",
                exit_status=EXIT_CONFIG,
            )
        watch_status(path)
        return
    show_status(config_path, check=check, as_json=as_json)
