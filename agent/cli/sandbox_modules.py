"""The options of `modem-agent sandbox` about SIMs, their modules, and the ports of these."""

from __future__ import annotations

import functools
import grp
import inspect
import re
import sys
import textwrap
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from agent.cli.common import exit_with_errors
from agent.common.config import SERVICE_NAMES

if TYPE_CHECKING:
    from hardware.sim.sandbox import Sandbox
    from hardware.sim.sandbox_sim import PortSpec, SimSpec

STANDARD_ERROR = "stderr"
"""The value of --log-bytes that means standard error."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModuleOptions:
    """The options as given. What ends in `@SIM` belongs to one SIM, otherwise to all."""

    sims: tuple[str, ...]
    device: str
    baud: int | None
    pins: tuple[str, ...]
    answers: tuple[str, ...]
    faults: tuple[str, ...]
    tcp: tuple[str, ...]
    unix: tuple[str, ...]
    mode: int | None
    group: int | None
    log_bytes: str | None

    def make_sim_specs(self) -> list[SimSpec]:
        """Return the SIMs with their modules and ports. Raises click.BadParameter."""
        from hardware.profile import list_profiles
        from hardware.sim.sandbox_sim import DEFAULT_SIMS, SimSpec, check_sims

        if self.device not in list_profiles():
            raise click.BadParameter(
                f"there is no profile {self.device}; there are {', '.join(list_profiles())}",
                param_hint="--device",
            )
        specs = [SimSpec(**_parse_sim(text)) for text in self.sims] or list(DEFAULT_SIMS)
        try:
            check_sims(specs)
        except ValueError as error:
            raise click.BadParameter(str(error), param_hint="--sim") from None
        names = [spec.name for spec in specs]
        pins = self._parse_pins(names)
        answers = self._parse_answers(names)
        ports = self._parse_ports(names)
        return [
            replace(
                spec,
                device=self.device,
                baud=self.baud,
                ports=ports[spec.name],
                answers=answers[spec.name],
                **pins.get(spec.name, {}),
            )
            for spec in specs
        ]

    def parse_faults(self, specs: list[SimSpec]) -> list[tuple[str, str]]:
        """Return the name of a SIM and one of its faults for each. Raises click.BadParameter."""
        from hardware.sim.fault_text import FaultError
        from hardware.sim.sandbox_faults import check_fault

        faults = []
        for text in self.faults:
            fault, sims = _split_target(text, [spec.name for spec in specs], "--fault")
            try:
                check_fault(fault)
            except FaultError as error:
                raise click.BadParameter(str(error), param_hint="--fault") from None
            faults += [(sim, fault) for sim in sims]
        return faults

    def _parse_pins(self, names: list[str]) -> dict[str, dict[str, Any]]:
        """Return the fields of SimSpec about the PIN for each SIM that has one."""
        found: dict[str, dict[str, Any]] = {}
        for text in self.pins:
            value, sims = _split_target(text, names, "--pin")
            found |= dict.fromkeys(sims, _parse_pin(value))
        return found

    def _parse_answers(self, names: list[str]) -> dict[str, tuple[str, ...]]:
        from hardware.sim.module.scripted_answers import AnswerError, parse_answer

        found: dict[str, tuple[str, ...]] = dict.fromkeys(names, ())
        for text in self.answers:
            answer, sims = _split_target(text, names, "--answer")
            try:
                parse_answer(answer)
            except AnswerError as error:
                raise click.BadParameter(str(error), param_hint="--answer") from None
            for sim in sims:
                found[sim] += (answer,)
        return found

    def _parse_ports(self, names: list[str]) -> dict[str, PortSpec]:
        from hardware.sim.module.port_access import PortAccess
        from hardware.sim.module.socket_port import ABSTRACT_PREFIX, parse_tcp_address
        from hardware.sim.sandbox_sim import PortSpec

        tcp = {}
        for name, text in _assign_each(self.tcp, names, "--tcp"):
            try:
                tcp[name] = parse_tcp_address(text)
            except ValueError as error:
                raise click.BadParameter(str(error), param_hint="--tcp") from None
        unix = dict(_assign_each(self.unix, names, "--unix"))
        if any(path in ("", ABSTRACT_PREFIX) for path in unix.values()):
            raise click.BadParameter("it must be a path or abstract:NAME", param_hint="--unix")
        access = PortAccess(self.mode, self.group)
        return {name: PortSpec(tcp=tcp.get(name), unix=unix.get(name), access=access) for name in names}


def module_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options to a command, which gets them as its argument `modules`, a `ModuleOptions`."""

    @functools.wraps(command)
    def with_modules(**arguments: Any) -> None:
        given = {item.name: arguments.pop(item.name) for item in fields(ModuleOptions)}
        command(modules=ModuleOptions(**given), **arguments)

    decorated: Callable[..., None] = with_modules
    for option in reversed(_OPTIONS):
        decorated = option(decorated)
    return decorated


