"""Modules that an import of each public entry point loads. A gateway with little memory pays for each one."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[2]
CLI_LIBRARIES = {"click", "rich", "pygments", "markdown_it"}
OPTIONAL_LIBRARIES = {"aiohttp", "paho", "prometheus_client", "gpiod"}


def loaded_modules(statement: str) -> set[str]:
    """Return the top-level names of the modules that a new interpreter has loaded after `statement`."""
    code = f"{statement}\nimport sys\nprint(*{{name.partition('.')[0] for name in sys.modules}})"
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=CHECKOUT, check=True, capture_output=True, text=True
    )
    return set(result.stdout.split())


@pytest.mark.parametrize(
    ("statement", "unwanted"),
    [
        (
            "import pdu",
            CLI_LIBRARIES | OPTIONAL_LIBRARIES | {"asyncio", "agent", "hardware", "serial"},
        ),
        ("import agent", CLI_LIBRARIES | OPTIONAL_LIBRARIES | {"asyncio", "sqlite3", "serial"}),
        (
            "from agent import Command, Reply, TryLater, handler",
            CLI_LIBRARIES | OPTIONAL_LIBRARIES | {"sqlite3", "serial"},
        ),
        ("import hardware.profile", CLI_LIBRARIES | OPTIONAL_LIBRARIES | {"agent", "asyncio", "serial"}),
        ("import agent.daemon.agent", CLI_LIBRARIES | OPTIONAL_LIBRARIES),
        ("import agent.cli.status", OPTIONAL_LIBRARIES | {"asyncio", "rich", "sqlite3", "serial"}),
    ],
)
def test_import_loads_no_unneeded_library(statement, unwanted):
    """The agent, the codec and handler files load neither the libraries of the CLI nor those of extras."""
    assert loaded_modules(statement) & unwanted == set()


def test_loaded_modules_are_detected():
    """The check above sees what was really loaded."""
    assert {"click", "asyncio"} <= loaded_modules("import asyncio, click")


@pytest.mark.parametrize("package", ["pdu", "hardware", "agent"])
def test_packages_contain_py_typed(package):
    """A type checker uses the annotations of a package only when it carries py.typed (PEP 561)."""
    assert (CHECKOUT / package / "py.typed").is_file()
