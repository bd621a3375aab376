"""`modem-agent run`: runs the agent as a service."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from agent.cli.options import config_option

if TYPE_CHECKING:
    from agent.cli.run_agent import MakeAgent


def _seconds_option(
    name: str, default: float, text: str
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    return click.option(
        name, type=click.FloatRange(min=0), default=default, show_default=True, metavar="SECONDS", help=text
    )


@click.command()
@config_option
@click.option("--trace", is_flag=True, help="Log every byte to and from the module, message texts included.")
@click.option(
    "--show-content",
    is_flag=True,
    help="Log the content of messages; by default the log has only their SIDs.",
)
@click.option(
    "--record",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Record the conversation with the module in FILE, to be read or replayed "
    "(modem-agent sandbox --replay). It contains message texts, but never a PIN.",
)
@click.option(
    "--mask",
    is_flag=True,
    help="With --record: replace numbers and texts by placeholders of the same length, so that FILE can be "
    "shared.",
)
@click.option("--until-idle", is_flag=True, help="End when there is nothing left to do.")
@_seconds_option("--quiet-time", 20.0, "With --until-idle: end after so many seconds without work.")
@_seconds_option("--max-time", 300.0, "With --until-idle: end after so many seconds in any case.")
@_seconds_option("--max-wait", 60.0, "With --until-idle: leave what waits for longer to the next start.")
@click.pass_obj  # None outside of the tests
def run(
    make_agent: MakeAgent | None,
    config_path: Path,
    *,
    trace: bool,
    show_content: bool,
    record: Path | None,
    mask: bool,
    until_idle: bool,
    quiet_time: float,
    max_time: float,
    max_wait: float,
) -> None:
    """Run the agent until SIGTERM or Ctrl-C.

    Under systemd it reports its readiness and status, and serves the watchdog. If the port is
    absent, busy or forbidden, it logs the reason and waits. SIGHUP (systemctl reload) makes it
    read handlers and agent.toml again without disturbing what runs; the log names the keys that need
    a restart.

    With --until-idle it ends by itself: when the module is registered, its messages were read, no handler
    runs, no reply waits, and nothing of this has changed for the quiet time. That is for a device that wakes,
    fetches, answers and powers off.

    \b
    Exit status:
    0  stopped by SIGTERM or Ctrl-C, or idle
    1  another agent has the journal, or nothing has helped the module (systemd tries again)
    2  the configuration cannot work (systemd does not try again)
    3  not idle within --max-time; what is left is in the journal or in the module
    """
    if mask and record is None:
        raise click.UsageError("--mask needs --record FILE")
    from agent.cli.run_agent import run_agent

    run_agent(
        config_path,
        trace=trace,
        show_content=show_content,
        record=record,
        mask=mask,
        make_agent=make_agent,
        until_idle=(quiet_time, max_time, max_wait) if until_idle else None,
    )
