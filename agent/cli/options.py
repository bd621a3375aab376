"""Options that several commands have."""

from __future__ import annotations

from pathlib import Path

import click

from agent.cli.common import CONFIG_VARIABLE
from agent.common.config import DEFAULT_CONFIG_PATH

config_option = click.option(
    "--config",
    "config_path",
    type=click.Path(path_type=Path, readable=False),
    default=DEFAULT_CONFIG_PATH,
    show_default=True,
    envvar=CONFIG_VARIABLE,
    metavar="FILE",
    help="The configuration file.",
)
limit_option = click.option(
    "-n",
    "--limit",
    type=click.IntRange(1, 1_000_000),
    default=20,
    show_default=True,
    help="Number of rows to list, the newest ones.",
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON document, for scripts.")
