"""`modem-agent status`: shows the state of the running agent and its module."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from agent.cli.common import (
    EXIT_FAILURE,
    config_option,
    exit_with_errors,
    json_option,
    load_config_or_exit,
    print_json,
)
from agent.common.events import escape_unprintable
from agent.daemon.control_client import ControlError, send_request


@click.command()
@click.option("--check", is_flag=True, help="Print one line: whether Commands can be received and answered.")
@json_option
@config_option
def status(config_path: Path, *, check: bool, as_json: bool) -> None:
    """Show the state of the running agent: module, registration, signal, recovery and queues.

    \b
    problems          why Commands cannot be received or answered now
    state             state of the module and its port; while it does not work, the reason
    port conflict     the last traces of another program on the port, since the agent started
    recovery, resets  the next recovery action, if one is needed; resets used and allowed
    not done          the recovery action that was due and not allowed or not possible
    sending           a message whose result is missing; the module is asked nothing until it comes
    held              why replies wait
    notes             refusals and deviations of the module that the agent works around
    handler errors    handler files with a mistake; the others work
    journal error     why the journal cannot be written, and since when
    volatile journal  why the journal does not survive a loss of power
    damaged journals  copies of damaged journals that were set aside
    commands, replies number in each state: see modem-agent inbox, outbox
    overdue           tasks that have missed their deadline

    \b
    Exit status:
    1  no agent is running; with --check also: Commands cannot be received or answered
    """
    try:
        response = send_request(
            load_config_or_exit(config_path).control.socket, {"do": "status"}, timeout_s=10
        )
    except ControlError as error:
        exit_with_errors(str(error))
    if "problems" not in response:
        exit_with_errors(
            f"the running agent is version {response.get('version', 'unknown')} and does not report all that "
            "this command shows: restart it (sudo systemctl restart modem-agent)"
        )
    problems = response["problems"] if check else []
    if as_json:
        print_json(response)
    elif problems:
        exit_with_errors(problems[0])
    elif check:
        click.echo("Commands can be received and answered")
    else:
        _print_rows(response)
    if problems:
        raise SystemExit(EXIT_FAILURE)


def _print_rows(response: dict[str, Any]) -> None:
    rows = {name.replace("_", " "): _format_value(value) for name, value in _make_rows(response).items()}
    width = max(len(name) for name in rows)
    for name, text in rows.items():
        if text:
            click.echo(escape_unprintable(f"{name:<{width}}  {text}"))


def _make_rows(response: dict[str, Any]) -> dict[str, object]:
    """Return name and value of each line, in order; an empty value is not shown."""
    modem = dict(response["modem"])
    recovery = response["recovery"]
    rows: dict[str, object] = {
        "agent": f"{response['version']}, {response['service']} ({response['number']})",
        "problems": "; ".join(response["problems"]),
        "state": modem.pop("state"),
    }
    modem.pop("failed_part", None)
    modem.pop("problem", None)  # the state has the same text
    if domains := modem.pop("domains", None):
        modem["domains"] = [f"{name}: {state}" for name, state in domains.items()]
    return (
        rows
        | modem
        | {
            "port_conflict": response["port_conflict"],
            "recovery": recovery["state"],
            "not_done": recovery["not_done"],
            "resets": (
                f"{recovery['resets_hour']} of {recovery['resets_per_hour']} this hour, "
                f"{recovery['resets_day']} of {recovery['resets_per_day']} today"
            ),
            "held": response["held"],
            "handler_errors": "; ".join(response["handler_errors"]),
            "last_command": _format_last(response["last_command"], "received", "sid"),
            "last_answer": _format_last(response["last_answer"], "sent"),
            **{
                name: response[name]
                for name in (
                    "journal_error",
                    "volatile_journal",
                    "damaged_journals",
                    "commands",
                    "replies",
                    "running",
                    "overdue",
                )
            },
        }
    )


def _format_last(row: dict[str, Any] | None, *names: str) -> str:
    """Return number and state of the last Command or answer, and these further values of it."""
    if row is None:
        return ""
    details = [f"{name} {row[name]}" for name in names if row[name] is not None]
    return ", ".join((f"{row['id']} {row['state']}", *details))


def _format_value(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{_format_value(count)} {name}" for name, count in value.items())
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(_format_value(item) for item in value)
    return "" if value is None else str(value)
