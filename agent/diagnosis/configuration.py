"""Checks agent.toml, the places that it names, and the handlers, for `config check` and `doctor`."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agent.common.config import Config, ConfigError, load_config, parse_config
from hardware.table import field_types

if TYPE_CHECKING:
    from agent.handlers.program import Program
    from agent.handlers.results import HandlerResult

SettingCheck = Callable[[Path, Config], object]
"""Takes the file and its settings. Raises ConfigError."""
_SYSTEMD_DIRECTORIES = (Config().journal.path.parent, Config().control.socket.parent)
"""Folders that systemd creates when it starts the service (StateDirectory=, RuntimeDirectory=)."""
_HIDDEN_FROM_SERVICE = ("/home/", "/root/", "/tmp/")  # noqa: S108  (compared, not used)
"""Folders that the unit hides (ProtectHome=, PrivateTmp=)."""
_MAX_SOCKET_PATH_BYTES = 107
"""Longest path of a Unix socket: `sun_path` without its terminating null byte, unix(7)."""


@dataclass(slots=True)
class ConfigReport:
    """The settings of a file that may have errors, and what is wrong with them."""

    settings: Config
    """Without the keys that have an error."""
    unknown_keys: frozenset[str]
    """The keys (`table.key`) whose value is not known because of an error."""
    errors: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    """Sentences about what may be meant so."""


@dataclass(frozen=True, slots=True)
class HandlerReport:
    """The handlers of a folder."""

    triggers: tuple[str, ...] = ()
    """The words and keys that run a handler."""
    errors: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def check_settings(path: Path, further_checks: Iterable[SettingCheck]) -> ConfigReport:
    """Check a file, the power switch and the places of journal and socket. The port is not examined."""
    errors: list[str] = []
    try:
        report = ConfigReport(load_config(path), frozenset(), errors)
    except ConfigError as error:
        errors += error.errors
        report = ConfigReport(*_load_valid_part(path), errors)
    settings, unknown_keys = report.settings, report.unknown_keys
    from agent.diagnosis.forwarding_checks import check_forwarding_files  # noqa: PLC0415  (TLS is large)

    for check in (*further_checks, check_forwarding_files):
        try:
            check(path, settings)
        except ConfigError as error:
            errors += error.errors
    if not any(key.startswith(("modem.", "recovery.")) for key in unknown_keys):
        # Imported here: gpiod is optional, and not needed with an error in the table.
        from agent.recovery.configured_power import make_configured_power  # noqa: PLC0415
        from hardware.power import PowerUnavailable  # noqa: PLC0415

        try:
            make_configured_power(settings.recovery, lambda: None, settings.journal.path, _run_nothing)
        except PowerUnavailable as error:
            errors.append(f"{path}: {error}")
    _check_programs(path, settings, report)
    for key, file in (("journal.path", settings.journal.path), ("control.socket", settings.control.socket)):
        if key not in unknown_keys:
            _check_location(f"{path}: {key}", file, report)
    return report


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


def _check_location(key: str, file: Path, report: ConfigReport) -> None:
    """Check a path at which the agent creates a file; `key` begins each sentence."""
    folder = file.parent
    try:
        folder_exists, is_folder = folder.is_dir(), file.is_dir()
        writable = not folder_exists or os.access(folder, os.W_OK | os.X_OK)
    except OSError:  # an impossible name, or a folder that this user may not search
        folder_exists, is_folder, writable = folder in _SYSTEMD_DIRECTORIES, False, False
    if is_folder:
        report.errors.append(f"{key}: {file} is a folder; name a file in it")
    elif not folder_exists and folder in _SYSTEMD_DIRECTORIES:
        report.notes.append(f"{folder} does not exist yet; systemd creates it with the service")
    elif not folder_exists:
        report.errors.append(f"{key}: there is no folder {folder}; create it or name another")
    elif not writable and folder not in _SYSTEMD_DIRECTORIES:
        report.errors.append(
            f"{key}: this user cannot write to {folder}; check as the agent's user, or change the folder"
        )
    elif key.endswith("control.socket") and len(os.fsencode(file)) > _MAX_SOCKET_PATH_BYTES:
        report.errors.append(
            f"{key}: {file} is too long; the path of a socket has at most {_MAX_SOCKET_PATH_BYTES} octets"
        )


def _check_programs(path: Path, settings: Config, report: ConfigReport) -> None:
    """Check the program of the alarm, and whether the service can reach it and that of the power switch."""
    from agent.handlers.program import check_program  # noqa: PLC0415  (only if there is one)

    alarm, power = settings.alarm.command, settings.recovery.power_command
    if alarm and (problem := check_program(alarm)):
        report.errors.append(f"{path}: alarm.command: {problem}")
    for key, words in (("alarm.command", alarm), ("recovery.power_command", power)):
        if words and words[0].startswith(_HIDDEN_FROM_SERVICE):
            report.notes.append(
                f"{path}: {key}: the service sees neither /home, /root nor this /tmp; install {words[0]} in "
                "/usr/local"
            )


async def _run_nothing(_program: Program) -> HandlerResult:
    raise AssertionError("a power switch runs nothing before it is used")


async def check_handlers(config: Config) -> HandlerReport:
    """Load the handlers as the agent does, Python files in a separate process."""
    from agent.forwarding.targets import list_specs  # noqa: PLC0415
    from agent.handlers.registry import HandlerConfigError, load_registry  # noqa: PLC0415  (only if asked for)
    from agent.handlers.results import ResourceExhausted  # noqa: PLC0415
    from agent.handlers.runner import ProcessRunner  # noqa: PLC0415

    runner = ProcessRunner(lambda _: None)
    try:
        registry = await load_registry(config.handlers.directory, runner, forwarding=list_specs(config))
    except (HandlerConfigError, ResourceExhausted) as error:
        return HandlerReport(errors=(str(error),))
    finally:
        await runner.close()
    errors = [error for errors in registry.unusable.values() for error in errors]
    return HandlerReport(tuple(registry.trigger_names), tuple(errors), registry.warnings)
