"""`modem-agent sandbox --replay`: a recorded conversation plays the module, on a pseudo-terminal."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path

import click

from agent.cli.common import FAILURE, IMPOSSIBLE, give_up, print_json
from hardware.recording import Recording, RecordingError, parse
from hardware.sim.module.pty import Pty
from hardware.sim.replay import ReplayedModule


def play(path: Path, folder: Path, *, delays: bool, as_json: bool) -> None:
    """Until Ctrl-C. Exit status 1 when the host said something that is not in the recording."""
    try:
        recording = parse(path.read_text("ascii"))
    except (OSError, UnicodeDecodeError) as error:
        reason = "it is no text" if isinstance(error, UnicodeDecodeError) else error.strerror
        give_up(f"--replay {path}: {reason}", status=IMPOSSIBLE)
    except RecordingError as error:
        give_up(f"--replay {path}: {error}", status=IMPOSSIBLE)
    try:
        module = asyncio.run(_live(recording, folder / "replay", delays=delays, as_json=as_json))
    except OSError as error:
        give_up(f"--link-dir {folder}: {error.strerror or error}")
    for sentence in module.unasked:
        click.echo(sentence, err=True)
    if module.divergences:
        raise SystemExit(FAILURE)


async def _live(recording: Recording, link: Path, *, delays: bool, as_json: bool) -> ReplayedModule:
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
        diverged=lambda sentence: click.echo(sentence, err=True),
    )
    pty.start(module.receive)
    try:
        if as_json:
            print_json({"link": str(link), "recording": recording.about})
        else:
            click.echo(f"The recorded module ({recording.about or 'nothing told of it'}) is at {link}")
            click.echo("What is not in the recording is said here. Ctrl-C ends it.")
        await stop.wait()
    finally:
        pty.close()
    return module
