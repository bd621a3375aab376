"""`modem-agent handlers`: lists the handlers, runs one as the agent would, copies a ready one."""

from __future__ import annotations

import asyncio
import os
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from agent.cli.common import (
    CONFIG_VARIABLE,
    EXIT_CONFIG,
    EXIT_FAILURE,
    exit_with_errors,
    load_config_or_exit,
    print_json,
    print_table,
)
from agent.cli.options import config_option, json_option
from agent.common.printable import escape_unprintable

if TYPE_CHECKING:
    from agent.diagnosis.handler_trial import Trial
    from agent.handlers.registry import HandlerRegistry
    from agent.handlers.spec import HandlerSpec

_COLUMNS = ("trigger", "kind", "file", "timeout_s", "max_age_s", "repeatable", "reply_to")


@click.group()
def handlers() -> None:
    """List the handlers, run one as the agent would, add one that comes with the program."""


@handlers.command("list", short_help="Show each handler with its limits, and each mistake.")
@json_option
@config_option
def list_handlers(config_path: Path, *, as_json: bool) -> None:
    """Show which Commands have a handler, with its file and limits; the mistakes; the ready handlers.

    \b
    trigger     first word of a text, "JSON key", binary prefix in hex, port, or what else it gets
    timeout_s   its time limit in seconds
    max_age_s   older Commands do not run
    repeatable  whether it may run again after an interrupted run
    reply_to    the number that its replies go to, if it is not the sender

    The files are read as they are now; a running agent has those of its start or of its last reload.

    \b
    Exit status:
    1  a handler has a mistake
    2  there is no directory of handlers, or wrong usage
    """
    from agent.forwarding.targets import list_specs
    from agent.handlers.registry import HandlerConfigError, load_registry
    from agent.handlers.results import ResourceExhausted
    from agent.handlers.runner import ProcessRunner
    from agent.installation.ready_handlers import list_ready_handlers

    config = load_config_or_exit(config_path)
    settings = config.handlers

    async def load() -> HandlerRegistry:
        runner = ProcessRunner(lambda _: None)
        try:
            return await load_registry(settings.directory, runner, forwarding=list_specs(config))
        finally:
            await runner.close()

    try:
        registry = asyncio.run(load())
    except (HandlerConfigError, ResourceExhausted) as error:
        exit_with_errors(str(error), exit_status=EXIT_CONFIG)
    rows = [_describe_handler(spec, settings.timeout_s, settings.max_age_s) for spec in registry.specs]
    errors = [error for sentences in registry.unusable.values() for error in sentences]
    present = {spec.file.stem for spec in registry.specs if spec.file is not None}
    ready = {name: each.summary for name, each in list_ready_handlers().items() if name not in present}
    if as_json:
        print_json({"handlers": rows, "errors": errors, "warnings": registry.warnings, "ready": ready})
    else:
        shown = [row | {"repeatable": "yes" if row["repeatable"] else ""} for row in rows]
        print_table(shown, _COLUMNS, "")
        for label, sentences in (("error", errors), ("warning", registry.warnings)):
            for sentence in sentences:
                click.echo(escape_unprintable(f"{label}: {sentence}"))
        if ready:
            click.echo("\nReady to be added with `modem-agent handlers enable NAME`:")
            for name, summary in ready.items():
                click.echo(f"  {name:<12} {summary}")
    raise SystemExit(EXIT_FAILURE if errors else 0)


def _describe_handler(spec: HandlerSpec, timeout_s: float, max_age_s: float | None) -> dict[str, Any]:
    """Return a handler as JSON values; a limit that it does not set is the one of agent.toml."""
    triggers = [*spec.words, *(f'"{key}"' for key in spec.json_keys)]
    triggers += [prefix.hex().upper() for prefix in spec.prefixes]
    triggers += [f"port {port}" for port in spec.ports]
    if spec.default:
        triggers.append("all other Commands")
    elif spec.ignored:
        triggers.append("ignored messages")
    elif not triggers:
        triggers.append("binary Commands")
    has_no_limit = spec.kind in {"builtin", "forwarding"}
    return {
        "name": spec.name,
        "trigger": ", ".join(triggers),
        "kind": spec.kind,
        "file": None if spec.file is None else spec.location,
        "timeout_s": None if has_no_limit else spec.timeout_s or timeout_s,
        "max_age_s": spec.max_age_s or max_age_s,
        "repeatable": spec.repeatable,
        "reply_to": spec.reply_to,
        "then": None if spec.then is None else str(spec.then),
        "error": spec.error or None,
    }


