"""Checks on imports: `pdu <- hardware <- agent`, the layers inside `agent`, and no import cycles anywhere.

    python tests/architecture/test_imports.py --mermaid    prints the figure of agent/README.md

The checks read syntax trees only, so an import counts wherever it stands: at the top, inside a function, or
under TYPE_CHECKING. A package of `agent` that is missing from `LAYERS` fails the test: add it there.
"""

from __future__ import annotations

import ast
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

CHECKOUT = Path(__file__).parents[2]

PACKAGES = {
    "pdu": set(),
    "hardware": {"pdu"},
    "agent": {"pdu", "hardware"},
}
"""Package of ours: the other packages of ours that it may import."""

LAYERS = (
    {"version"},
    # Configuration, log events, backoff, deadlines: values and rules that every layer may use.
    {"common"},
    # AT commands and their transport. No SMS.
    {"at"},
    # Messages in a module, and what the service's messages mean. Independent of each other.
    {"modem", "service"},
    # The journal on disk, and the handler processes.
    {"journal", "handlers"},
    # Brokers and web servers that Commands are forwarded to.
    {"forwarding"},
    # The tasks that move a Command, and the recovery of a module. They meet in the journal only.
    {"pipeline", "recovery"},
    # Metrics for Prometheus, made from the values that the agent passes.
    {"metrics"},
    # Sessions, the control socket, the composition root.
    {"daemon"},
    {"recording"},
    # What `setup` and the Debian package install.
    {"installation"},
    # What `doctor` examines: a running agent from outside, or the parts of one that does not run.
    {"diagnosis"},
    {"demo", "fleet"},
    {"cli"},
)
"""The packages of `agent`, lowest layer first. A package imports only from layers below its own."""

FOREIGN = {
    "pdu": set(),
    "hardware": {"serial", "gpiod"},
    "hardware.sim": {"aiohttp", "yarl"},
    "hardware.testing": {"aiohttp"},
    "hardware.pytest_plugin": {"pytest"},
    "agent": {"serial", "serial_asyncio"},
    "agent.forwarding": {"paho"},
    "agent.cli": {"click", "rich", "aiohttp"},
    "agent.installation": {"click", "tomlkit"},
    "agent.demo": {"click", "rich", "aiohttp"},
}
"""Third-party imports that are allowed; the longest matching name counts. A running agent pays for each
import in memory and start-up time, so the libraries of the CLI and the sandbox stay there."""

PURE = {
    "pdu": {"pdu.__main__", "pdu.vectors"},  # except the command line of the package
    "agent.at.protocol": set(),
    "agent.service": set(),
    "agent.common.backoff": set(),
    "agent.pipeline.brownout": set(),
    "agent.pipeline.command_age": set(),
    "agent.pipeline.send_backoff": set(),
    "agent.recovery.policy": set(),
}
"""Modules that do no I/O and read no clock; with the exceptions inside them."""

IMPURE = {
    *("asyncio", "select", "selectors", "signal", "socket", "subprocess", "threading"),
    *("fcntl", "io", "logging", "os", "pathlib", "shutil", "sqlite3", "tempfile", "termios"),
    *("secrets", "time", "uuid"),
}

EVENT_LOOP_IN_JOURNAL = "agent.journal.executor"
"""The only module of the journal that knows asyncio: the worker thread."""


def modules(root: Path) -> Iterator[tuple[str, Path]]:
    """Yield each module of our packages under `root`: dotted name and file."""
    for package in PACKAGES:
        for file in sorted((root / package).rglob("*.py")):
            parts = file.relative_to(root).with_suffix("").parts
            yield ".".join(parts[:-1] if parts[-1] == "__init__" else parts), file


def imports(name: str, file: Path) -> Iterator[tuple[str, int]]:
    """Yield each dotted name that a module imports (relative ones resolved), and the line."""
    package = name if file.name == "__init__.py" else name.rpartition(".")[0]
    for node in ast.walk(ast.parse(file.read_text(), str(file))):
        match node:
            case ast.Import(names=names):
                yield from ((alias.name, node.lineno) for alias in names)
            case ast.ImportFrom(module=module, names=names, level=level):
                stem = package.rsplit(".", level - 1)[0] if level else ""
                base = ".".join(filter(None, (stem, module)))
                yield from ((f"{base}.{alias.name}", node.lineno) for alias in names)


def within(name: str, prefix: str) -> bool:
    """Return True if a dotted name is `prefix` or below it."""
    return name == prefix or name.startswith(prefix + ".")


def agent_package(name: str) -> str | None:
    """Return the package of `agent` that a dotted name belongs to, None for `agent` itself."""
    parts = name.split(".")
    return parts[1] if parts[0] == "agent" and len(parts) > 1 else None


def layer_of(package: str) -> int | None:
    """Return the position of a package in `LAYERS`."""
    return next((height for height, packages in enumerate(LAYERS) if package in packages), None)


