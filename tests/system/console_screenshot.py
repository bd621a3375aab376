"""Takes the picture of the console that the README shows.

    PYTHONPATH=tests/system .venv/bin/python tests/system/console_screenshot.py FILE.png
    pngquant 96 --force --output hardware/sim/console/screenshot.png FILE.png

It needs Chromium, and port 9000 for a receiver of callbacks.
"""

from __future__ import annotations

import asyncio
import random
import sys
import tempfile
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from pathlib import Path

from aiohttp import web

from agent.cli.sandbox_agents import following_agents
from agent.common.config import Config, ControlConfig, HandlersConfig, JournalConfig, ModemConfig
from agent.daemon.agent import Agent
from browser import run_browser
from hardware.sim.rest.server import SandboxServer
from hardware.sim.sandbox import Sandbox
from hardware.sim.sandbox_clock import SandboxClock
from hardware.sim.sandbox_sim import SimSpec

SIMS = (
    SimSpec(service="super-sim", unique_name="meter-1"),
    SimSpec(service="programmable-wireless", unique_name="pump-2"),
)
SIZE = (1360, 800)


async def take_screenshot(file: Path, folder: Path) -> None:
    """Run a sandbox, an agent and a receiver of callbacks, send a Command in the page, and save a picture."""
    handler = folder / "handlers" / "temp"
    handler.parent.mkdir()
    handler.write_text("#!/bin/sh\necho 21.5 degrees\n")
    handler.chmod(0o755)
    config = Config(
        modem=ModemConfig(port=str(folder / "meter-1")),
        handlers=HandlersConfig(directory=handler.parent),
        journal=JournalConfig(path=folder / "journal.db", allow_volatile=True),
        control=ControlConfig(socket=folder / "control.sock"),
    )
    clock = SandboxClock(lambda: datetime.now(UTC))
    sandbox = Sandbox(sims=SIMS, link_dir=folder, clock=clock, rng=random.Random(1))
    async with AsyncExitStack() as stack:
        receiver = web.Application()
        receiver.router.add_post("/status", lambda _: web.Response(status=204))
        runner = web.AppRunner(receiver)
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        await web.TCPSite(runner, "127.0.0.1", 9000).start()
        server = SandboxServer(sandbox, ("127.0.0.1", 0))
        await server.start()
        stack.push_async_callback(server.stop)
        agent = Agent(config, lambda event: None)
        running = asyncio.ensure_future(agent.run())
        stack.push_async_callback(lambda: running)
        stack.callback(agent.stop)
        await stack.enter_async_context(following_agents(server, [config.control.socket]))
        page = await stack.enter_async_context(run_browser(folder))
        await page.open(f"{server.url}/")
        await page.resize(*SIZE)
        await page.use_colours("light")
        await page.until("document.querySelector('.card')?.textContent.includes('in a session')")
        await page.evaluate("document.getElementById('send-callback').value = 'http://127.0.0.1:9000/status'")
        await page.evaluate("document.getElementById('send-body').value = 'temp'")
        await page.click("#send-button")
        await page.until("document.querySelectorAll('.stage.missing').length === 0")
        await page.until("document.querySelectorAll('.command').length === 2")
        await asyncio.sleep(1)  # the transitions of colours
        await page.save_screenshot(file)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name:
        asyncio.run(take_screenshot(Path(sys.argv[1]), Path(name)))