@handlers.command("test", short_help="Run a handler as the agent would, and show its reply.")
@click.argument("words", nargs=-1, metavar="[TEXT]")
@click.option("--hex", "hex_digits", metavar="HEX", help="Test a binary Command with these octets.")
@click.option("--port", type=click.IntRange(0, 65535), help="Test a message to this application port.")
@click.option("--sid", help="The SID of the Command; without it the handler gets none.")
@click.option("--then", "with_action", is_flag=True, help="Also run the action that follows the reply.")
@click.option(
    "--as-service",
    is_flag=True,
    help="Run it with the user, the rights and the environment of the service (root only).",
)
@json_option
@config_option
def test_handler(
    words: tuple[str, ...],
    hex_digits: str | None,
    port: int | None,
    sid: str | None,
    config_path: Path,
    *,
    with_action: bool,
    as_service: bool,
    as_json: bool,
) -> None:
    """Run the handler of a Command once, now, and show what the agent would send.

    \b
    modem-agent handlers test 'led on'
    modem-agent handlers test --hex 0107
    sudo modem-agent handlers test --as-service restart nginx

    The handler really runs, with the arguments, the limits and the working directory that the agent gives it.
    Without --as-service it has the rights and the environment of this shell. Nothing is sent, and the
    running agent is not involved.

    \b
    Exit status:
    1  the handler failed, or there is none
    """
    from agent.diagnosis.handler_trial import run_trial
    from agent.handlers.api import Command
    from agent.handlers.registry import HandlerConfigError
    from agent.handlers.results import ResourceExhausted
    from agent.service.profile import SERVICE_PROFILES

    config_path = config_path.absolute()
    settings = load_config_or_exit(config_path)
    body = _parse_body(words, hex_digits)
    if as_service:
        _run_as_service(config_path)
    number = SERVICE_PROFILES[settings.service.name].number
    os.chdir("/")  # the working directory of a service
    try:
        command = Command.of(body, sid=sid, sender=number, port=port)
        environment = os.environ | {CONFIG_VARIABLE: str(config_path)}
        trial = asyncio.run(run_trial(settings, command, environment, with_action=with_action))
    except (HandlerConfigError, ResourceExhausted) as error:
        exit_with_errors(str(error), exit_status=EXIT_CONFIG)
    if as_json:
        print_json(asdict(trial))
    else:
        _print_trial(trial)
    raise SystemExit(0 if trial.succeeded else EXIT_FAILURE)


def _parse_body(words: tuple[str, ...], hex_digits: str | None) -> str | bytes:
    if (hex_digits is None) == (not words):
        raise click.UsageError("give the text of a Command, or --hex with its octets")
    if hex_digits is None:
        return " ".join(words)
    try:
        return bytes.fromhex(hex_digits)
    except ValueError:
        raise click.UsageError("--hex takes pairs of hexadecimal digits, for example 01FF") from None


def _run_as_service(config_path: Path) -> None:
    """Replace this process by the same command in the sandbox of the unit, without --as-service."""
    from agent.diagnosis.service_sandbox import ServiceSandboxUnavailable, exec_in_sandbox
    from agent.installation.plan import find_device

    try:
        exec_in_sandbox(find_device(config_path).unit)
    except ServiceSandboxUnavailable as error:
        exit_with_errors(str(error))


def _print_trial(trial: Trial) -> None:
    rows = {
        "handler": " ".join(filter(None, (trial.handler, trial.location and f"({trial.location})"))),
        "result": f"{trial.result}, {trial.seconds:.2f} s" if trial.handler else trial.result,
        "stderr": trial.stderr,
        "reply": trial.reply if trial.reply is not None else "none" if trial.succeeded else "",
        "length": trial.length and f"{trial.length}, {_count_messages(trial.messages)} to {trial.reply_to}",
        "cut": trial.omitted and f"the last {trial.omitted} characters are not sent ([service] max_parts)",
        "then": trial.then,
    }
    for name, value in rows.items():
        for number, line in enumerate(str(value or "").splitlines()):
            click.echo(f"{'' if number else name:<8}  {escape_unprintable(line)}")
    if not os.environ.get("INVOCATION_ID"):  # systemd.exec(5): set for each unit
        user = "root" if os.geteuid() == 0 else "this user"
        click.echo(
            f"\nIt ran with the rights of {user}. The service may do less: "
            "sudo modem-agent handlers test --as-service ... runs it with those."
        )


def _count_messages(count: int) -> str:
    return "1 SMS" if count == 1 else f"{count} SMS"


@handlers.command(short_help="Add a handler that comes with the program.")
@click.argument("name")
@config_option
def enable(name: str, config_path: Path) -> None:
    """Copy a ready handler to the directory of handlers, and say which rights it needs.

    `modem-agent handlers list` shows their names. A file that exists is not overwritten. The running agent
    takes the handler at the next reload.
    """
    from agent.installation.changes import SetupError
    from agent.installation.plan import find_device
    from agent.installation.ready_handlers import copy_handler, list_ready_handlers

    ready = list_ready_handlers()
    if name not in ready:
        raise click.UsageError(f"there is no ready handler {name}; there are {', '.join(ready)}")
    try:
        for path in copy_handler(ready[name], load_config_or_exit(config_path).handlers.directory):
            click.echo(f"{path} written")
    except SetupError as error:
        exit_with_errors(str(error))
    if rights := ready[name].rights:
        click.echo(f"\n{rights}")
    click.echo(f"\nThen: sudo systemctl reload {find_device(config_path).unit.removesuffix('.service')}")
