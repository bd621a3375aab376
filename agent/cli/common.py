"""What the commands share: the configuration option, sentences instead of tracebacks, exit statuses."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click
import msgspec

from agent.config import DEFAULT_PATH, Config, ConfigError, load
from agent.story import visible

if TYPE_CHECKING:
    from agent.at.wire import Opener

FAILURE, IMPOSSIBLE = 1, 2
"""Exit statuses: something did not succeed; usage or configuration that cannot work."""

config_option = click.option(
    "--config",
    "config_path",
    type=click.Path(path_type=Path),
    default=DEFAULT_PATH,
    show_default=True,
    metavar="FILE",
    help="The configuration.",
)
json_option = click.option("--json", "as_json", is_flag=True, help="One JSON document, for scripts.")


def configuration(path: Path) -> Config:
    """Load agent.toml, or end with its mistakes and exit status 2."""
    try:
        return load(path)
    except ConfigError as error:
        give_up(*error.sentences, status=IMPOSSIBLE)


def port_opener(path: Path, config: Config) -> Opener:
    """How to open the port that the configuration names. Raises ConfigError."""
    from agent.at.wire import opener

    try:
        return opener(config.modem.port, config.modem.baud)
    except ValueError as error:
        raise ConfigError(f"{path}: modem.port: {error}") from None


def give_up(*sentences: str, status: int = FAILURE) -> NoReturn:
    """Say why on standard error and end."""
    for sentence in sentences:
        click.echo(f"modem-agent: {visible(sentence)}", err=True)
    raise SystemExit(status)


def print_json(value: Any) -> None:
    """One document, one line; characters that a terminal could obey are written as escapes of JSON."""
    document = msgspec.json.encode(value).decode()
    click.echo("".join(c if c.isprintable() else _escaped(c) for c in document))


def _escaped(character: str) -> str:
    """As UTF-16 code units (RFC 8259, section 7)."""
    units = character.encode("utf-16-be").hex()
    return "".join(f"\\u{units[at : at + 4]}" for at in range(0, len(units), 4))