def forbidden_imports(root: Path) -> list[str]:
    """Return one sentence for each import that the tables above forbid."""
    wrong = []
    ours = {name for name, _ in modules(root)}
    for name, file in modules(root):
        top = name.partition(".")[0]
        package = agent_package(name)
        if package is not None and layer_of(package) is None:
            wrong.append(f"{name}: the package {package} has no layer in this test")
            continue
        for target, line in imports(name, file):
            where = f"{file.relative_to(root)}:{line} imports {target}"
            other = target.partition(".")[0]
            if other in PACKAGES:
                if other not in PACKAGES[top] | {top}:
                    wrong.append(f"{where}: {top} must not import {other}")
                elif other == top == "agent":
                    wrong += _wrong_layer(package, target, where, ours)
                elif (
                    top == "agent"
                    and within(target, "hardware.sim")
                    and package not in {"cli", "demo", "fleet", "recording"}
                ):
                    wrong.append(f"{where}: the agent must not import the simulator")
            elif other not in sys.stdlib_module_names and other not in _allowed_foreign(name):
                wrong.append(f"{where}: third-party import that this package may not use")
    return wrong


def _wrong_layer(package: str | None, target: str, where: str, ours: set[str]) -> Iterator[str]:
    other = agent_package(target)
    if other is not None and f"agent.{other}" not in ours:
        other = "handlers"  # a name that `agent` exports: the API for handlers
    if package is None or other is None or other == package:
        return  # `agent/__init__.py` itself, or an import within one package
    height = layer_of(other)
    if height is None or height >= (layer_of(package) or 0):
        yield f"{where}: {package} must not import {other}"


def _allowed_foreign(name: str) -> set[str]:
    return FOREIGN[max((prefix for prefix in FOREIGN if within(name, prefix)), key=len)]


def impurities(root: Path) -> list[str]:
    """Return one sentence for each import that a pure module must not have."""
    wrong = []
    for name, file in modules(root):
        prefix = next((prefix for prefix in PURE if within(name, prefix)), None)
        if prefix is None or name in PURE[prefix]:
            continue
        wrong += [
            f"{file.relative_to(root)}:{line} imports {target}: {prefix} is pure"
            for target, line in imports(name, file)
            if target.partition(".")[0] in IMPURE
        ]
    return wrong


def event_loop_in_journal(root: Path) -> list[str]:
    """Return each import of asyncio in the journal outside its executor."""
    return [
        f"{file.relative_to(root)}:{line} imports {target}"
        for name, file in modules(root)
        if within(name, "agent.journal") and name != EVENT_LOOP_IN_JOURNAL
        for target, line in imports(name, file)
        if target.partition(".")[0] == "asyncio"
    ]


def import_graph(root: Path) -> dict[str, set[str]]:
    """Return the files that each file imports, by dotted name. A package means its `__init__`."""
    ours = {name for name, _ in modules(root)}
    graph: dict[str, set[str]] = {}
    for name, file in modules(root):
        graph[name] = set()
        for target, _ in imports(name, file):
            found = target if target in ours else target.rpartition(".")[0]
            if found in ours and found != name:
                graph[name].add(found)
    return graph


def package_edges(root: Path) -> set[tuple[str, str]]:
    """Return the imports between packages of `agent`, and from them to `hardware` and `pdu`."""

    def package_of(name: str) -> str:
        return agent_package(name) or name.partition(".")[0]

    edges = set()
    for name, targets in import_graph(root).items():
        if within(name, "agent"):
            edges |= {(package_of(name), package_of(target)) for target in targets}
    return {
        (source, target) for source, target in edges if "agent" not in (source, target) and source != target
    }


def mermaid(edges: set[tuple[str, str]]) -> str:
    """Return the figure of the architecture page, the importing packages from the highest layer down."""
    order = [package for packages in LAYERS for package in sorted(packages)]
    lines = [
        f"    {source} --> {target}"
        for source, target in sorted(edges, key=lambda edge: (-order.index(edge[0]), edge[1]))
    ]
    return "\n".join(("flowchart TD", *lines))


