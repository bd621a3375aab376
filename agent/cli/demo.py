"""`modem-agent demo`: everything at work, with no hardware."""

from __future__ import annotations

import asyncio
import errno
import math
import signal
import socket
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from agent.cli.common import give_up

if TYPE_CHECKING:
    from agent.cli.show.screen import Screen
    from agent.cli.show.stage import Stage

ONCE_S = 27.0
"""Seconds for `--once`, to be over within 30 s whatever happens; the tour takes five."""


@click.command()
@click.option(
    "--once", is_flag=True, help="End after the tour; exit status 0 if every Command fared as it should."
)
@click.option(
    "--listen",
    default=0,
    type=click.IntRange(0, 65535),
    metavar="PORT",
    help="Port of the REST API on 127.0.0.1.  [default: 8480, or a free one]",
)
def demo(listen: int, *, once: bool) -> None:
    """Start a SIM, a module and an agent for each service, send Commands, show the road of each.

    Nothing outside this machine is reached, nothing is left behind. After the tour it says what to type to
    send a Command yourself, and shows what comes of it until Ctrl-C.
    """
    try:
        from agent.cli.show.screen import Screen
        from agent.cli.show.stage import stage  # noqa: F401  (needs the extra)
        from hardware.sim.sandbox import SandboxUnavailable
    except ModuleNotFoundError as error:
        give_up(
            f"the demo needs {error.name}, which is not installed: "
            f"pip install 'modem-agent[sandbox]', or {error.name} alone"
        )
    screen = Screen(time.monotonic)
    try:
        with tempfile.TemporaryDirectory(prefix="modem-agent-demo-") as folder:
            good = asyncio.run(_perform(screen, Path(folder), listen, once=once))
    except SandboxUnavailable as error:
        give_up(str(error))
    except (KeyboardInterrupt, asyncio.CancelledError):
        raise SystemExit(130) from None
    except TimeoutError:
        give_up("the demo's agents did not become ready in time: is this machine very busy?")
    except OSError as error:
        if error.errno == errno.EPIPE:
            raise  # nobody reads any more
        give_up(f"the demo cannot be set up: {error}")
    except ExceptionGroup as group:  # of the TaskGroup that the tour runs in: no sentence was made for it
        give_up(*(f"the demo cannot be set up: {reason}" for reason in _reasons(group)))
    raise SystemExit(0 if good else 1)


def _reasons(group: ExceptionGroup) -> list[str]:
    """What went wrong, each once; three agents of one machine fail for one reason."""
    found: dict[str, None] = {}
    for error in group.exceptions:
        found |= dict.fromkeys(_reasons(error) if isinstance(error, ExceptionGroup) else [str(error)])
    return list(found)


async def _perform(screen: Screen, folder: Path, port: int, *, once: bool) -> bool:
    from agent.cli.show.stage import SIMS, stage
    from agent.cli.show.tour import TOUR, Seen, visit
    from agent.story import Step
    from hardware.sim.network.events import Event

    task, loop = asyncio.current_task(), asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGHUP):  # a closed terminal, too, leaves nothing behind
        loop.add_signal_handler(number, task.cancel if task else loop.stop)

    seen = Seen()
    here: str | None = None
    touring = True

    def told(sim: str, item: Step | Event) -> None:
        if not touring:
            screen.step(item, sim)
        elif sim == here:
            seen.add(item)
            screen.step(item)

    end = loop.time() + ONCE_S if once else math.inf
    screen.say("Starting a SIM, a module on a pseudo-terminal and an agent for each service ...")
    listen = ("127.0.0.1", port or (0 if once else _free(8480)))  # nobody is told of the tour's
    async with stage(folder, listen, told) as ready:
        for name, service in SIMS:
            screen.say(f"  {name}  {service}, module on {ready.sim(name).link}")
        results = []
        for stop in TOUR:
            seen = Seen()
            here = stop.sim
            screen.begin(stop.title, f"{stop.sim}, {dict(SIMS)[stop.sim]}")
            results.append(await visit(stop, ready, seen, end - loop.time()))
            screen.end(results[-1])
        screen.table(results)
        touring = False
        good = all(result.good for result in results)
        if not once:
            _invite(screen, ready)
            await _until_interrupted()
    return good


def _invite(screen: Screen, ready: Stage) -> None:
    url = ready.sandbox.url
    screen.say("\nSend one yourself, in another terminal; ping, status, help and led are there to be used:")
    screen.say(f"  curl {url}/supersim/v1/SmsCommands -d Sim=meter-1 -d Payload=ping")
    screen.say(f"  curl {url}/wireless/v1/Commands -d Sim=meter-2 -d Command='led green' -d IncludeSid=start")
    screen.say("and see the answers:")
    screen.say(f"  curl '{url}/supersim/v1/SmsCommands?Direction=from_sim&PageSize=1'")
    screen.say("Ctrl-C ends it.\n")


def _free(port: int) -> int:
    """The port, or 0 where somebody listens on it."""
    with socket.socket() as line:
        line.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            line.bind(("127.0.0.1", port))
        except OSError:
            return 0
    return port


async def _until_interrupted() -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGINT, stop.set)
    await stop.wait()
