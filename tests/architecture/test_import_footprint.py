"""Modules that an import of each public entry point loads. A gateway with little memory pays for each one."""

from __future__ import annotations

import subprocess
import sys
import sysconfig
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


VERSION_MODULES = "__future__ agent agent.cli agent.version errno"
STATUS_MODULES = """
    __future__ agent pdu errno json _json re enum types operator _operator keyword reprlib functools
    _functools collections _collections itertools copyreg _sre _socket math time datetime _datetime
"""
"""Beside those of an empty program: `modem-agent status` takes little longer than Python itself."""
RUN_MODULES = """
    __future__ agent hardware pdu json _json string _string tomllib pathlib fnmatch ntpath ipaddress urllib
    glob logging traceback textwrap grp pwd fcntl array random _random bisect _bisect math binascii queue
    _queue atexit copy struct _struct concurrent
"""
"""Beside asyncio, hashlib and sqlite3, which `modem-agent run` cannot do without."""
LEAN = "from agent.common.lean_imports import import_without_openssl; import_without_openssl()"
LOAD_RUN = f"{LEAN}; import agent.cli, agent.cli.run_agent, agent.daemon.agent"


def modules_without_site(statement: str) -> set[str]:
    """Return the modules of a new interpreter without those that an editable installation loads."""
    code = (
        f"import sys; sys.path[:0] = [{str(CHECKOUT)!r}, {sysconfig.get_path('purelib')!r}]; {statement}\n"
        "print(*sys.modules)"
    )
    result = subprocess.run([sys.executable, "-S", "-c", code], check=True, capture_output=True, text=True)
    return set(result.stdout.split())


@pytest.mark.parametrize(
    ("statement", "before", "allowed"),
    [
        ("import agent.cli", "import os", VERSION_MODULES),
        ("import agent.cli, agent.cli.show_status", "import os", STATUS_MODULES),
        (LOAD_RUN, f"{LEAN}; import sqlite3", RUN_MODULES),
    ],
    ids=["version", "status", "run"],
)
def test_command_loads_only_what_is_listed(statement, before, allowed):
    """A module that is not in the list costs each start, and memory while the agent runs.

    Import it where it is needed. If the command always needs it, add it to the list. Instead of dataclasses
    there is `pdu.record`.
    """
    loaded = modules_without_site(statement) - modules_without_site(before)
    packages = {
        ".".join(name.split(".")[:2]) if "agent." in allowed else name.split(".")[0] for name in loaded
    }
    assert packages - set(allowed.split()) == set()


def test_run_loads_no_part_of_another_command():
    """Neither a simulation nor the libraries of the command line nor OpenSSL is in its memory."""
    loaded = modules_without_site(LOAD_RUN)
    packages = {".".join(name.split(".")[:2]) for name in loaded}
    others = {
        "hardware.sim",
        "hardware.testing",
        "agent.demo",
        "agent.diagnosis",
        "agent.fleet",
        "agent.metrics",
    }
    assert packages & others == set()
    assert loaded & {"ssl", "_ssl", "_hashlib", "dataclasses", "shutil", "agent.cli.commands"} == set()
    assert {"asyncio", "agent.daemon.agent"} <= loaded


def test_loaded_modules_are_detected():
    """The check above sees what was really loaded."""
    assert {"click", "asyncio"} <= loaded_modules("import asyncio, click")


@pytest.mark.parametrize("package", ["pdu", "hardware", "agent"])
def test_packages_contain_py_typed(package):
    """A type checker uses the annotations of a package only when it carries py.typed (PEP 561)."""
    assert (CHECKOUT / package / "py.typed").is_file()
