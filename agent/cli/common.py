"""What the commands share: the configuration option, sentences instead of tracebacks, exit statuses."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NoReturn

import click
import msgspec

from agent.config import DEFAULT_PATH, Config, ConfigError, load

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


def give_up(*sentences: str, status: int = FAILURE) -> NoReturn:
    """Say why on standard error and end."""
    for sentence in sentences:
        click.echo(f"modem-agent: {sentence}", err=True)
    raise SystemExit(status)


def print_json(value: Any) -> None:
    """One document, one line."""
    click.echo(msgspec.json.encode(value).decode())
