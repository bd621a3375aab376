"""`modem-agent send`: sends one SMS through the running agent."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from agent.cli.common import exit_with_error, exit_with_errors, load_config_or_exit, print_json
from agent.cli.options import config_option, json_option
from agent.common.printable import escape_unprintable
from agent.daemon.control_client import ControlError, send_request


@click.command()
@click.argument("text", required=False)
@click.option("--hex", "octets", metavar="HEX", help="Send these octets as a binary message instead.")
@click.option(
    "--to", "destination", metavar="NUMBER", help="The destination; by default the number of the service."
)
@click.option("--no-wait", is_flag=True, help="Return when the message is queued.")
@json_option
@config_option
def send(
    text: str | None,
    octets: str | None,
    destination: str | None,
    config_path: Path,
    *,
    no_wait: bool,
    as_json: bool,
) -> None:
    """Send TEXT as an SMS, wait for the result and print it.

    \b
    modem-agent send "pump is on"
    modem-agent send --hex 01FF7E
    modem-agent send "hello" --to +15557654321

    The message is queued behind the replies that wait, and composed like them: at most [service] max_parts
    SMS long, and with "?" for characters that GSM 03.38 lacks unless allow_ucs2 is set. A note says so if the
    text was changed. A message that has to wait is reported at once with the reason: a network, a limit, a
    session with the module. If the result takes more than five minutes, the command ends with exit status 1
    and the message stays queued: see modem-agent outbox.

    \b
    Exit status:
    0  the network accepted the message; with --no-wait: it is queued
    1  refused, unknown or no result yet; or no agent is running
    """
    if (text is None) == (octets is None):
        raise click.UsageError("give either TEXT or --hex HEX")
    if not (text or octets):
        raise click.UsageError("the message is empty")
    try:
        bytes.fromhex(octets or "")
    except ValueError:
        raise click.BadParameter(
            "the value must be pairs of hexadecimal digits, for example 01FF", param_hint="--hex"
        ) from None
    control_socket = load_config_or_exit(config_path).control.socket
    request = {"do": "send", "text": text, "hex": octets, "to": destination, "wait": False}
    try:
        response = send_request(control_socket, request)
        if not no_wait:
            _wait_for_outcome(control_socket, response)
        else:
            _show_wait(response)
    except ControlError as error:
        exit_with_error(error)
    except KeyboardInterrupt:
        exit_with_errors(
            "interrupted; the message stays queued and is sent when possible: see modem-agent outbox"
        )
    if as_json:
        print_json(response)
    else:
        if response.get("text", text) != text:
            click.echo(
                escape_unprintable(f"note: the text was shortened or changed: {response['text']}"), err=True
            )
        for message in response["messages"]:
            reason = f": {message['reason']}" if message["reason"] else ""
            click.echo(
                escape_unprintable(
                    f"reply {message['reply']} to {response['to']}: {message['state']}{reason}"
                )
            )
    if any(message["state"] in ("failed", "unknown") for message in response["messages"]):
        raise SystemExit(1)


def _wait_for_outcome(control_socket: Path, response: dict[str, Any]) -> None:
    """Wait until no message of the response is queued any more, and update it. Print what it waits for.

    Raises ControlError.
    """
    request: dict[str, Any] = {"do": "wait", "replies": [each["reply"] for each in response["messages"]]}
    while response.get("waiting_for") is not None:
        _show_wait(response)
        answer = send_request(control_socket, request | {"known": response["waiting_for"]})
        request["within_s"] = answer.pop("within_s")
        response |= answer


def _show_wait(response: dict[str, Any]) -> None:
    """Print what the messages wait for, if that is known."""
    if response.get("waiting_for"):
        number = response["messages"][0]["reply"]
        click.echo(escape_unprintable(f"reply {number} waits: {response['waiting_for']}"), err=True)
