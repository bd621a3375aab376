"""`modem-agent send`: a message by hand, through the running agent."""

from __future__ import annotations

from pathlib import Path

import click

from agent.cli.common import config_option, exit_with_errors, json_option, load_config_or_exit, print_json
from agent.common.events import escape_unprintable
from agent.daemon.control_socket import ControlError, send_request


@click.command()
@click.argument("text", required=False)
@click.option("--hex", "octets", metavar="HEX", help="Send these octets as a binary message instead.")
@click.option("--to", "destination", metavar="NUMBER", help="Default: the number of the service.")
@click.option("--no-wait", is_flag=True, help="Return once it is queued.")
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
    """Send TEXT as an SMS and say what became of it.

    \b
    modem-agent send "pump is on"
    modem-agent send --hex 01FF7E
    modem-agent send "hello" --to +15557654321

    It takes its place behind the answers that are queued, and is composed like them: cut to [service]
    max_parts messages, "?" for characters that GSM 03.38 lacks unless allow_ucs2 is set; that is said.
    Exit status 0: the network took it. Where that takes minutes, it stays queued: see modem-agent outbox.
    """
    if (text is None) == (octets is None):
        raise click.UsageError("give either a TEXT or --hex HEX")
    if not (text or octets):
        raise click.UsageError("there is nothing in it to send")
    try:
        bytes.fromhex(octets or "")
    except ValueError:
        raise click.BadParameter(
            "it takes pairs of hexadecimal digits, for example 01FF", param_hint="--hex"
        ) from None
    config = load_config_or_exit(config_path)
    request = {"do": "send", "text": text, "hex": octets, "to": destination, "wait": not no_wait}
    try:
        answer = send_request(config.control.socket, request)
    except ControlError as error:
        exit_with_errors(str(error))
    except KeyboardInterrupt:
        exit_with_errors("not waited for; what is queued is sent when it can be: see modem-agent outbox")
    if as_json:
        print_json(answer)
    else:
        if answer.get("text", text) != text:
            click.echo(escape_unprintable(f"note: shortened or changed to fit: {answer['text']}"), err=True)
        for message in answer["messages"]:
            reason = f": {message['reason']}" if message["reason"] else ""
            click.echo(
                escape_unprintable(f"reply {message['reply']} to {answer['to']}: {message['state']}{reason}")
            )
    if any(message["state"] in ("failed", "unknown") for message in answer["messages"]):
        raise SystemExit(1)
