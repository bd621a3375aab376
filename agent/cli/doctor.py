"""`modem-agent doctor`: finds out why Commands are not received or answered, and says what to type next."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from agent.cli.common import EXIT_FAILURE, exit_with_errors, print_json
from agent.cli.config import SETTING_CHECKS
from agent.cli.module_settings import make_port_opener
from agent.cli.options import config_option, json_option
from agent.common.config import Config, ModemConfig
from agent.common.printable import escape_unprintable

if TYPE_CHECKING:
    from agent.at.transport.base import TransportOpener
    from agent.diagnosis.agent_exchange import AgentRequest
    from agent.diagnosis.doctor import Doctor, DoctorDependencies
    from agent.diagnosis.finding import Finding

EXIT_WARNING = 3
"""Exit status if there is a warning and nothing is wrong."""
REQUEST_TIMEOUT_S = 10.0
"""The agent may be in the middle of a command of its own."""
SERVICE_USER, PORT_GROUP = "modem-agent", "dialout"
"""User= and SupplementaryGroups= of the unit."""
_COLOURS = {"ok": "green", "warning": "yellow", "wrong": "red", "skipped": "bright_black"}


@click.command()
@click.option(
    "--send", "sends", is_flag=True, help="At the end send a message to the service; it costs one SMS."
)
@click.option(
    "--bundle",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Write FILE, a zip file for a report: findings, status, journal without texts, and the conversation "
    "with the module, which modem-agent sandbox --replay FILE plays. Numbers are masked.",
)
@click.option(
    "--module",
    "draft",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Write FILE, a draft of a profile for a module that is not known yet, from what it answers.",
)
@json_option
@config_option
def doctor(config_path: Path, *, sends: bool, bundle: Path | None, draft: Path | None, as_json: bool) -> None:
    """Examine everything from agent.toml to the last reply, and say what is wrong and what to type next.

    \b
    configuration, agent       agent.toml, and whether the agent runs
    port, rights, holder       whether the port exists, and who may use and who uses it
    ModemManager, power        its udev rule; a supply voltage that is too low
    module, SIM, registration  whether they answer, and what each network domain says
    message service, notifications, message store
    journal, clock, handlers
    forwarding                 whether the broker of [mqtt] and the server of [webhook] can be reached
    last error, loopback (with --send)

    A running agent is asked, and keeps the port. Otherwise the module is asked directly, and nothing in it is
    changed. What depends on a failed check is skipped. It takes some seconds, up to ten if nothing answers.

    \b
    Exit status:
    0  all is well
    1  something is wrong
    3  there are warnings only
    """
    from agent.at.trace import Trace
    from agent.diagnosis.doctor import Doctor
    from agent.diagnosis.finding import Level, worst_level
    from agent.recording.redact import ContentRedactor

    if draft is not None and bundle is not None:
        raise click.UsageError("give either --bundle or --module")
    recorded: list[str] = []
    trace = Trace(recorded.append, ContentRedactor(), relative_times=True)
    patient = Doctor(_make_dependencies(config_path, trace), sends=sends)
    if draft is not None:
        _write_draft(patient, draft)
        return
    findings = asyncio.run(_examine(patient, shows=not as_json))
    trace.close()
    if as_json:
        print_json({"result": worst_level(findings), "findings": [finding.to_json() for finding in findings]})
    if bundle is not None:
        _write_bundle(bundle, patient, findings, recorded, config_path)
    match worst_level(findings):
        case Level.WRONG:
            raise SystemExit(EXIT_FAILURE)
        case Level.WARNING:
            raise SystemExit(EXIT_WARNING)


async def _examine(patient: Doctor, *, shows: bool) -> list[Finding]:
    findings = []
    async for finding in patient.examine():
        findings.append(finding)
        if shows:
            _print_finding(finding)
    return findings


def _print_finding(finding: Finding) -> None:
    level = click.style(f"{finding.level:<8}", fg=_COLOURS[finding.level])
    click.echo(f"{level} {finding.check:<16} {escape_unprintable(finding.reason)}")
    for detail in finding.details:
        click.echo(f"{'':<26}{escape_unprintable(detail)}")
    if finding.next_step:
        click.echo(f"{'':<26}next: {escape_unprintable(finding.next_step)}")


def _make_dependencies(config_path: Path, trace: Any) -> DoctorDependencies:
    from agent.daemon.control_client import send_request
    from agent.diagnosis.configuration import check_handlers, check_settings
    from agent.diagnosis.doctor import DoctorDependencies
    from agent.diagnosis.forwarding_checks import ForwardingFacts
    from agent.diagnosis.system_facts import explain_unit, read_unit
    from agent.installation.plan import find_device
    from hardware.port_users import find_user

    device = find_device(config_path)

    def make_opener(port: str, baud: int | Literal["auto"]) -> TransportOpener:
        return make_port_opener(config_path, Config(modem=ModemConfig(port=port, baud=baud)))

    def make_request(socket: Path) -> AgentRequest:
        async def request(values: Mapping[str, Any]) -> dict[str, Any]:
            timeout_s = {} if values["do"] == "send" else {"timeout_s": REQUEST_TIMEOUT_S}
            return send_request(socket, values, **timeout_s)  # blocks, and nothing else happens meanwhile

        return request

    return DoctorDependencies(
        check_settings=lambda: check_settings(config_path, SETTING_CHECKS),
        check_handlers=check_handlers,
        make_opener=make_opener,
        make_request=make_request,
        has_pin=lambda config: config.modem.pin_file is not None or _exists(device.sim_pin_file),
        wall_clock=time.time,
        describe_unit=lambda: explain_unit(device.unit, read_unit(device.unit)),
        forwarding=ForwardingFacts(
            may_use_network=lambda: device.may_use_network,
            find_credential=lambda name: file if _exists(file := device.credential_file(name)) else None,
        ),
        agent_user=find_user(SERVICE_USER, PORT_GROUP),
        trace=trace,
    )


def _exists(file: Path) -> bool:
    """Return True if a file exists, or if this user may not know."""
    try:
        return file.exists()
    except PermissionError:
        return True


def _write_bundle(
    path: Path, patient: Doctor, findings: list[Finding], recorded: list[str], config_path: Path
) -> None:
    from datetime import UTC, datetime

    from agent.diagnosis.report import make_documents
    from agent.diagnosis.system_facts import read_system_facts, read_unit
    from agent.installation.plan import find_device
    from agent.recording.bundle import write_bundle
    from agent.version import VERSION
    from hardware.recording import MASKED_TAG, format_header

    now = datetime.fromtimestamp(time.time(), UTC).isoformat(timespec="seconds")
    unit = find_device(config_path).unit
    facts = read_system_facts() | {"written": now, "unit": {unit: read_unit(unit)}}
    header = format_header(now, f"agent {VERSION}", MASKED_TAG)
    try:
        write_bundle(path, header, recorded, make_documents(findings, patient.result, facts))
    except OSError as error:
        exit_with_errors(f"--bundle {path}: {error.strerror or error}")
    click.echo(f"{path} is written; modem-agent sandbox --replay {path} plays the module", err=True)


def _write_draft(patient: Doctor, path: Path) -> None:
    """Write the draft of a profile, or print why the module cannot be asked, and end."""
    from agent.at.errors import AtError
    from agent.at.transport.base import PortUnavailable
    from agent.common.config import ConfigError
    from agent.daemon.control_client import ControlError
    from agent.diagnosis.draft_profile import ask_questions, format_profile

    async def ask() -> str:
        async with patient.connect_module() as module:
            return format_profile(await ask_questions(module.exchange), module.usb_port)

    try:
        text = asyncio.run(ask())
        path.write_text(text)
    except (AtError, PortUnavailable, ConfigError, ControlError) as error:
        exit_with_errors(str(error))
    except OSError as error:
        exit_with_errors(f"--module {path}: {error.strerror or error}")
    click.echo(f"{path} is written; hardware/profiles/README.md explains its keys", err=True)