def log_bytes_to(box: Sandbox, target: str) -> None:
    """Write the bytes on all ports to a file, to which they are appended, or to "stderr"."""
    from hardware.sim.byte_log import ByteLog

    def warn(error: OSError) -> None:
        click.echo(f"modem-agent: --log-bytes {target}: {error.strerror}; no more is logged", err=True)

    try:
        file = sys.stderr if target == STANDARD_ERROR else Path(target).open("a", encoding="ascii")  # noqa: SIM115  (open until the end of this process)
    except OSError as error:
        exit_with_errors(f"--log-bytes {target}: {error.strerror}")
    log = ByteLog(file, box.clock.now, warn)
    box.records.add_line_observer(lambda sim, direction, data: log.write(sim.unique_name, direction, data))


def print_faults() -> None:
    """Print each fault of modules and of the network with its effect, and the keys of both."""
    from hardware.sim import fault_spec
    from hardware.sim.network import faults as network_faults

    click.echo("A fault is NAME or NAME:KEY=VALUE,KEY=VALUE.")
    for heading, descriptions, module in (
        ("The module ...", fault_spec.FAULT_DESCRIPTIONS, fault_spec),
        ("In the network ...", network_faults.NETWORK_FAULT_DESCRIPTIONS, network_faults),
    ):
        width = max(map(len, descriptions))
        click.echo(heading)
        for name, meaning in descriptions.items():
            click.echo(f"  {name:<{width}}  {meaning}")
        keys = (inspect.getdoc(module) or "").partition("\n\n    ")[2]
        click.echo(f"Keys:\n{textwrap.indent(textwrap.dedent(f'    {keys}'), '  ')}")


def _split_target(text: str, names: list[str], option: str) -> tuple[str, list[str]]:
    """Split `VALUE[@SIM]` into the value and the names of the SIMs. Raises click.BadParameter."""
    value, separator, sim = text.rpartition("@")
    if not separator:
        return text, names
    if sim not in names:
        raise click.BadParameter(
            f"{text}: there is no SIM {sim}; there are {', '.join(names)}", param_hint=option
        )
    return value, [sim]


def _assign_each(texts: tuple[str, ...], names: list[str], option: str) -> Iterator[tuple[str, str]]:
    """Return pairs of SIM and value; without `@SIM` a value belongs to the next SIM that has none."""
    free = list(names)
    for text in sorted(texts, key=lambda text: "@" not in text):
        value, _ = _split_target(text, names, option)
        sim = text.removeprefix(f"{value}@") if value != text else (free[0] if free else "")
        if sim not in free:
            raise click.BadParameter(f"{text}: each SIM has at most one {option}", param_hint=option)
        free.remove(sim)
        yield sim, value


def _parse_sim(text: str) -> dict[str, Any]:
    """Return fields of SimSpec for `SERVICE[=NAME][:KEY=VALUE,...]`. Raises click.BadParameter."""
    head, _, rest = text.partition(":")
    service, _, name = head.partition("=")
    if service not in SERVICE_NAMES:
        raise click.BadParameter(
            f"there is no service {service}; there are {', '.join(SERVICE_NAMES)}", param_hint="--sim"
        )
    found: dict[str, Any] = {"service": service, "unique_name": name or None}
    patterns = _sim_keys(service)
    for item in rest.split(",") if rest else ():
        key, _, value = item.partition("=")
        if key not in patterns:
            raise click.BadParameter(
                f"{text}: there is no key {key}; there are {', '.join(patterns)}", param_hint="--sim"
            )
        pattern, meaning = patterns[key]
        if not re.fullmatch(pattern, value):
            raise click.BadParameter(f"{text}: {key} must be {meaning}", param_hint="--sim")
        found[key] = value
    return found


def _sim_keys(service: str) -> dict[str, tuple[str, str]]:
    """Return the allowed values and their description for each key of --sim."""
    from hardware.sim.service.product import PRODUCTS
    from hardware.sim.service.sims import SUPER_SIM_STATUSES, WIRELESS_STATUSES

    product = PRODUCTS[service]
    prefix = product.sim_sid_prefix
    statuses = SUPER_SIM_STATUSES if product.has_fleets else WIRELESS_STATUSES
    keys = {
        "sid": (f"{prefix}[0-9a-fA-F]{{32}}", f"{prefix} and 32 hexadecimal digits"),
        "status": ("|".join(statuses), f"one of {', '.join(statuses)}"),
    }
    if product.has_fleets:
        return {**keys, "fleet": ("[^,]*", "a SID or a name")}
    return {**keys, "transport": ("sms|ip", "sms or ip")}


_PIN_KEYS = {
    "puk": ("puk", r"[0-9]{8}", "8 digits"),
    "tries": ("pin_retries", r"[0-3]", "0 to 3"),
    "puk-tries": ("puk_retries", r"[0-9]|10", "0 to 10"),
}
"""Field of SimSpec, allowed values and their description, for each key of --pin."""


