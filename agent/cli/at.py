"""`modem-agent at`: executes one AT command through the running agent."""

from __future__ import annotations

import shlex
from pathlib import Path

import click

from agent.cli.common import exit_with_error, load_config_or_exit, print_json
from agent.cli.options import config_option, json_option
from agent.common.printable import escape_unprintable
from agent.daemon.control_client import ControlError, send_request


@click.command()
@click.argument("line", metavar="COMMAND")
@click.option("--force", is_flag=True, help="Execute a command that may have a lasting effect.")
@click.option("--quiet", "-q", is_flag=True, help="Print the answer alone, without OK, for scripts.")
@json_option
@config_option
def at(line: str, config_path: Path, *, force: bool, quiet: bool, as_json: bool) -> None:
    """Execute one AT command on the module and print its response.

    \b
    modem-agent at AT+CSQ
    operator=$(modem-agent at --quiet AT+COPS?)
    modem-agent at 'AT+CPMS?'

    The agent sends it between two of its own commands and checks its settings afterwards. A command that may
    have a lasting effect, such as AT+CFUN=0 or AT+CMGD=1, is executed with --force only.

    \b
    Exit status:
    0  the module answered OK
    1  the module refused, or did not answer; the agent asks for --force, or none is running
    """
    if line[:2].upper() != "AT":
        prefix = "AT" if len(line) == 1 or not line[:1].isalnum() else "AT+"
        raise click.UsageError(f"an AT command begins with AT: modem-agent at {shlex.quote(prefix + line)}")
    request = {"do": "at", "line": line} | ({"force": True} if force else {})
    try:
        response = send_request(load_config_or_exit(config_path).control.socket, request)
    except ControlError as error:
        exit_with_error(error)
    if as_json:
        print_json(response)
    else:
        for response_line in response["lines"]:
            click.echo(escape_unprintable(response_line))
        if not quiet:
            click.echo("OK")