def cycles(graph: dict[str, set[str]]) -> list[list[str]]:
    """Return the strongly connected components with more than one file (Tarjan)."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found: list[list[str]] = []

    def visit(node: str) -> None:
        index[node] = low[node] = len(index)
        stack.append(node)
        for other in graph[node]:
            if other not in index:
                visit(other)
                low[node] = min(low[node], low[other])
            elif other in stack:
                low[node] = min(low[node], index[other])
        if low[node] == index[node]:
            component = []
            while True:
                component.append(stack.pop())
                if component[-1] == node:
                    break
            if len(component) > 1:
                found.append(sorted(component))

    for node in graph:
        if node not in index:
            visit(node)
    return found


def test_imports_follow_the_layers():
    """pdu imports nothing of ours, hardware only pdu, and each package of agent only lower layers."""
    assert forbidden_imports(CHECKOUT) == []


def test_pure_modules_import_no_io():
    """Pure modules import neither clocks, files, sockets nor threads."""
    assert impurities(CHECKOUT) == []


def test_journal_is_free_of_asyncio():
    """The journal is plain functions: only its executor imports asyncio."""
    assert event_loop_in_journal(CHECKOUT) == []


def test_there_are_no_import_cycles():
    """No file imports itself through others, inside a package either."""
    assert cycles(import_graph(CHECKOUT)) == []


def test_import_cycle_is_found(tmp_path):
    """A cycle of three files is reported with all its members, a chain is not."""
    _write(tmp_path, "hardware/a.py", "from hardware import b")
    _write(tmp_path, "hardware/b.py", "def f():\n    from hardware.c import x")
    _write(tmp_path, "hardware/c.py", "import hardware.a")
    _write(tmp_path, "hardware/d.py", "import hardware.a")
    assert cycles(import_graph(tmp_path)) == [["hardware.a", "hardware.b", "hardware.c"]]


@pytest.mark.parametrize(
    ("path", "source", "complaint"),
    [
        ("pdu/address.py", "import hardware", "pdu must not import hardware"),
        ("pdu/address.py", "def f():\n    from agent.at import protocol", "pdu must not import agent"),
        ("pdu/address.py", "import click", "may not use"),
        ("hardware/profile.py", "from agent import Command", "hardware must not import agent"),
        ("hardware/ports.py", "import aiohttp", "may not use"),
        ("hardware/sim/module.py", "from agent.at import protocol", "hardware must not import agent"),
        ("agent/at/protocol.py", "from agent.modem import modem", "at must not import modem"),
        ("agent/at/protocol.py", "from ..modem.modem import Modem", "at must not import modem"),
        ("agent/modem/modem.py", "from agent import service", "modem must not import service"),
        (
            "agent/service/sid.py",
            "if TYPE_CHECKING:\n    import agent.journal",
            "service must not import journal",
        ),
        ("agent/journal/inbox.py", "from agent import Command", "journal must not import handlers"),
        ("agent/pipeline/receiver.py", "import agent.recovery.policy", "pipeline must not import recovery"),
        ("agent/pipeline/receiver.py", "import hardware.sim.module.module", "must not import the simulator"),
        ("agent/pipeline/receiver.py", "import click", "may not use"),
        ("agent/daemon/agent.py", "import agent.cli", "daemon must not import cli"),
        ("agent/common/config.py", "import agent.at", "common must not import at"),
        ("agent/cellar.py", "", "the package cellar has no layer"),
    ],
)
def test_forbidden_import_is_reported(tmp_path, path, source, complaint):
    """Each rule works: a tree with one forbidden import gives one complaint, which names the file."""
    for package in ("modem", "service", "journal", "handlers", "at", "cli", "recovery"):
        _write(tmp_path, f"agent/{package}/__init__.py", "")
    _write(tmp_path, path, source)
    (sentence,) = forbidden_imports(tmp_path)
    assert complaint in sentence
    assert path.removesuffix(".py").split("/")[-1] in sentence


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("pdu/address.py", "from dataclasses import dataclass\nfrom .error import PduError"),
        ("hardware/sim/rest.py", "import aiohttp, pdu\nfrom ..profile import load"),
        (
            "agent/daemon/agent.py",
            "from agent.pipeline import receiver\nfrom agent.journal import Journal\nimport hardware.ports",
        ),
        (
            "agent/demo/scenarios.py",
            "import rich, click\nfrom hardware.sim import sandbox\nfrom agent import daemon",
        ),
        ("agent/__init__.py", "from agent.handlers.api import Command"),
        ("agent/handlers/worker.py", "from agent import Command\nfrom agent.common.config import load"),
    ],
)
def test_allowed_import_is_not_reported(tmp_path, path, source):
    """Imports that the tables allow raise no complaint."""
    for package in ("pipeline", "daemon", "journal", "common"):
        _write(tmp_path, f"agent/{package}/__init__.py", "")
    _write(tmp_path, path, source)
    assert forbidden_imports(tmp_path) == []


def test_impure_import_is_reported(tmp_path):
    """A clock in the codec, a file in the protocol and an event loop in the journal are each named."""
    _write(tmp_path, "pdu/timestamp.py", "import time")
    _write(tmp_path, "agent/at/protocol.py", "from os import path")
    _write(tmp_path, "agent/at/client.py", "import asyncio, os")
    _write(tmp_path, "agent/journal/outbox.py", "from asyncio import Queue")
    _write(tmp_path, "agent/journal/executor.py", "import asyncio")
    assert impurities(tmp_path) == [
        "pdu/timestamp.py:1 imports time: pdu is pure",
        "agent/at/protocol.py:1 imports os.path: agent.at.protocol is pure",
    ]
    assert event_loop_in_journal(tmp_path) == ["agent/journal/outbox.py:1 imports asyncio.Queue"]


def _write(root: Path, path: str, source: str) -> None:
    file = root / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(source)


if __name__ == "__main__":
    if sys.argv[1:] != ["--mermaid"]:
        sys.exit("usage: python tests/architecture/test_imports.py --mermaid")
    sys.stdout.write(mermaid(package_edges(CHECKOUT)) + "\n")
