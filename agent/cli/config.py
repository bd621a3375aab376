"""`modem-agent config check`: reports all errors in agent.toml and in the files and ports that it names."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import click

from agent.cli.common import EXIT_CONFIG, exit_with_errors
from agent.cli.module_settings import check_init, load_sim_pin, make_port_opener
from agent.cli.options import config_option
from agent.common.config import Config


@click.group()
def config() -> None:
    """Check agent.toml and the handlers."""


@config.command(short_help="Report every error in agent.toml and the handlers.")
@config_option
def check(config_path: Path) -> None:
    """Report every error in agent.toml and in the handlers it names.

    Python handlers are loaded in a separate process, as the agent loads them. The module and a running agent
    are not touched. For a port that does not exist and a journal in memory a note is printed, not an error.

    \b
    Exit status:
    0  the agent can start with this configuration
    2  there is an error, or wrong usage
    """
    from agent.diagnosis.configuration import HandlerReport, check_handlers, check_settings
    from agent.diagnosis.forwarding_checks import forwards
    from agent.forwarding.network_errors import NO_NETWORK
    from agent.installation.plan import find_device
    from agent.journal.mounts import explain_volatile

    report = check_settings(config_path, SETTING_CHECKS)
    settings, errors = report.settings, list(report.errors)
    if "modem.port" not in report.unknown_keys:
        errors += _check_port(f"{config_path}: modem.port", settings.modem.port)
    handlers = HandlerReport()
    if "handlers.directory" not in report.unknown_keys:
        handlers = asyncio.run(check_handlers(settings))
    for note in (*report.notes, *handlers.notes):
        click.echo(f"note: {note}", err=True)
    errors += handlers.errors
    is_journal_known = "journal.path" not in report.unknown_keys and not settings.journal.allow_volatile
    if is_journal_known and (volatile := explain_volatile(settings.journal.path)):
        click.echo(f"warning: {config_path}: journal.path: {volatile}", err=True)
    if forwards(settings) and not find_device(config_path).may_use_network:
        click.echo(f"warning: {config_path}: {NO_NETWORK}", err=True)
    if errors:
        exit_with_errors(*errors, exit_status=EXIT_CONFIG)
    triggers = ", ".join(handlers.triggers)
    click.echo(
        f"{config_path} is valid: {settings.service.name} on {settings.modem.port}, handlers {triggers}"
    )


def check_pin(path: Path, settings: Config) -> None:
    """Raise ConfigError if `modem.pin_file` cannot be used."""
    load_sim_pin(path, settings, {})


SETTING_CHECKS = (make_port_opener, check_pin, check_init)
"""The checks that need more of the agent than agent.toml and this package."""


def _check_port(key: str, port: str) -> list[str]:
    """Return the error of a port that is not a serial port; print a note on one that does not exist."""
    from hardware.header_uart import explain_debug_plug
    from hardware.serial_device import explain_absent, explain_not_serial

    if not port.startswith("/"):
        return []
    if error := explain_not_serial(port):
        return [f"{key}: {error}"]
    is_absent = not os.path.exists(port)  # noqa: PTH110  (Path.exists raises if a folder may not be searched)
    if note := explain_debug_plug(Path(port)) or (explain_absent(port) if is_absent else ""):
        click.echo(f"note: {key}: {note}", err=True)
    return []