def _parse_pin(text: str) -> dict[str, Any]:
    """Return the fields of SimSpec for `PIN[:KEY=VALUE,...]`. Raises click.BadParameter."""
    pin, _, rest = text.partition(":")
    if not re.fullmatch(r"[0-9]{4,8}", pin):
        raise click.BadParameter(f"{text}: a PIN has 4 to 8 digits", param_hint="--pin")
    found: dict[str, Any] = {"pin": pin}
    for item in rest.split(",") if rest else ():
        key, _, value = item.partition("=")
        if key not in _PIN_KEYS:
            raise click.BadParameter(
                f"{text}: there is no key {key}; there are {', '.join(_PIN_KEYS)}", param_hint="--pin"
            )
        field_name, pattern, meaning = _PIN_KEYS[key]
        if not re.fullmatch(pattern, value):
            raise click.BadParameter(f"{text}: {key} must be {meaning}", param_hint="--pin")
        found[field_name] = value if key == "puk" else int(value)
    return found


def _parse_baud(_context: click.Context, _option: click.Parameter, text: str | None) -> int | None:
    """Return the rate in bits per second, 0 for "auto", None if the option is not given."""
    if text is None or text == "auto":
        return None if text is None else 0
    if text.isascii() and text.isdecimal() and len(text) < 8 and 300 <= int(text) <= 4_000_000:
        return int(text)
    raise click.BadParameter(f"{text} is neither auto nor a rate from 300 to 4000000")


def _parse_mode(_context: click.Context, _option: click.Parameter, text: str | None) -> int | None:
    if text is not None and not re.fullmatch(r"0?[0-7]{3}", text):
        raise click.BadParameter(f"{text} is not an octal mode, for example 0660")
    return None if text is None else int(text, 8)


def _parse_group(_context: click.Context, _option: click.Parameter, text: str | None) -> int | None:
    """Return the number of a group, given by name or number."""
    if text is None or (text.isdecimal() and int(text) < 2**32 - 1):
        return None if text is None else int(text)
    try:
        return grp.getgrnam(text).gr_gid
    except KeyError:
        raise click.BadParameter(f"there is no group {text} on this machine") from None


_OPTIONS = (
    click.option(
        "--sim",
        "sims",
        multiple=True,
        metavar="SERVICE[=NAME][:KEY=VALUE,...]",
        help="A SIM with a module of its own; repeatable. Keys: sid, status (in the service), fleet (SID or "
        "name of a Super SIM's Fleet, which is made), transport (sms, or ip for a Narrowband SIM).  "
        "[default: one for each service]",
    ),
    click.option(
        "--device",
        default="generic",
        show_default=True,
        metavar="PROFILE",
        help="Profile of the modules: generic, ec25, sim7600 or another one.",
    ),
    click.option(
        "--baud",
        callback=_parse_baud,
        metavar="RATE|auto",
        help="Bit rate of the UARTs. Transmission then takes time, and a client at another rate reads "
        "garbage. auto: the modules detect the rate from the first AT.  [default: from the profile; most "
        "have no rate]",
    ),
    click.option(
        "--pin",
        "pins",
        multiple=True,
        metavar="PIN[:KEY=VALUE,...][@SIM]",
        help="PIN of all SIMs or of one; repeatable. Keys: puk (default 12345678), tries (left for the PIN; "
        "0: the SIM asks for the PUK), puk-tries.",
    ),
    click.option(
        "--answer",
        "answers",
        multiple=True,
        metavar="COMMAND=ANSWER[@SIM]",
        help="Answer a command that is not simulated; repeatable. With values: NAME=VALUES=>ANSWER, with "
        "any: NAME=*=>ANSWER. \\n separates lines; a line is text, a final result code or `wait SECONDS`. "
        "URCs may follow. An @ in an answer is \\x40.",
    ),
    click.option(
        "--fault",
        "faults",
        multiple=True,
        metavar="NAME[:KEY=VALUE,...][@SIM]",
        help="Inject a fault into all modules and their messages, or those of one SIM; repeatable. "
        "--fault list shows all names and keys.",
    ),
    click.option(
        "--tcp",
        multiple=True,
        metavar="HOST:PORT[@SIM]",
        help="Offer the port of a module by TCP too (socket://HOST:PORT for an agent); repeatable, once for "
        "each SIM. Port 0 takes a free one.",
    ),
    click.option(
        "--unix",
        multiple=True,
        metavar="PATH[@SIM]",
        help="Offer the port of a module by a Unix socket too, at a path or at abstract:NAME; repeatable.",
    ),
    click.option(
        "--mode",
        callback=_parse_mode,
        metavar="MODE",
        help="Mode of the ports and Unix sockets, for example 0660.  [default: as the system sets it]",
    ),
    click.option(
        "--group", callback=_parse_group, metavar="GROUP", help="Group of them, for example dialout."
    ),
    click.option(
        "--log-bytes",
        metavar="FILE|stderr",
        help="Log all bytes on the ports, with time, SIM and direction.",
    ),
)
