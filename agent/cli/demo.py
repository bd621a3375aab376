"""`modem-agent demo`: demonstrates the whole system in simulation."""

from __future__ import annotations

import asyncio
import errno
import tempfile
from pathlib import Path

import click

from agent.cli.common import EXIT_FAILURE, exit_with_errors

EXIT_INTERRUPTED = 130
"""128 + SIGINT, as shells report it."""


@click.command()
@click.option("--once", is_flag=True, help="End after the scenarios.")
@click.option(
    "--listen",
    default=0,
    type=click.IntRange(0, 65535),
    metavar="PORT",
    help="Port of the REST API on 127.0.0.1.  [default: 8480, or a free port]",
)
def demo(listen: int, *, once: bool) -> None:
    """Start a SIM, a module and an agent for each service, send Commands and show the events of each.

    Nothing outside this machine is contacted, and nothing is left behind. After the scenarios the demo prints
    the commands with which you can send a Command yourself, and shows its path until Ctrl-C.

    \b
    Exit status:
    0    all scenarios passed
    1    a scenario failed, or the demo could not start
    130  ended with Ctrl-C
    """
    try:
        from agent.demo.run import run_demo
        from hardware.sim.rest.server import SandboxUnavailable
    except ModuleNotFoundError as error:
        exit_with_errors(
            f"the demo needs the Python package {error.name}: "
            f"pip install 'modem-agent[sandbox]', or install {error.name} alone"
        )
    try:
        with tempfile.TemporaryDirectory(prefix="modem-agent-demo-") as folder:
            all_passed = asyncio.run(run_demo(Path(folder), listen, once=once))
    except SandboxUnavailable as error:
        exit_with_errors(str(error))
    except (KeyboardInterrupt, asyncio.CancelledError):
        raise SystemExit(EXIT_INTERRUPTED) from None
    except (OSError, ExceptionGroup) as error:
        if isinstance(error, OSError) and error.errno == errno.EPIPE:
            raise  # the reader of the output has gone; `main` ends quietly
        exit_with_errors(*describe_start_error(error))
    raise SystemExit(0 if all_passed else EXIT_FAILURE)


def describe_start_error(error: Exception) -> list[str]:
    """Return a sentence for each reason why the demo did not start.

    A group is from the TaskGroup of the agents. All of them may fail for the same reason, which is returned
    once.
    """
    if isinstance(error, ExceptionGroup):
        return list(dict.fromkeys(text for each in error.exceptions for text in describe_start_error(each)))
    if isinstance(error, TimeoutError):
        return ["the agents of the demo did not become ready in time; this machine may be very busy"]
    return [f"the demo cannot start: {error}"]
