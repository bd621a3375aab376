"""The options of `modem-agent sandbox` about the services, their REST API and their callbacks."""

from __future__ import annotations

import functools
import inspect
import textwrap
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from hardware.sim.service.rules import ServiceRules


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceOptions:
    """The options as given, hosts and credentials checked."""

    callback_hosts: tuple[str, ...]
    allowed_hosts: tuple[str, ...]
    supersim_port: int | None
    wireless_port: int | None
    is_open: bool
    account: str | None
    token: str | None
    rules: tuple[str, ...]
    service_faults: tuple[str, ...]

    @property
    def product_ports(self) -> dict[str, int]:
        """The ports of products, by their base path."""
        ports = {"/supersim": self.supersim_port, "/wireless": self.wireless_port}
        return {base_path: port for base_path, port in ports.items() if port is not None}

    def make_rules(self) -> ServiceRules:
        """Return the rules of the services. Raises click.BadParameter."""
        from hardware.sim.service.rules import ServiceRules

        rules = ServiceRules()
        for text in self.rules:
            name, _, value = text.partition("=")
            try:
                rules.change(name, value)
            except ValueError as error:
                raise click.BadParameter(str(error), param_hint="--rule") from None
        return rules

    def check_faults(self) -> None:
        """Raise click.BadParameter for a fault of the services that is none."""
        from hardware.sim.fault_text import FaultError
        from hardware.sim.service.request_faults import parse_request_fault

        for text in self.service_faults:
            try:
                parse_request_fault(text)
            except FaultError as error:
                raise click.BadParameter(str(error), param_hint="--service-fault") from None

    def print_list(self) -> bool:
        """Print the rules or the faults if the word `list` asks for them; return whether it did."""
        if "list" in self.rules:
            _print_rules()
        if "list" in self.service_faults:
            _print_service_faults()
        return "list" in (*self.rules, *self.service_faults)


def service_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options to a command, which gets them as its argument `services`, a `ServiceOptions`."""

    @functools.wraps(command)
    def with_services(**arguments: Any) -> None:
        given = {item.name: arguments.pop(item.name) for item in fields(ServiceOptions)}
        command(services=ServiceOptions(**given), **arguments)

    decorated: Callable[..., None] = with_services
    for option in reversed(_OPTIONS):
        decorated = option(decorated)
    return decorated


def _print_rules() -> None:
    from hardware.sim.service.rules import RULES, ServiceRules

    rules = ServiceRules()
    click.echo("A rule is NAME=VALUE:")
    for name, meaning in RULES.items():
        default = rules.to_json()[name]
        choices = "|".join(rules.choices(name)) or "NUMBER"
        click.echo(f"  {name}={choices}  [default: {default}]")
        click.echo(textwrap.fill(meaning, 96, initial_indent="      ", subsequent_indent="      "))


def _print_service_faults() -> None:
    from hardware.sim.service import request_faults

    width = max(map(len, request_faults.REQUEST_FAULTS))
    click.echo("A fault of the services is NAME or NAME:KEY=VALUE,KEY=VALUE. The REST API ...")
    for name, meaning in request_faults.REQUEST_FAULTS.items():
        click.echo(f"  {name:<{width}}  {meaning}")
    keys = inspect.getdoc(request_faults) or ""
    click.echo(f"Keys:\n{textwrap.indent(textwrap.dedent(keys[keys.index('    times ') :]), '  ')}")


def _parse_hosts(
    _context: click.Context, _option: click.Parameter, texts: tuple[str, ...]
) -> tuple[str, ...]:
    """Return the hosts as URLs have them: in lower case, without brackets and a dot at the end."""
    from hardware.sim.service.callback_url import parse_callback_url

    hosts = []
    for text in texts:
        bare = text.removeprefix("[").removesuffix("]")
        try:
            url = parse_callback_url(f"http://{f'[{bare}]' if ':' in bare else bare}/")
        except ValueError:
            url = None
        if url is None or url.host != bare.lower():
            raise click.BadParameter(
                f"{text} is not a host name or an address, for example hooks.example.com"
            )
        hosts.append(url.host.removesuffix("."))
    return tuple(hosts)


def _parse_account(_context: click.Context, _option: click.Parameter, text: str | None) -> str | None:
    from hardware.sim.service.access import ACCOUNT_SID

    if text is not None and not ACCOUNT_SID.fullmatch(text):
        raise click.BadParameter(f"{text} is not AC and 32 hexadecimal digits")
    return text


def _parse_token(_context: click.Context, _option: click.Parameter, text: str | None) -> str | None:
    if text is not None and not (text and text.isascii() and text.isprintable() and " " not in text):
        raise click.BadParameter("it must be printable ASCII characters without blanks")
    return text


_OPTIONS = (
    click.option(
        "--allow-callback",
        "callback_hosts",
        multiple=True,
        callback=_parse_hosts,
        metavar="HOST",
        help="A host that callbacks may call besides this machine; repeatable.",
    ),
    click.option(
        "--allow-host",
        "allowed_hosts",
        multiple=True,
        callback=_parse_hosts,
        metavar="HOST",
        help="A name by which clients may call the sandbox besides localhost and --listen; repeatable.",
    ),
    click.option(
        "--supersim-port",
        type=click.IntRange(0, 65535),
        metavar="PORT",
        help="A port with the paths of the vendor's Super SIM host, such as /v1/Commands; 0: any free one.",
    ),
    click.option(
        "--wireless-port",
        type=click.IntRange(0, 65535),
        metavar="PORT",
        help="The same for Programmable Wireless.",
    ),
    click.option(
        "--open",
        "is_open",
        is_flag=True,
        help="Accept any credentials, or none; otherwise the REST API of the services needs them.",
    ),
    click.option(
        "--account",
        callback=_parse_account,
        metavar="SID",
        help="SID of the account, AC and 32 hexadecimal digits.  [default: another one at each start]",
    ),
    click.option(
        "--token",
        callback=_parse_token,
        metavar="TOKEN",
        help="Auth token of the account; it also signs callbacks.  [default: another one at each start]",
    ),
    click.option(
        "--rule",
        "rules",
        multiple=True,
        metavar="NAME=VALUE",
        help="How the services treat what their documents leave open, such as long-text=split; repeatable. "
        "--rule list shows all.",
    ),
    click.option(
        "--service-fault",
        "service_faults",
        multiple=True,
        metavar="NAME[:KEY=VALUE,...]",
        help="Inject a fault into the services, such as unavailable:times=3 or command-failed; repeatable. "
        "--service-fault list shows all names and keys.",
    ),
)
