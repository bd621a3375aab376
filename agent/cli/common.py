"""What the commands share: the configuration option, sentences instead of tracebacks, exit statuses."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click
import msgspec

from agent.common.config import DEFAULT_CONFIG_PATH, Config, ConfigError, load_config
from agent.common.events import escape_unprintable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agent.at.transport.base import TransportOpener
    from agent.modem.sim import Pin

SIM_PIN_CREDENTIAL = "sim-pin"
EXIT_FAILURE, EXIT_CONFIG = 1, 2
"""Exit statuses: something did not succeed; usage or configuration that cannot work."""

config_option = click.option(
    "--config",
    "config_path",
    type=click.Path(path_type=Path, readable=False),
    default=DEFAULT_CONFIG_PATH,
    show_default=True,
    metavar="FILE",
    help="The configuration.",
)
json_option = click.option("--json", "as_json", is_flag=True, help="One JSON document, for scripts.")


def load_config_or_exit(path: Path) -> Config:
    """Load agent.toml, or end with its mistakes and exit status 2."""
    try:
        return load_config(path)
    except ConfigError as error:
        exit_with_errors(*error.errors, exit_status=EXIT_CONFIG)


def make_port_opener(path: Path, config: Config) -> TransportOpener:
    """How to open the port that the configuration names. Raises ConfigError."""
    from agent.at.transport.open import make_opener

    try:
        return make_opener(config.modem.port, config.modem.baud)
    except ValueError as error:
        raise ConfigError(f"{path}: modem.port: {error}") from None


def load_sim_pin(path: Path, config: Config, environ: Mapping[str, str]) -> Pin | None:
    """The PIN of the SIM, from the file that the configuration names or systemd's credential.

    None where neither is there. Raises ConfigError, which never shows what stands in the file.
    """
    from agent.modem.error import ModemUnusable
    from agent.modem.sim import Pin

    file = config.modem.pin_file
    key = f"{path}: modem.pin_file: {file}"
    if file is None:
        if not (folder := environ.get("CREDENTIALS_DIRECTORY")):
            return None
        file = Path(folder) / SIM_PIN_CREDENTIAL
        key = f"the systemd credential {SIM_PIN_CREDENTIAL}"
        if not file.exists():
            return None
    digits = _read_pin(file, key, private=config.modem.pin_file is not None)
    if config.modem.pin_file is None:  # which systemd copies when it starts the service
        return Pin(digits, f"the credential {SIM_PIN_CREDENTIAL}")

    def again() -> Pin:
        try:
            return Pin(_read_pin(file, key, private=True), str(file), again)
        except ConfigError as error:
            raise ModemUnusable(f"the SIM asks for its PIN; {error}") from None

    return Pin(digits, str(file), again)


def _read_pin(file: Path, key: str, *, private: bool) -> str:
    """The digits in a file. Raises ConfigError; `private`: also where everybody may read it."""
    try:
        readable_by_all = private and file.stat().st_mode & 0o007
        digits = file.read_text("ascii", "replace").strip()
    except OSError as error:
        raise ConfigError(f"{key}: {error.strerror or error}") from None
    if readable_by_all:
        raise ConfigError(f"{key} is open to everybody: chmod o= {file}")
    if not (digits.isascii() and digits.isdigit() and 4 <= len(digits) <= 8):
        raise ConfigError(f"{key} must hold the PIN of the SIM and nothing else: 4 to 8 digits")
    return digits


def exit_with_errors(*errors: str, exit_status: int = EXIT_FAILURE) -> NoReturn:
    """Say why on standard error and end."""
    for sentence in errors:
        click.echo(f"modem-agent: {escape_unprintable(sentence)}", err=True)
    raise SystemExit(exit_status)


def print_json(value: Any) -> None:
    """One document, one line; characters that a terminal could obey are written as escapes of JSON."""
    document = msgspec.json.encode(value).decode()
    click.echo("".join(c if c.isprintable() else _json_escape(c) for c in document))


def _json_escape(character: str) -> str:
    """As UTF-16 code units (RFC 8259, section 7)."""
    units = character.encode("utf-16-be").hex()
    return "".join(f"\\u{units[at : at + 4]}" for at in range(0, len(units), 4))
