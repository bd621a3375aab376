"""Plays the module of a recording on a pseudo-terminal."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable
from pathlib import Path

from hardware.recording import Recording
from hardware.sim.module.pty import Pty
from hardware.sim.replay import ReplayedModule


async def run_replay(
    recording: Recording,
    link: Path,
    *,
    delays: bool,
    on_started: Callable[[], None],
    on_divergence: Callable[[str], None],
) -> ReplayedModule:
    """Play the module until SIGINT or SIGTERM and return it; `link` becomes a link to its pseudo-terminal.

    `delays`: answer after the recorded times, else at once. `on_divergence` receives a sentence for each
    request of the host that the recording does not contain. Raises OSError if the link cannot be created.
    """
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    pty = Pty(link)

    def hang_up() -> None:
        pty.unplug()
        pty.plug()

    module = ReplayedModule(
        loop, recording, pty.write, delays=delays, hang_up=hang_up, on_divergence=on_divergence
    )
    pty.start(module.receive)
    try:
        on_started()
        await stop.wait()
    finally:
        pty.close()
    return module
