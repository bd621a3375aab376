"""`modem-agent sandbox`: simulated modules, network and service to develop against."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import tempfile
from datetime import UTC, datetime
from pathlib import Path

import click

from agent.cli.common import give_up, print_json

SERVICES = ("super-sim", "programmable-wireless", "super-sim-beta")


@click.command()
@click.option(
    "--listen",
    default="127.0.0.1:8480",
    show_default=True,
    metavar="HOST:PORT",
    help="Where the REST API is; port 0 takes a free one.",
)
@click.option(
    "--link-dir",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Where the links to the serial ports are made.  "
    "[default: modem-agent-sandbox below $XDG_RUNTIME_DIR or /tmp]",
)
@click.option(
    "--sim",
    "sims",
    multiple=True,
    metavar="SERVICE[=NAME]",
    help="A SIM with a module; may be given several times.  [default: one of each service]",
)
@click.option("--json", "as_json", is_flag=True, help="Print one first line of JSON: where everything is.")
def sandbox(listen: str, link_dir: Path | None, sims: tuple[str, ...], *, as_json: bool) -> None:
    """Run modules on pseudo-terminals, a network behind them, and the services' REST API in front.

    \b
    Point an agent, or any AT program, at a link below --link-dir:
      port = "/tmp/modem-agent-sandbox/super-sim"
    and a client at the URL:
      curl http://127.0.0.1:8480/supersim/v1/SmsCommands -d Sim=super-sim -d Payload=ping

    SERVICE is super-sim, programmable-wireless or super-sim-beta. It goes on until Ctrl-C.
    """
    host, _, port = listen.rpartition(":")
    if not host or not port.isdecimal() or int(port) > 65535:
        raise click.BadParameter(
            f"{listen} is not HOST:PORT, for example 127.0.0.1:8480", param_hint="--listen"
        )
    folder = (
        link_dir or Path(os.environ.get("XDG_RUNTIME_DIR") or tempfile.gettempdir()) / "modem-agent-sandbox"
    )
    chosen = [_sim(text) for text in sims]

    from hardware.sim.sandbox import ONE_OF_EACH, Sandbox, SandboxUnavailable, SimSpec

    specs = [SimSpec(service=service, unique_name=name) for service, name in chosen] or ONE_OF_EACH

    async def live() -> None:
        box = Sandbox(
            specs,
            (host.strip("[]"), int(port)),
            link_dir=folder,
            wall=lambda: datetime.now(UTC),
            rng=random.Random(),  # noqa: S311  (SIDs of a simulation are no secrets)
        )
        stop = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        await box.start()
        try:
            _announce(box.describe(), as_json=as_json)
            await stop.wait()
        finally:
            await box.stop()

    try:
        folder.mkdir(parents=True, exist_ok=True)
        asyncio.run(live())
    except SandboxUnavailable as error:
        give_up(str(error))
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    except OSError as error:
        give_up(f"--link-dir {folder}: {error.strerror or error}")


def _sim(text: str) -> tuple[str, str | None]:
    service, _, name = text.partition("=")
    if service not in SERVICES:
        raise click.BadParameter(
            f"there is no service {service}; there are {', '.join(SERVICES)}", param_hint="--sim"
        )
    return service, name or None


def _announce(description: dict[str, object], *, as_json: bool) -> None:
    if as_json:
        print_json(description)
        return
    sims = description["sims"]
    assert isinstance(sims, list)  # noqa: S101  (for the type checker)
    click.echo(f"REST API and a page that explains it: {description['url']}/")
    width = max(len(sim["unique_name"]) for sim in sims)
    for sim in sims:
        click.echo(f"  {sim['unique_name']:<{width}}  {sim['service']}, SIM {sim['sid']}, port {sim['link']}")
    click.echo("Any or no credentials are accepted. Ctrl-C ends it.")
