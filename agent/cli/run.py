"""`modem-agent run`: runs the agent as a service."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from agent.cli.options import config_option

if TYPE_CHECKING:
    from agent.cli.run_agent import MakeAgent


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
@click.pass_obj  # None outside of the tests
def run(
    make_agent: MakeAgent | None,
    config_path: Path,
    *,
    trace: bool,
    show_content: bool,
    record: Path | None,
    mask: bool,
) -> None:
    """Run the agent until SIGTERM or Ctrl-C.

    Under systemd it reports its readiness and status, and serves the watchdog. If the port is
    absent, busy or forbidden, it logs the reason and waits. SIGHUP (systemctl reload) makes it
    read handlers and agent.toml again without disturbing what runs; the log names the keys that need
    a restart.

    \b
    Exit status:
    0  stopped by SIGTERM or Ctrl-C
    1  another agent has the journal, or nothing has helped the module (systemd tries again)
    2  the configuration cannot work (systemd does not try again)
    """
    if mask and record is None:
        raise click.UsageError("--mask needs --record FILE")
    from agent.cli.run_agent import run_agent

    run_agent(
        config_path, trace=trace, show_content=show_content, record=record, mask=mask, make_agent=make_agent
    )
