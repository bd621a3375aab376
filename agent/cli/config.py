"""`modem-agent config check`: everything that is wrong, at once."""

from __future__ import annotations

import asyncio
import os
import tomllib
from pathlib import Path
from typing import Any

import click

from agent.cli.common import EXIT_CONFIG, config_option, exit_with_errors, load_sim_pin, make_port_opener
from agent.common.config import Config, ConfigError, load_config, parse_config


@click.group()
def config() -> None:
    """Look after agent.toml."""


@config.command(short_help="Say every mistake in agent.toml and the handlers.")
@config_option
def check(config_path: Path) -> None:
    """Check agent.toml and the handlers it names; every mistake is said, exit status 2.

    The Python handlers are loaded in a process of their own, as the agent would. Neither the module nor a
    running agent is touched.
    """
    mistakes: list[str] = []
    try:
        settings, doubtful = load_config(config_path), frozenset[str]()
    except ConfigError as error:
        mistakes += error.errors
        settings, doubtful = _load_valid_part(config_path)
    names = ""
    for look in (make_port_opener, lambda path, settings: load_sim_pin(path, settings, {})):
        try:
            look(config_path, settings)
        except ConfigError as error:
            mistakes += error.errors
    if not any(key.startswith(("modem.", "recovery.")) for key in doubtful):
        from hardware.power import PowerUnavailable, make_power_switch

        try:
            make_power_switch(settings.recovery, lambda: None, settings.journal.path)
        except PowerUnavailable as error:
            mistakes.append(f"{config_path}: {error}")
    if "handlers.directory" not in doubtful:
        names = _check_handlers(settings, mistakes)
    for key, path in (("journal.path", settings.journal.path), ("control.socket", settings.control.socket)):
        if key not in doubtful:
            mistakes += _check_location(f"{config_path}: {key}", path)
    if mistakes:
        exit_with_errors(*mistakes, exit_status=EXIT_CONFIG)
    click.echo(
        f"{config_path} is in order: {settings.service.name} on {settings.modem.port}, handlers {names}"
    )


def _load_valid_part(path: Path) -> tuple[Config, frozenset[str]]:
    """The configuration without its faulty keys, so that one mistake hides no other; and which keys have
    nothing but their default in a table that has a mistake: it may have been meant for them.
    """
    try:
        tables = tomllib.loads(path.read_text("utf-8"))
    except (OSError, ValueError, RecursionError):
        tables = dict.fromkeys(Config.__struct_fields__)
    faulty = set()
    sound: dict[str, dict[str, Any]] = {}
    for name, table in tables.items():
        if not isinstance(table, dict):
            faulty.add(name)
            continue
        for key, value in table.items():  # one by one: two may be sound, but not together
            tried = sound | {name: sound.get(name, {}) | {key: value}}
            try:
                parse_config(tried, str(path))
                sound = tried
            except ConfigError:
                faulty.add(name)
    settings = parse_config(sound, str(path), path.parent.absolute())
    doubtful = {
        f"{name}.{key}"
        for name in faulty.intersection(Config.__struct_fields__)
        for key in getattr(settings, name).__struct_fields__
        if key not in sound.get(name, {})
    }
    return settings, frozenset(doubtful)


def _check_handlers(settings: Config, errors: list[str]) -> str:
    """The names of the handlers; adds what is wrong with them."""
    from agent.handlers.registry import HandlerConfigError, HandlerRegistry
    from agent.handlers.registry import load_registry as load_handlers
    from agent.handlers.results import ResourceExhausted
    from agent.handlers.runner import ProcessRunner

    async def look() -> HandlerRegistry:
        runner = ProcessRunner(lambda _: None)
        try:
            return await load_handlers(settings.handlers.directory, runner)
        finally:
            await runner.close()

    try:
        catalogue = asyncio.run(look())
    except HandlerConfigError as error:
        errors += error.errors
        return ""
    except ResourceExhausted as error:
        errors.append(str(error))
        return ""
    for remark in catalogue.warnings:
        click.echo(f"note: {remark}", err=True)
    return ", ".join(catalogue.trigger_names)


_SYSTEMD_DIRECTORIES = (Config().journal.path.parent, Config().control.socket.parent)
"""Folders that the shipped unit has systemd make at each start (StateDirectory=, RuntimeDirectory=)."""
_MAX_SOCKET_PATH_BYTES = 107
"""Octets that the path of a socket may have, unix(7)."""


def _check_location(key: str, file: Path) -> list[str]:
    """What is wrong with the place where a file is to be made."""
    folder = file.parent
    try:
        there, other = folder.is_dir(), file.is_dir()
        usable = not there or os.access(folder, os.W_OK | os.X_OK)
    except OSError:  # a name that no file can have, or a folder that lets nobody look
        there, other, usable = folder in _SYSTEMD_DIRECTORIES, False, False
    if other:
        return [f"{key}: {file} is a folder; name a file in it"]
    if not there and folder in _SYSTEMD_DIRECTORIES:
        click.echo(f"note: there is no {folder} yet; systemd makes it when the service starts", err=True)
        return []
    if not there:
        return [f"{key}: there is no folder {folder}; make it or name another"]
    if not usable and folder not in _SYSTEMD_DIRECTORIES:
        return [f"{key}: {folder} cannot be written by this user; check as the agent's user, or change it"]
    if key.endswith("control.socket") and len(os.fsencode(file)) > _MAX_SOCKET_PATH_BYTES:
        return [
            f"{key}: {file} is longer than the {_MAX_SOCKET_PATH_BYTES} octets that the path of a socket may have"
        ]
    return []
