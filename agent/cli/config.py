"""`modem-agent config check`: reports all errors in agent.toml and in the files and ports that it names."""

from __future__ import annotations

import asyncio
import os
import tomllib
from pathlib import Path
from typing import Any

import click

from agent.cli.common import EXIT_CONFIG, config_option, exit_with_errors, load_sim_pin, make_port_opener
from agent.common.config import Config, ConfigError, load_config, parse_config
from hardware.table import field_types


@click.group()
def config() -> None:
    """Check agent.toml and the handlers."""


@config.command(short_help="Report every error in agent.toml and the handlers.")
@config_option
def check(config_path: Path) -> None:
    """Report every error in agent.toml and in the handlers it names. Exit status 2 if there is one.

    Python handlers are loaded in a separate process, as the agent loads them. The module and a running agent
    are not touched. For a port that does not exist and a journal in memory a note is printed, not an error.
    """
    errors: list[str] = []
    try:
        settings, unknown_keys = load_config(config_path), frozenset[str]()
    except ConfigError as error:
        errors += error.errors
        settings, unknown_keys = _load_valid_part(config_path)
    for check_setting in (make_port_opener, lambda path, settings: load_sim_pin(path, settings, {})):
        try:
            check_setting(config_path, settings)
        except ConfigError as error:
            errors += error.errors
    if "modem.port" not in unknown_keys:
        errors += _check_port(f"{config_path}: modem.port", settings.modem.port)
    if not any(key.startswith(("modem.", "recovery.")) for key in unknown_keys):
        from hardware.power import PowerUnavailable, make_power_switch

        try:
            make_power_switch(settings.recovery, lambda: None, settings.journal.path)
        except PowerUnavailable as error:
            errors.append(f"{config_path}: {error}")
    triggers = ""
    if "handlers.directory" not in unknown_keys:
        triggers = _check_handlers(settings, errors)
    for key, path in (("journal.path", settings.journal.path), ("control.socket", settings.control.socket)):
        if key not in unknown_keys:
            errors += _check_location(f"{config_path}: {key}", path)
    if "journal.path" not in unknown_keys and not settings.journal.allow_volatile:
        from agent.journal.mounts import explain_volatile

        if volatile := explain_volatile(settings.journal.path):
            click.echo(f"warning: {config_path}: journal.path: {volatile}", err=True)
    if errors:
        exit_with_errors(*errors, exit_status=EXIT_CONFIG)
    click.echo(
        f"{config_path} is valid: {settings.service.name} on {settings.modem.port}, handlers {triggers}"
    )


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


def _load_valid_part(path: Path) -> tuple[Config, frozenset[str]]:
    """Return the configuration without its invalid keys, and the keys (`table.key`) whose value is not known.

    So one error does not hide another. A key is not known if it has its default in a table with an error: the
    error may be a misspelling of that key.
    """
    try:
        tables = tomllib.loads(path.read_text("utf-8"))
    except (OSError, ValueError, RecursionError):
        tables = dict.fromkeys(field_types(Config))
    invalid_tables = set()
    valid: dict[str, dict[str, Any]] = {}
    for name, table in tables.items():
        if not isinstance(table, dict):
            invalid_tables.add(name)
            continue
        for key, value in table.items():  # one by one: two keys may each be valid, but not together
            candidate = valid | {name: valid.get(name, {}) | {key: value}}
            try:
                parse_config(candidate, str(path))
                valid = candidate
            except ConfigError:
                invalid_tables.add(name)
    settings = parse_config(valid, str(path), path.parent.absolute())
    unknown_keys = {
        f"{name}.{key}"
        for name in invalid_tables.intersection(field_types(Config))
        for key in field_types(type(getattr(settings, name)))
        if key not in valid.get(name, {})
    }
    return settings, frozenset(unknown_keys)


def _check_handlers(settings: Config, errors: list[str]) -> str:
    """Return the triggers of the handlers, comma-separated; append their errors to `errors`."""
    from agent.handlers.registry import HandlerConfigError, HandlerRegistry, load_registry
    from agent.handlers.results import ResourceExhausted
    from agent.handlers.runner import ProcessRunner

    async def load() -> HandlerRegistry:
        runner = ProcessRunner(lambda _: None)
        try:
            return await load_registry(settings.handlers.directory, runner)
        finally:
            await runner.close()

    try:
        registry = asyncio.run(load())
    except (HandlerConfigError, ResourceExhausted) as error:
        errors.append(str(error))
        return ""
    for handler_errors in registry.unusable.values():
        errors += handler_errors
    for warning in registry.warnings:
        click.echo(f"note: {warning}", err=True)
    return ", ".join(registry.trigger_names)


_SYSTEMD_DIRECTORIES = (Config().journal.path.parent, Config().control.socket.parent)
"""Folders that systemd creates when it starts the service (StateDirectory=, RuntimeDirectory=)."""
_MAX_SOCKET_PATH_BYTES = 107
"""Longest path of a Unix socket: `sun_path` without its terminating null byte, unix(7)."""


def _check_location(key: str, file: Path) -> list[str]:
    """Return the errors of a path at which the agent creates a file; `key` begins each sentence."""
    folder = file.parent
    try:
        folder_exists, is_folder = folder.is_dir(), file.is_dir()
        writable = not folder_exists or os.access(folder, os.W_OK | os.X_OK)
    except OSError:  # an impossible name, or a folder that this user may not search
        folder_exists, is_folder, writable = folder in _SYSTEMD_DIRECTORIES, False, False
    if is_folder:
        return [f"{key}: {file} is a folder; name a file in it"]
    if not folder_exists and folder in _SYSTEMD_DIRECTORIES:
        click.echo(f"note: {folder} does not exist yet; systemd creates it with the service", err=True)
        return []
    if not folder_exists:
        return [f"{key}: there is no folder {folder}; create it or name another"]
    if not writable and folder not in _SYSTEMD_DIRECTORIES:
        return [f"{key}: this user cannot write to {folder}; check as the agent's user, or change the folder"]
    if key.endswith("control.socket") and len(os.fsencode(file)) > _MAX_SOCKET_PATH_BYTES:
        return [
            f"{key}: {file} is too long; the path of a socket has at most {_MAX_SOCKET_PATH_BYTES} octets"
        ]
    return []
