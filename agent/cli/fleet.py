"""`modem-agent fleet`: what thousands of devices do to the network and to the back end."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import click

from agent.cli.common import EXIT_FAILURE, exit_with_errors, print_json
from agent.cli.options import json_option
from agent.common.config import SERVICE_NAMES

F = TypeVar("F", bound=Callable[..., object])

EXIT_INTERRUPTED = 130
"""128 + SIGINT, as shells report it."""
SCENARIOS = ("command", "outage", "retry")


def _seconds_option(
    name: str, default: float, help_text: str, *, maximum: float, minimum: float = 0.0
) -> Callable[[F], F]:
    """Return the decorator of an option that takes seconds."""
    return click.option(
        name,
        default=default,
        show_default=True,
        type=click.FloatRange(minimum, maximum),
        metavar="SECONDS",
        help=help_text,
    )


@click.command()
@click.option(
    "--sims", default=1000, show_default=True, type=click.IntRange(1, 100_000), help="Number of devices."
)
@click.option(
    "--scenario",
    default="command",
    show_default=True,
    type=click.Choice(SCENARIOS),
    help="One Command to all; no coverage for some time, and its return; or Commands with lost "
    "acknowledgements and a back end that repeats.",
)
@click.option(
    "--reply-spread",
    "reply_spreads",
    default=(0.0,),
    show_default="0",
    multiple=True,
    type=click.FloatRange(0, 3600),
    metavar="SECONDS",
    help="service.reply_spread_s of all devices. Give it several times to compare.",
)
@click.option(
    "--service",
    default="super-sim",
    show_default=True,
    type=click.Choice(SERVICE_NAMES),
    help="Service of the SIMs.",
)
@click.option(
    "--rate",
    default=50.0,
    show_default=True,
    type=click.FloatRange(0.1, 10_000),
    help="Commands that the back end creates in a second.",
)
@_seconds_option(
    "--transit", 1.5, "Shortest time of a message between service and module, in each direction.", maximum=600
)
@_seconds_option("--jitter", 3.0, "Longest random time of a message in addition.", maximum=3600)
@_seconds_option("--handler-time", 1.0, "Time of a handler.", maximum=29)
@_seconds_option("--outage", 300.0, "Scenario outage: time without coverage.", maximum=86_400, minimum=10)
@_seconds_option(
    "--search", 60.0, "Scenario outage: time within which the modules find the network again.", maximum=3600
)
@click.option(
    "--loss",
    default=5.0,
    show_default=True,
    type=click.FloatRange(0, 100),
    metavar="PERCENT",
    help="Scenario retry: share of the acknowledgements that are lost.",
)
@_seconds_option(
    "--repeat-after",
    60.0,
    "Scenario retry: time after which the back end repeats a Command without answer.",
    maximum=86_400,
    minimum=1,
)
@click.option("--seed", default=1, show_default=True, help="The same seed gives the same result.")
@click.option(
    "--svg",
    type=click.Path(dir_okay=False, writable=True, path_type=Path),
    metavar="FILE",
    help="Write a picture of the load over time.",
)
@json_option
def fleet(
    *,
    sims: int,
    scenario: str,
    reply_spreads: tuple[float, ...],
    service: str,
    rate: float,
    transit: float,
    jitter: float,
    handler_time: float,
    outage: float,
    search: float,
    loss: float,
    repeat_after: float,
    seed: int,
    svg: Path | None,
    as_json: bool,
) -> None:
    """Simulate thousands of devices, each with this agent, and show the load on network and back end.

    Time is simulated. On one core a device takes about 50 ms and 200 KiB for each value of --reply-spread.

    \b
    modem-agent fleet --sims 2000 --scenario outage --reply-spread 0 --reply-spread 120 --svg load.svg

    \b
    Exit status:
    0    each Command ran once and was answered
    1    a Command was lost, doubled or left without an answer; or the simulation failed
    130  ended with Ctrl-C
    """
    from agent.fleet.chart import draw_chart
    from agent.fleet.fleet import FleetFailed, simulate_fleet
    from agent.fleet.options import FleetOptions, FleetScenario
    from agent.fleet.report import format_report, make_document
    from hardware.sim.virtual_time import run_virtual

    options = FleetOptions(
        sims=sims,
        scenario=FleetScenario(scenario),
        service=service,
        seed=seed,
        commands_per_s=rate,
        transit_s=transit,
        jitter_s=jitter,
        handler_s=handler_time,
        outage_s=outage,
        search_s=search,
        loss=loss / 100,
        repeat_after_s=repeat_after,
    )
    began = time.monotonic()

    def report(step: str) -> None:
        click.echo(f"{time.monotonic() - began:6.0f} s  {step} ...", err=True)

    try:
        if svg is not None:
            svg.touch()  # a path that cannot be written is reported before minutes of work
        with tempfile.TemporaryDirectory(prefix="modem-agent-fleet-") as folder:
            runs = [
                run_virtual(simulate_fleet(options, spread_s, Path(folder), report))
                for spread_s in dict.fromkeys(reply_spreads)
            ]
        if svg is not None:
            svg.write_text(draw_chart(options, runs), encoding="utf-8")
    except FleetFailed as error:
        exit_with_errors(str(error))
    except OSError as error:
        exit_with_errors(f"{error.filename or 'the picture'} cannot be written: {error.strerror or error}")
    except MemoryError:
        exit_with_errors(f"the memory is not enough for {sims:,} devices; simulate fewer")
    except KeyboardInterrupt:
        raise SystemExit(EXIT_INTERRUPTED) from None
    if as_json:
        print_json(make_document(options, runs))
    else:
        click.echo(format_report(options, runs))
    raise SystemExit(0 if all(run.is_sound for run in runs) else EXIT_FAILURE)
