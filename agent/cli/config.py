"""`modem-agent config check`: everything that is wrong, at once."""

from __future__ import annotations

import asyncio
from pathlib import Path

import click

from agent.cli.common import IMPOSSIBLE, config_option, configuration, give_up


@click.group()
def config() -> None:
    """Look after agent.toml."""


@config.command()
@config_option
def check(config_path: Path) -> None:
    """Check agent.toml and the handlers it names; every mistake is said, exit status 2.

    The Python handlers are loaded in a process of their own, as the agent would.
    """
    settings = configuration(config_path)

    from agent.handlers.catalogue import Catalogue, CatalogueError, load
    from agent.handlers.runner import ProcessRunner

    async def look() -> Catalogue:
        runner = ProcessRunner(lambda _: None)
        try:
            return await load(settings.handlers.directory, runner)
        finally:
            await runner.close()

    mistakes: list[str] = []
    for key, path in (("journal.path", settings.journal.path), ("control.socket", settings.control.socket)):
        if not path.parent.is_dir():
            mistakes.append(
                f"{config_path}: {key}: there is no folder {path.parent}; make it or name another"
            )
    names = ""
    try:
        catalogue = asyncio.run(look())
        names = ", ".join(catalogue.names)
        for remark in catalogue.remarks:
            click.echo(f"note: {remark}", err=True)
    except CatalogueError as error:
        mistakes += error.sentences
    if mistakes:
        give_up(*mistakes, status=IMPOSSIBLE)
    click.echo(
        f"{config_path} is in order: {settings.service.name} on {settings.modem.port}, handlers {names}"
    )
