"""Runs the agent until a signal stops it. It needs no click: the service starts it."""

from __future__ import annotations

import logging
import os
import signal
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from agent.cli.common import CONFIG_VARIABLE, EXIT_CONFIG, EXIT_FAILURE, exit_with_errors, load_config_or_exit
from agent.cli.module_settings import check_init, load_sim_pin, make_port_opener
from agent.common.config import ConfigError, load_config
from agent.common.events import Event, EventKind

if TYPE_CHECKING:
    from agent.at.trace import Trace
    from agent.common.config import Config
    from agent.daemon.agent import Agent, Dependencies
    from agent.daemon.until_idle import IdleLimits

    MakeAgent = Callable[[Config, Callable[[Event], None], Dependencies], Agent]

STDERR_FD = 2
EXIT_NOT_IDLE = 3
"""Exit status of --until-idle if the longest time has passed."""
_SESSION_END_KINDS = {EventKind.SESSION_ENDED, EventKind.SESSION_FAILED, EventKind.MODULE, EventKind.PORT}
"""Events that end a connection. A recording has only their kind: their text may contain masked data."""


def run_agent(
    config_path: Path | str,
    *,
    trace: bool = False,
    show_content: bool = False,
    record: Path | None = None,
    mask: bool = False,
    until_idle: tuple[float, float, float] | None = None,
    make_agent: MakeAgent | None = None,
) -> None:
    """Run the agent; `modem-agent run --help` describes the parameters. Tests pass another `make_agent`.

    `until_idle` has the quiet time, the longest time and the longest wait in seconds; with None the agent
    does not end by itself.

    Raises SystemExit after an error that it has printed.
    """
    config_path = Path(config_path)
    from agent.common.lean_imports import import_without_openssl

    import_without_openssl()
    import asyncio

    config = load_config_or_exit(config_path)
    log = _configure_logging(debug=trace)

    from agent.at.trace import Trace
    from agent.common.sd_notify import (
        make_notifier,
        read_runtime_directories,
        read_watchdog_interval_s,
    )
    from agent.daemon.agent import Agent, Dependencies, NotIdleInTime, RecoveryExhausted
    from agent.daemon.control_socket import ControlUnusable
    from agent.handlers.registry import HandlerConfigError
    from agent.handlers.results import ResourceExhausted
    from agent.handlers.runner import ProcessRunner
    from agent.journal.files import JournalLocked
    from agent.journal.journal import JournalUnusable

    def log_event(event: Event) -> None:
        if recording is not None and event.kind in _SESSION_END_KINDS:
            recording.log_event(event.kind, asyncio.get_running_loop().time())
        content = f" {event.content!r}" if show_content and event.content is not None else ""
        log.log(event.severity, "%s%s", event, content, extra={"event": event})

    try:
        open_port = make_port_opener(config_path, config)
        pin = load_sim_pin(config_path, config, os.environ)
        check_init(config_path, config)
    except ConfigError as error:
        exit_with_errors(*error.errors, exit_status=EXIT_CONFIG)
    dependencies = Dependencies(
        opener=open_port,
        read_config=partial(load_config, config_path),
        until_idle=_make_idle_limits(until_idle),
        runner=partial(
            ProcessRunner, environment=os.environ | {CONFIG_VARIABLE: str(config_path.absolute())}
        ),
        pin=pin,
        notify=make_notifier(os.environ),
        watchdog_interval_s=read_watchdog_interval_s(os.environ, os.getpid()),
        runtime_directories=read_runtime_directories(os.environ),
        trace=Trace(lambda line: log.debug("%s", line)) if trace else None,
    )
    recording = None
    if record is not None:
        profile = config.modem.profile if config.modem.profile != "auto" else ""
        recording = _open_recording(
            record, log.warning, profile, dependencies.wall_clock(), mask=mask, tee=dependencies.trace
        )
        dependencies = dependencies.replace(trace=recording)

    async def run_until_stopped() -> None:
        agent = (make_agent or Agent)(config, log_event, dependencies)
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, agent.stop)
        # A terminal that closes sends SIGHUP as well: then nobody would know of an agent that goes on.
        loop.add_signal_handler(signal.SIGHUP, agent.stop if os.isatty(STDERR_FD) else agent.reload)
        await agent.run()

    try:
        asyncio.run(run_until_stopped())
    except (HandlerConfigError, ControlUnusable) as error:
        exit_with_errors(str(error), exit_status=EXIT_CONFIG)
    except JournalUnusable as error:
        exit_with_errors(
            str(error), exit_status=EXIT_CONFIG if error.is_configuration_error else EXIT_FAILURE
        )
    except NotIdleInTime as error:
        exit_with_errors(str(error), exit_status=EXIT_NOT_IDLE)
    except (JournalLocked, RecoveryExhausted, ResourceExhausted) as error:
        exit_with_errors(str(error))
    except ExceptionGroup as group:  # unexpected errors, from the TaskGroup of the agent
        log.debug("", exc_info=group)
        exit_with_errors(*(f"internal error: {_locate_error(error)}" for error in group.exceptions))
    finally:
        if dependencies.trace is not None:
            dependencies.trace.close()


