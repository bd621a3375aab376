"""`modem-agent sandbox --replay`: a recorded conversation plays the module, on a pseudo-terminal."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path

import click

from agent.cli.common import EXIT_CONFIG, EXIT_FAILURE, exit_with_errors, print_json
from hardware.recording import Recording, RecordingError, parse_recording
from hardware.sim.module.pty import Pty
from hardware.sim.replay import ReplayedModule


def play_recording(path: Path, link_dir: Path, *, delays: bool, as_json: bool) -> None:
    """Until Ctrl-C. Exit status 1 when the host said something that is not in the recording."""
    try:
        recording = parse_recording(path.read_text("ascii"))
    except (OSError, UnicodeDecodeError) as error:
        reason = "it is no text" if isinstance(error, UnicodeDecodeError) else error.strerror
        exit_with_errors(f"--replay {path}: {reason}", exit_status=EXIT_CONFIG)
    except RecordingError as error:
        exit_with_errors(f"--replay {path}: {error}", exit_status=EXIT_CONFIG)
    try:
        module = asyncio.run(_run_replay(recording, link_dir / "replay", delays=delays, as_json=as_json))
    except OSError as error:
        exit_with_errors(f"--link-dir {link_dir}: {error.strerror or error}")
    for sentence in module.unplayed_requests:
        click.echo(sentence, err=True)
    if module.divergences:
        raise SystemExit(EXIT_FAILURE)


async def _run_replay(recording: Recording, link: Path, *, delays: bool, as_json: bool) -> ReplayedModule:
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    pty = Pty(link)

    def hang_up() -> None:
        pty.unplug()
        pty.plug()

    module = ReplayedModule(
        loop,
        recording,
        pty.write,
        delays=delays,
        hang_up=hang_up,
        on_divergence=lambda sentence: click.echo(sentence, err=True),
    )
    pty.start(module.receive)
    try:
        if as_json:
            print_json({"link": str(link), "recording": recording.details})
        else:
            click.echo(f"The recorded module ({recording.details or 'nothing told of it'}) is at {link}")
            click.echo("What is not in the recording is said here. Ctrl-C ends it.")
        await stop.wait()
    finally:
        pty.close()
    return module
