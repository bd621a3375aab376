"""`modem-agent at`: one AT command, through the running agent."""

from __future__ import annotations

from pathlib import Path

import click

from agent.cli.common import config_option, exit_with_errors, json_option, load_config_or_exit, print_json
from agent.common.events import escape_unprintable
from agent.daemon.control_socket import ControlError, send_request


@click.command()
@click.argument("line", metavar="COMMAND")
@json_option
@config_option
def at(line: str, config_path: Path, *, as_json: bool) -> None:
    """Ask the module something, between two commands of the agent's own.

    \b
    modem-agent at AT+CSQ
    modem-agent at 'AT+CPMS?'

    The agent looks at its settings again afterwards. Exit status 1: the module refused, or did not answer.
    """
    try:
        answer = send_request(load_config_or_exit(config_path).control.socket, {"do": "at", "line": line})
    except ControlError as error:
        exit_with_errors(str(error))
    if as_json:
        print_json(answer)
    else:
        for each in answer["lines"]:
            click.echo(escape_unprintable(each))
        click.echo("OK")