def _make_idle_limits(seconds: tuple[float, float, float] | None) -> IdleLimits | None:
    if seconds is None:
        return None
    from agent.daemon.until_idle import IdleLimits

    quiet_s, max_s, wait_s = seconds
    return IdleLimits(quiet_s=quiet_s, max_s=max_s, wait_s=wait_s)


def _open_recording(
    path: Path, warn: Callable[[str], None], profile: str, now: float, *, mask: bool, tee: Trace | None
) -> Trace:
    """Return a trace that writes a recording into a file; `tee` receives the same data.

    `now` is the wall clock in seconds, `profile` the name of a module's profile or "".
    """
    from datetime import UTC, datetime

    from agent.at.trace import Trace
    from agent.recording.file import RecordingFile
    from agent.version import VERSION
    from hardware.recording import MASKED_TAG, format_header

    redactor = None
    if mask:
        from agent.recording.redact import ContentRedactor

        redactor = ContentRedactor()
    try:
        file = RecordingFile(path, warn)
    except OSError as error:
        exit_with_errors(f"--record {path}: {error.strerror or error}", exit_status=EXIT_CONFIG)
    file.write(
        format_header(
            datetime.fromtimestamp(now, UTC).isoformat(timespec="seconds"),
            f"agent {VERSION}",
            f"module {profile}" if profile else "",
            MASKED_TAG if mask else "",
        )
    )
    return Trace(file.write, redactor, relative_times=True, tee=tee)


def _locate_error(error: Exception) -> str:
    """Return type, text and place of an error on one line, for a bug report; --trace logs the traceback."""
    if isinstance(error, ExceptionGroup):
        return "; ".join(_locate_error(member) for member in error.exceptions)
    import traceback

    frame = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__}: {error} ({frame.filename}:{frame.lineno})"


def _configure_logging(*, debug: bool) -> logging.Logger:
    """Log to standard error, with the time; under systemd to its journal, with the fields of each event."""
    from agent.common.journald import SYSLOG_PRIORITIES, JournalHandler, writes_to_journal

    class SyslogFormatter(logging.Formatter):
        def format(self, record: logging.LogRecord) -> str:
            return f"<{SYSLOG_PRIORITIES.get(record.levelno, 5)}>{super().format(record)}"

    log = logging.getLogger("modem-agent")
    log.setLevel(logging.DEBUG if debug else logging.INFO)
    output = logging.StreamHandler(sys.stderr)
    under_systemd = "JOURNAL_STREAM" in os.environ
    output.setFormatter(
        SyslogFormatter("%(message)s") if under_systemd else logging.Formatter("%(asctime)s %(message)s")
    )
    is_journal = writes_to_journal(os.environ, STDERR_FD)
    log.handlers[:] = [JournalHandler(output) if is_journal else output]
    log.propagate = False
    return log
