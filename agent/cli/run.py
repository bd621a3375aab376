"""`modem-agent run`: the service."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
import traceback
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from agent.cli.common import (
    EXIT_CONFIG,
    EXIT_FAILURE,
    config_option,
    exit_with_errors,
    load_config_or_exit,
    load_sim_pin,
    make_port_opener,
)
from agent.common.config import ConfigError
from agent.common.events import Event, EventKind

if TYPE_CHECKING:
    from agent.at.trace import Trace

_SESSION_END_KINDS = {EventKind.SESSION_ENDED, EventKind.SESSION_FAILED, EventKind.MODULE, EventKind.PORT}
"""Events that end a connection. A recording notes the kind alone: the message may need masking."""
_SYSLOG_PRIORITIES = {logging.DEBUG: 7, logging.INFO: 6, logging.WARNING: 4, logging.ERROR: 3}


@click.command()
@config_option
@click.option(
    "--trace", is_flag=True, help="Log every byte to and from the module; this shows message texts."
)
@click.option("--show-content", is_flag=True, help="Log what messages say; without it only their SIDs.")
@click.option(
    "--record",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Write the conversation with the module into FILE, to be read or replayed "
    "(modem-agent sandbox --replay). It holds message texts; a PIN never.",
)
@click.option(
    "--mask",
    is_flag=True,
    help="With --record: stand-ins of the same length for numbers and texts, so that FILE can be handed on.",
)
def run(config_path: Path, *, trace: bool, show_content: bool, record: Path | None, mask: bool) -> None:
    """Run the agent until SIGTERM or Ctrl-C.

    Under systemd it says when it is ready, how it is and that it lives. A port that is absent, busy or
    forbidden is said once and waited for. Exit status 2 means: this configuration cannot work.
    """
    if mask and record is None:
        raise click.UsageError("--mask needs --record FILE")
    config = load_config_or_exit(config_path)
    log = _configure_logging(debug=trace)

    from agent.at.trace import Trace
    from agent.common.sd_notify import make_notifier, read_watchdog_interval_s
    from agent.daemon.agent import Agent, Dependencies, RecoveryExhausted
    from agent.daemon.control_socket import ControlUnusable
    from agent.handlers.registry import HandlerConfigError
    from agent.handlers.results import ResourceExhausted
    from agent.journal.journal import JournalUnusable
    from agent.journal.lock import JournalLocked

    def tell(step: Event) -> None:
        if recording is not None and step.kind in _SESSION_END_KINDS:
            recording.log_event(step.kind, asyncio.get_running_loop().time())
        content = f" {step.content!r}" if show_content and step.content is not None else ""
        log.log(step.severity, "%s%s", step, content)

    try:
        open_port = make_port_opener(config_path, config)
        pin = load_sim_pin(config_path, config, os.environ)
    except ConfigError as error:
        exit_with_errors(*error.errors, exit_status=EXIT_CONFIG)
    seams = Dependencies(
        opener=open_port,
        pin=pin,
        notify=make_notifier(os.environ),
        watchdog_interval_s=read_watchdog_interval_s(os.environ, os.getpid()),
        trace=Trace(lambda line: log.debug("%s", line)) if trace else None,
    )
    recording = None
    if record is not None:
        profile = config.modem.profile if config.modem.profile != "auto" else ""
        recording = _open_recording(
            record, log.warning, profile, seams.wall_clock(), mask=mask, also=seams.trace
        )
        seams = replace(seams, trace=recording)

    async def live() -> None:
        agent = Agent(config, tell, seams)
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, agent.stop)
        await agent.run()

    try:
        asyncio.run(live())
    except HandlerConfigError as error:
        exit_with_errors(*error.errors, exit_status=EXIT_CONFIG)
    except ControlUnusable as error:
        exit_with_errors(str(error), exit_status=EXIT_CONFIG)
    except JournalUnusable as error:
        exit_with_errors(
            str(error), exit_status=EXIT_CONFIG if error.is_configuration_error else EXIT_FAILURE
        )
    except (JournalLocked, RecoveryExhausted, ResourceExhausted) as error:
        exit_with_errors(str(error))
    except ExceptionGroup as group:  # of the TaskGroup that everything runs in: no sentence was made for it
        log.debug("", exc_info=group)
        exit_with_errors(
            *(f"stopped by a mistake of its own: {_error_location(error)}" for error in group.exceptions)
        )
    finally:
        if seams.trace is not None:
            seams.trace.close()


def _open_recording(
    path: Path, warn: Callable[[str], None], profile: str, now: float, *, mask: bool, also: Trace | None
) -> Trace:
    """A trace into a file."""
    from datetime import UTC, datetime

    from agent.at.trace import Trace
    from agent.recording.file import RecordingFile
    from agent.version import VERSION
    from hardware.recording import MASKED_TAG, format_header

    content = None
    if mask:
        from agent.recording.redact import ContentRedactor

        content = ContentRedactor()
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
    return Trace(file.write, content, relative_times=True, tee=also)


def _error_location(error: Exception) -> str:
    """One line for a report: what and where. The whole story is logged with --trace."""
    if isinstance(error, ExceptionGroup):
        return "; ".join(_error_location(each) for each in error.exceptions)
    place = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__}: {error} ({place.filename}:{place.lineno})"


def _configure_logging(*, debug: bool) -> logging.Logger:
    """Lines on standard error; with their priority in front where systemd's journal reads them."""

    class Line(logging.Formatter):
        def format(self, record: logging.LogRecord) -> str:
            return f"<{_SYSLOG_PRIORITIES.get(record.levelno, 5)}>{super().format(record)}"

    log = logging.getLogger("modem-agent")
    log.setLevel(logging.DEBUG if debug else logging.INFO)
    output = logging.StreamHandler(sys.stderr)
    under_systemd = "JOURNAL_STREAM" in os.environ
    output.setFormatter(
        Line("%(message)s") if under_systemd else logging.Formatter("%(asctime)s %(message)s")
    )
    log.handlers[:] = [output]
    log.propagate = False
    return log
