"""`modem-agent status`: how the running agent is."""

from __future__ import annotations

from pathlib import Path

import click

from agent.cli.common import config_option, exit_with_errors, json_option, load_config_or_exit, print_json
from agent.common.events import escape_unprintable
from agent.daemon.control_socket import ControlError, send_request


@click.command()
@json_option
@config_option
def status(config_path: Path, *, as_json: bool) -> None:
    """Ask the running agent: module, registration, signal, queues, and what it had to put up with.

    \b
    state      what the module or its port is doing; while it does not work, the reason
    recovery   which step of help comes next, where one is needed; resets: how many are used
    held       why answers wait
    notes      what the module refused or has otherwise, and was tolerated
    commands, replies   how many, by their state: see modem-agent inbox, outbox

    Exit status 1: no agent answers.
    """
    try:
        answer = send_request(load_config_or_exit(config_path).control.socket, {"do": "status"}, timeout_s=10)
    except ControlError as error:
        exit_with_errors(str(error))
    if as_json:
        print_json(answer)
        return
    modem = answer["modem"]
    lines = {
        "agent": f"{answer['version']}, {answer['service']} ({answer['number']})",
        "state": modem.pop("state"),
    }
    if domains := modem.pop("domains", None):
        modem["domains"] = [f"{name}: {state}" for name, state in domains.items()]
    lines |= {name: _format_value(value) for name, value in modem.items()}
    recovery = answer["recovery"]
    lines["recovery"] = recovery["state"]
    lines["resets"] = (
        f"{recovery['resets_hour']} of {recovery['resets_per_hour']} this hour, "
        f"{recovery['resets_day']} of {recovery['resets_per_day']} today"
    )
    lines["held"] = _format_value(answer["held"])
    lines["damaged"] = _format_value(answer["damaged"])
    lines["commands"] = _format_value(answer["commands"])
    lines["replies"] = _format_value(answer["replies"])
    lines["running"] = _format_value(answer["running"])
    lines["stuck"] = _format_value(answer["late"])
    width = max(len(name) for name in lines)
    for name, text in lines.items():
        if text:
            click.echo(escape_unprintable(f"{name.replace('_', ' '):<{width}}  {text}"))


def _format_value(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{_format_value(each)} {name}" for name, each in value.items())
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(_format_value(each) for each in value)
    return "" if value is None else str(value)
