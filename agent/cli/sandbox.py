"""`modem-agent sandbox`: runs simulated modules, network and REST API, or replays a recording."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import gc
import os
import random
import signal
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.core import ParameterSource

from agent.cli.common import EXIT_CONFIG, EXIT_FAILURE, exit_with_errors, print_json
from agent.cli.sandbox_agents import following_agents
from agent.cli.sandbox_modules import ModuleOptions, log_bytes_to, module_options, print_faults
from agent.cli.sandbox_services import ServiceOptions, service_options
from agent.common.config import ControlConfig

if TYPE_CHECKING:
    from hardware.sim.sandbox_clock import SandboxClock
    from hardware.sim.scenario.steps import Scenario

REPLAY_OPTIONS = ("replay", "no_delays", "link_dir", "as_json")
"""The options that a replayed recording takes."""


def _parse_clock(_context: click.Context, _option: click.Parameter, text: str) -> SandboxClock:
    """Return the clock that `frozen`, a time of its start, or both describe."""
    from hardware.sim.durations import parse_time
    from hardware.sim.sandbox_clock import SandboxClock

    words = [word.strip() for word in text.split(",")]
    times = [word for word in words if word not in ("frozen", "running")]
    if len(times) > 1 or len(words) - len(times) > 1:
        raise click.BadParameter(f"{text} is not frozen, a time, or frozen,TIME")
    try:
        start_time = parse_time(times[0]) if times else None
    except ValueError as error:
        raise click.BadParameter(f"{text}: {error}, or frozen") from None
    return SandboxClock(lambda: datetime.now(UTC), start_time=start_time, is_frozen="frozen" in words)


def _parse_duration(_context: click.Context, _option: click.Parameter, text: str) -> float:
    """Return the seconds that a number or a duration such as `1m` describes."""
    from hardware.sim.durations import parse_duration

    try:
        return parse_duration(text)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


def _parse_folder(_context: click.Context, _option: click.Parameter, text: str | None) -> Path | None:
    """Return the absolute path, so that the paths that are printed hold in every folder."""
    if text == "":
        raise click.BadParameter("it must be the path of a folder")
    return None if text is None else Path(text).absolute()


@click.command()
@click.option(
    "--listen",
    default="127.0.0.1:8480",
    show_default=True,
    metavar="HOST:PORT",
    help="Address of the REST API; port 0 takes a free port.",
)
@click.option(
    "--link-dir",
    type=click.Path(file_okay=False),
    callback=_parse_folder,
    metavar="DIR",
    help="Folder for the links to the serial ports.  "
    "[default: modem-agent-sandbox below $XDG_RUNTIME_DIR or /tmp]",
)
@module_options
@service_options
@click.option(
    "--clock",
    "sandbox_clock",
    default="running",
    show_default=True,
    callback=_parse_clock,
    metavar="frozen|TIME|frozen,TIME",
    help="The clock starts at TIME, such as 2026-11-01T00:00:00Z, or now. A frozen one stands still until "
    "POST /sandbox/clock moves it.",
)
@click.option(
    "--scenario",
    "scenario_file",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Carry out a scenario: what happens to which SIM, and when. Examples: share/modem-agent/scenarios.",
)
@click.option(
    "--part-gap",
    "part_gap_s",
    default="0.2",
    show_default=True,
    callback=_parse_duration,
    metavar="SECONDS",
    help="Time between the parts of a long message to a SIM.",
)
@click.option(
    "--seed",
    type=int,
    metavar="N",
    help="All that is random follows from N: SIDs, account, chances.  [default: another one at each start]",
)
@click.option(
    "--agent-socket",
    "agent_sockets",
    type=click.Path(path_type=Path),
    multiple=True,
    metavar="PATH",
    help="The control socket of an agent whose part the console shows; repeatable.  "
    f"[default: {ControlConfig().socket}]",
)
@click.option(
    "--replay",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Replay only the module of a recording (modem-agent run --record FILE), or of a bundle "
    "(modem-agent doctor --bundle FILE).",
)
@click.option(
    "--no-delays", is_flag=True, help="With --replay: answer at once instead of after the recorded times."
)
@click.option(
    "--json",
    "as_json",
    is_flag=True,
    help="Print one line of JSON with URLs, account, SIMs and links when ready.",
)
def sandbox(
    listen: str,
    link_dir: Path | None,
    modules: ModuleOptions,
    services: ServiceOptions,
    sandbox_clock: SandboxClock,
    scenario_file: Path | None,
    part_gap_s: float,
    seed: int | None,
    agent_sockets: tuple[Path, ...],
    replay: Path | None,
    *,
    no_delays: bool,
    as_json: bool,
) -> None:
    """Run modules on pseudo-terminals, a network behind them, and the services' REST API in front.

    \b
    Point an agent, or any AT program, at a port that is printed, such as with --link-dir /tmp/modems:
      port = "/tmp/modems/super-sim"
    and a client at the URL, with the account and the token that are printed, or with --open without any:
      curl http://127.0.0.1:8480/supersim/v1/SmsCommands -d Sim=super-sim -d Payload=ping
    The URL in a browser is a console: it shows Commands, ports and callbacks, and sends Commands.

    SERVICE is super-sim, programmable-wireless or super-sim-beta. Stop with Ctrl-C.

    \b
    Faults happen at once, after a time, or at a command:
      --fault store-full  --fault reboot-silent:after=60@super-sim
      --fault final-lost:command=+CMGS,times=2
      --fault message-lost:chance=0.1 --fault message-delayed:seconds=1-20
    While the sandbox runs:
      curl http://127.0.0.1:8480/sandbox/sims/super-sim/faults -d '{"fault": "mute:for=20"}'

    \b
    Ports, SIM and answers of the modules:
      --tcp 127.0.0.1:7000@super-sim  --mode 0666  --log-bytes stderr
      --pin 1234:tries=1@super-sim  --answer '+CGPSINFO=+CGPSINFO: ,,,,,,,,'

    \b
    A Command with a CallbackUrl on this machine calls it at each change of status:
      curl http://127.0.0.1:8480/supersim/v1/SmsCommands -d Sim=super-sim -d Payload=ping \\
          -d CallbackUrl=http://127.0.0.1:9000/
      curl http://127.0.0.1:8480/sandbox/callbacks

    \b
    Exit status:
    0  stopped by Ctrl-C or SIGTERM
    1  it cannot start; with --replay also: the host sent a request that the recording lacks
    """
    if "list" in modules.faults:
        print_faults()
        return
    if services.print_list():
        return
    folder = (
        link_dir or Path(os.environ.get("XDG_RUNTIME_DIR") or tempfile.gettempdir()) / "modem-agent-sandbox"
    )
    if replay is not None:
        context = click.get_current_context()
        others = [
            option.opts[0]
            for option in context.command.params
            if option.name not in REPLAY_OPTIONS
            and context.get_parameter_source(option.name or "") is ParameterSource.COMMANDLINE
        ]
        if others:
            raise click.UsageError(f"--replay does not take {', '.join(others)}")
        _replay_recording(replay, folder, delays=not no_delays, as_json=as_json)
        return
    if no_delays:
        raise click.UsageError("--no-delays needs --replay FILE")
    host, _, port = listen.rpartition(":")
    if not host or not port.isdecimal() or int(port) > 65535:
        raise click.BadParameter(
            f"{listen} is not HOST:PORT, for example 127.0.0.1:8480", param_hint="--listen"
        )
    from hardware.sim.callbacks.sender import CallbackRules
    from hardware.sim.network.subscriber_queue import NetworkTiming
    from hardware.sim.sandbox import Sandbox
    from hardware.sim.service.access import AccountCredentials

    try:
        from hardware.sim.rest.server import SandboxServer, SandboxUnavailable
    except ModuleNotFoundError as error:
        exit_with_errors(
            f"the sandbox needs {error.name}, which is not installed: "
            f"pip install 'modem-agent[sandbox]', or {error.name} alone"
        )
    specs = modules.make_sim_specs()
    faults = modules.parse_faults(specs)
    rules = services.make_rules()
    services.check_faults()
    scenario = None if scenario_file is None else _read_scenario(scenario_file, [spec.name for spec in specs])

    # The SIDs of a simulation are not secret; the seed is short, to be typed.
    drawn_seed = random.randrange(2**32) if seed is None else seed  # noqa: S311

    async def run_until_stopped() -> None:
        rng = random.Random(drawn_seed)  # noqa: S311  (the SIDs of a simulation are not secret)
        box = Sandbox(
            sims=specs,
            link_dir=folder,
            clock=sandbox_clock,
            timing=NetworkTiming(part_gap_s=part_gap_s),
            rng=rng,
            rules=rules,
            credentials=AccountCredentials.draw(rng, services.account, services.token),
        )
        server = SandboxServer(
            box,
            (host.strip("[]"), int(port)),
            callback_rules=CallbackRules(allowed_hosts=frozenset(services.callback_hosts)),
            is_open=services.is_open,
            product_ports=services.product_ports,
            allowed_hosts=services.allowed_hosts,
        )
        if modules.log_bytes is not None:
            log_bytes_to(box, modules.log_bytes)
        stop = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            if signal.getsignal(number) is signal.SIG_IGN:
                continue  # by nohup, or by a shell that runs it in the background
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        await server.start()
        # Commands that are kept are many objects and no cycles; searching them all so often takes a fifth of
        # the time.
        gc.freeze()
        gc.set_threshold(100_000, 50, 100)
        try:
            for sim, fault in faults:
                box.find_sim(sim).faults.add(fault)
            for text in services.service_faults:
                box.account.faults.add(text)
            description = {**server.describe(), "seed": drawn_seed}
            _print_addresses(description, as_json=as_json, is_open=services.is_open)
            if not (sandbox_clock.is_running or as_json):
                click.echo(
                    f"The clock is frozen at {sandbox_clock.now()}; POST {server.url}/sandbox/clock moves it."
                )
            if scenario is not None:
                server.scenarios.start(scenario)
            async with following_agents(server, agent_sockets or (ControlConfig().socket,)):
                await stop.wait()
        finally:
            await server.stop()

    try:
        with _lock_link_dir(folder):
            asyncio.run(run_until_stopped())
    except SandboxUnavailable as error:
        exit_with_errors(str(error))
    except ValueError as error:
        raise click.UsageError(str(error)) from None


def _read_scenario(path: Path, sims: list[str]) -> Scenario:
    """Return the scenario of a file; exits with one sentence if it cannot be used."""
    from hardware.sim.scenario.steps import ScenarioError, parse_scenario

    try:
        return parse_scenario(path.read_text("utf-8"), sims)
    except (OSError, UnicodeDecodeError) as error:
        reason = "not a text file" if isinstance(error, UnicodeDecodeError) else error.strerror
        exit_with_errors(f"--scenario {path}: {reason}", exit_status=EXIT_CONFIG)
    except ScenarioError as error:
        exit_with_errors(f"--scenario {path}: {error}", exit_status=EXIT_CONFIG)


@contextlib.contextmanager
def _lock_link_dir(link_dir: Path) -> Iterator[None]:
    """Create the folder and lock it against other sandboxes; the kernel unlocks it when this process ends."""
    try:
        link_dir.mkdir(parents=True, exist_ok=True)
        lock = os.open(link_dir, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        exit_with_errors(f"--link-dir {link_dir}: {error.strerror or error}; choose another folder")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        exit_with_errors(f"another sandbox uses {link_dir}: stop it, or choose another --link-dir")
    try:
        yield
    finally:
        os.close(lock)


def _replay_recording(path: Path, link_dir: Path, *, delays: bool, as_json: bool) -> None:
    """Play the module of a recording; exit status 1 if the host sent a request that it lacks."""
    import zipfile

    from agent.recording.bundle import read_recording
    from agent.recording.replay import run_replay
    from hardware.recording import RecordingError, parse_recording

    try:
        recording = parse_recording(read_recording(path))
    except (KeyError, zipfile.BadZipFile):
        exit_with_errors(f"--replay {path}: a zip file without a recording", exit_status=EXIT_CONFIG)
    except (OSError, UnicodeDecodeError) as error:
        reason = "not a text file" if isinstance(error, UnicodeDecodeError) else error.strerror
        exit_with_errors(f"--replay {path}: {reason}", exit_status=EXIT_CONFIG)
    except RecordingError as error:
        exit_with_errors(f"--replay {path}: {error}", exit_status=EXIT_CONFIG)
    link = link_dir / "replay"

    def print_link() -> None:
        if as_json:
            print_json({"link": str(link), "recording": recording.details})
        else:
            click.echo(f"The recorded module ({recording.details or 'no details recorded'}) is at {link}")
            click.echo("Requests that the recording does not contain are shown here. Stop with Ctrl-C.")

    try:
        module = asyncio.run(
            run_replay(
                recording,
                link,
                delays=delays,
                on_started=print_link,
                on_divergence=lambda sentence: click.echo(sentence, err=True),
            )
        )
    except OSError as error:
        exit_with_errors(f"--link-dir {link_dir}: {error.strerror or error}")
    for sentence in module.unplayed_requests:
        click.echo(sentence, err=True)
    if module.divergences:
        raise SystemExit(EXIT_FAILURE)


def _print_addresses(description: dict[str, object], *, as_json: bool, is_open: bool) -> None:
    if as_json:
        print_json(description)
        return
    sims = description["sims"]
    assert isinstance(sims, list)  # noqa: S101  (for the type checker)
    click.echo(f"Console and REST API: {description['url']}/")
    product_urls = description["product_urls"]
    assert isinstance(product_urls, dict)  # noqa: S101  (for the type checker)
    for product, url in product_urls.items():
        click.echo(f"  {product}, with the paths of the vendor's host: {url}/v1/")
    width = max(len(sim["unique_name"]) for sim in sims)
    for sim in sims:
        ports = ", ".join(filter(None, (sim["link"], sim.get("tcp"), sim.get("unix"))))
        click.echo(f"  {sim['unique_name']:<{width}}  {sim['service']}, SIM {sim['sid']}, port {ports}")
    click.echo(f"Account {description['account']}, token {description['token']}; seed {description['seed']}")
    if is_open:
        click.echo("Any credentials are accepted, or none. Stop with Ctrl-C.")
    else:
        click.echo("The services need these credentials; --open accepts any, or none. Stop with Ctrl-C.")
