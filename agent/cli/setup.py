"""`modem-agent setup`: finds the module, writes agent.toml, installs the service, and removes it again."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from agent.cli.common import EXIT_FAILURE, exit_with_errors
from agent.common.config import SERVICE_NAMES, ConfigError, parse_config

if TYPE_CHECKING:
    from agent.installation.changes import Change
    from agent.installation.plan import Device

_INSTANCE_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,31}")
"""It becomes part of folder names and of a unit name, in which systemd replaces other characters."""


@click.command()
@click.option(
    "--service", type=click.Choice(SERVICE_NAMES), help="The service of the SIM; otherwise setup asks."
)
@click.option("--port", help="The module's port; otherwise setup searches for the module.")
@click.option("--pin/--no-pin", default=None, help="Ask for the PIN of the SIM, or do not.")
@click.option("--network/--no-network", default=None, help="Whether handlers may use the network.")
@click.option("--instance", default="", metavar="NAME", help="Set up one of several agents on this device.")
@click.option("--no-start", is_flag=True, help="Enable the service, but start it at the next boot only.")
@click.option("--yes", is_flag=True, help="Ask nothing: take what was found, and what is configured already.")
@click.option("--dry-run", is_flag=True, help="Show the changes and make none.")
@click.option("--remove", is_flag=True, help="Remove what setup installed; configuration and journal stay.")
@click.option("--purge", is_flag=True, help="With --remove: also configuration, journals and user.")
@click.option(
    "--root",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    default="/",
    metavar="DIR",
    help="Work on the file system below DIR, the image of a device, and start nothing.",
)
def setup(
    service: str | None,
    port: str | None,
    pin: bool | None,
    network: bool | None,
    instance: str,
    root: Path,
    *,
    no_start: bool,
    yes: bool,
    dry_run: bool,
    remove: bool,
    purge: bool,
) -> None:
    """Install the agent as a service, or change how it is set up. It can be run again at any time.

    It searches for module and SIM, asks for the service of the SIM, and shows what it is going to change. It
    keeps all else that is in agent.toml, comments included. Of the Debian package it uses the files; without
    it, from the wheel, it installs what the package would.

    \b
    Exit status:
    0  the device is set up, or nothing had to be changed
    1  a change failed, was declined, or needs sudo
    """
    from agent.installation.changes import SetupError, is_active
    from agent.installation.plan import Device, plan_activation, plan_files, plan_settings

    if purge and not remove:
        raise click.UsageError("--purge needs --remove")
    if instance and (instance == "agent" or not _INSTANCE_NAME.fullmatch(instance)):
        raise click.UsageError("--instance is a name of a-z, 0-9, - and _, and not agent")
    device = Device(root.resolve(), instance)
    if not dry_run and os.geteuid() != 0:
        exit_with_errors("setup changes the system: run it with sudo, or look first with --dry-run")
    try:
        if remove:
            _remove(device, purge=purge, yes=yes, dry_run=dry_run)
            return
        from agent.installation.config_edit import get_key, set_keys

        current = _read_config(device)
        port, is_ready = _choose_port(device, port, current, yes=yes)
        service = _choose_service(service, current, is_new=not device.config_file.exists(), yes=yes)
        forwards = get_key(current, "mqtt", "broker") or get_key(current, "webhook", "url")
        if network is None and (forwards or port.startswith("socket://")):
            network = True
        elif network is None and not yes and not device.network_drop_in.exists():
            network = click.confirm("Do your handlers use the network?", default=False) or None

        keys = {("modem", "port"): port, ("service", "name"): service, **device.config_keys()}
        text = set_keys(current, keys, str(device.config_file))
        _check(text, device)
        sim_pin = _ask_pin() if pin and not dry_run else None
        changes = [
            *plan_files(device, {} if device.is_packaged else _generate()),
            *plan_settings(device, text, pin=sim_pin, network=network),
        ]
        activation = plan_activation(device, start=is_ready and not no_start)
        stands_still = device.is_running and not is_active(device.unit)
        _carry_out([*changes, *activation], yes=yes, dry_run=dry_run, commands_alone=stands_still)
    except SetupError as error:
        exit_with_errors(str(error))
    except OSError as error:
        exit_with_errors(f"{error.filename or device.root}: {error.strerror}")
    if not dry_run and activation:
        state = "runs" if is_ready and not no_start else "will start at the next boot"
        name = f" --config {device.config_file}" if instance else ""
        click.echo(f"{device.unit} {state}. See: sudo modem-agent status{name}")


def _read_config(device: Device) -> str:
    """Return the text of the device's agent.toml; that of the annotated example if there is none yet.

    Raises OSError, SetupError.
    """
    from agent.installation.changes import SetupError
    from agent.installation.plan import shared_folder

    if device.config_file.exists():
        try:
            return device.config_file.read_text("utf-8")
        except UnicodeDecodeError as error:
            raise SetupError(
                f"{device.config_file}: octet {error.start} is not valid UTF-8; save the file as UTF-8"
            ) from None
    return (shared_folder() / "agent.toml").read_text("utf-8")


def _choose_port(device: Device, port: str | None, current: str, *, yes: bool) -> tuple[str, bool]:
    """Return the port, and whether it can be used before a reboot; print what was found."""
    from agent.installation.config_edit import get_key
    from hardware import header_uart, serial_console
    from hardware.port_finder import PortFinder, PortSelectionError, list_candidates

    configured = get_key(current, "modem", "port")
    port = port or (configured if isinstance(configured, str) else "auto")
    uart = header_uart.find_header_uart(device.root)
    if port == "auto":
        candidates = list_candidates(device.root)
        try:
            node = PortFinder(device.root).find(0)
        except PortSelectionError as error:
            if len(candidates) > 1 and not yes:
                names = [name for name, _ in candidates]
                for name, description in candidates:
                    click.echo(f"  {name}  {description}")
                port = click.prompt("Which of these modules", type=click.Choice(names))
            elif (
                uart is not None
                and not candidates
                and not yes
                and click.confirm(f"No USB module is plugged in. Is there a HAT on the header ({uart.node})?")
            ):
                port = uart.node
            else:
                click.echo(f"note: {error}")
                return port, True
        else:
            click.echo(f"module: {candidates[0][1]}, AT port {node}")
            _report_module(device, str(node))
            return port, True
    if port.startswith("/"):
        node = Path(port)
        if device.path(port).exists():
            steps = serial_console.fix_hint(device.path(port), device.root)
        else:
            steps = header_uart.explain_absent_uart(node, device.root)
        if debug := header_uart.explain_debug_plug(node, device.root):
            click.echo(f"note: {debug}")
        if steps:
            click.echo(f"{port}: first {steps}.")
            if uart is not None:
                click.echo(
                    "  raspi-config does it: Interface Options, Serial Port: no login shell, hardware on; "
                    "then reboot"
                )
            return port, False
        _report_module(device, port)
    return port, True


def _report_module(device: Device, port: str) -> None:
    """Print what the module on a port answers, unless an agent uses it."""
    from hardware.probe import probe_module

    if device.root != Path("/") or not Path(port).exists():
        return
    found = probe_module(Path(port))
    if found.error:
        click.echo(f"note: {port} is not asked: {found.error} (a running agent has it open)")
    elif not found.has_answered:
        click.echo(f"note: nothing answers on {port} yet: the module may be off, or have another baud rate")
    else:
        click.echo(f"module: {found.model} on {port}; SIM: {found.sim or 'no answer'}")
        if found.sim == "SIM PIN":
            click.echo("The SIM asks for its PIN: run setup --pin")


def _choose_service(service: str | None, current: str, *, is_new: bool, yes: bool) -> str:
    from agent.installation.changes import SetupError
    from agent.installation.config_edit import get_key

    configured = get_key(current, "service", "name")
    if service is not None:
        return service
    if yes and is_new:
        raise SetupError(f"name the service of the SIM: --service {' or '.join(SERVICE_NAMES)}")
    if yes:
        return str(configured or SERVICE_NAMES[0])
    choice = configured if configured in SERVICE_NAMES else SERVICE_NAMES[0]
    return str(click.prompt("Which service is the SIM of", type=click.Choice(SERVICE_NAMES), default=choice))


def _ask_pin() -> str:
    pin = str(click.prompt("PIN of the SIM", hide_input=True))
    if not (pin.isascii() and pin.isdecimal() and 4 <= len(pin) <= 8):
        exit_with_errors("a PIN has 4 to 8 digits; nothing was changed")
    return pin


def _check(text: str, device: Device) -> None:
    """End with every error in the configuration, before anything is changed."""
    import tomllib

    try:
        parse_config(tomllib.loads(text), str(device.config_file), device.config_file.parent)
    except ConfigError as error:
        exit_with_errors(*error.errors)


def _generate() -> dict[str, str]:
    """Return man pages and completions by their path below `share`."""
    from agent.cli.commands import group
    from agent.installation.manual import make_completions, make_manual_pages
    from agent.installation.plan import shared_folder
    from agent.version import VERSION

    pages = make_manual_pages(group, VERSION, (shared_folder() / "agent.toml").read_text("utf-8"))
    return {f"man/man{name[-1]}/{name}": page for name, page in pages.items()} | dict(make_completions(group))


def _carry_out(changes: Iterable[Change], *, yes: bool, dry_run: bool, commands_alone: bool = False) -> None:
    """Show the changes that are needed, ask, and make them. `commands_alone`: also if no file is changed."""
    from agent.installation.changes import RunCommand

    needed = [(change, text) for change in changes if (text := change.describe())]
    if not commands_alone and all(isinstance(change, RunCommand) for change, _ in needed):
        click.echo("Nothing is to be changed.")
        return
    for _, text in needed:
        click.echo(text)
    if dry_run:
        click.echo("Nothing was changed (--dry-run).")
        return
    if not yes and not click.confirm("Make these changes?", default=True):
        raise SystemExit(EXIT_FAILURE)
    for change, _ in needed:
        change.apply()


def _remove(device: Device, *, purge: bool, yes: bool, dry_run: bool) -> None:
    from agent.installation.changes import SetupError
    from agent.installation.plan import plan_removal

    if device.is_packaged:
        raise SetupError(
            f"a Debian package is installed: run apt {'purge' if purge else 'remove'} modem-agent"
        )
    _carry_out(plan_removal(device, _generate(), with_data=purge), yes=yes, dry_run=dry_run)
