"""The import arrows of the house: `pdu <- hardware <- agent`, and the one-way road inside `agent`.

The walk reads syntax trees only, so an import counts wherever it stands: at the top, inside a function,
under TYPE_CHECKING. A room that the tables below do not know is a failure too: say where it stands.
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
"""Package of ours: the other packages of ours it may import."""

LAYERS = (
    # Values and rules that every floor above may use. They know nothing of the rooms.
    {"version", "config", "retry", "clock", "stopping", "lanes", "waiting", "notify", "story", "health"},
    # What of it is said.
    {"quiet"},
    # Conversation with a module: bytes, lines, commands.
    {"at"},
    # What a module holds, and what the service means by it: they do not know each other.
    {"modem", "service", "recovery"},
    # What is kept, and what carries Commands out.
    {"journal", "handlers"},
    # What the host could not start.
    {"scarcity"},
    # What a handler asked to be done after its answer, and what is said of messages that come.
    {"acting", "arrivals"},
    # What moves a Command along the road; these meet in the journal and in the news queue only.
    {"intake", "dispatcher", "outbox", "control", "cards"},
    # One connection to the module, what helps where there is none, and what makes the next one.
    {"session", "mending"},
    {"supervisor"},
    # What reaches outside, and what people ask: `app` hands the one down and lets the other in.
    {"seams", "asking"},
    {"app"},
    {"cli"},
)
"""The rooms of `agent` from the ground up. A room imports from floors below its own, never from beside it."""

THIRD_PARTY = {
    "pdu": set(),
    "hardware": {"msgspec", "serial", "gpiod"},
    "hardware.sim": {"msgspec", "aiohttp"},
    "agent": {"msgspec", "serial", "serial_asyncio"},
    "agent.cli": {"msgspec", "click", "rich", "aiohttp"},
}
"""What may be imported beyond the standard library; the longest name that fits counts. A running agent pays
for each import in memory and start-up time, so the libraries of shell and sandbox stay there."""

PURE = {
    "pdu": {"pdu.__main__", "pdu.vectors"},  # except the command line of the package
    "agent.at.protocol": set(),
    "agent.service": set(),
    "agent.retry": set(),
    "agent.clock": set(),
    "agent.recovery": set(),
}
"""Rooms that decide without a clock, a file, a wire or a thread; with the modules in them that need not."""

IMPURE_MODULES = {
    *("asyncio", "select", "selectors", "signal", "socket", "subprocess", "threading"),
    *("fcntl", "io", "logging", "os", "pathlib", "shutil", "sqlite3", "tempfile", "termios"),
    *("secrets", "time", "uuid"),
}


def iter_modules(root: Path) -> Iterator[tuple[str, Path]]:
    """Each module of our packages under `root`: dotted name and file."""
    for package in PACKAGES:
        for file in sorted((root / package).rglob("*.py")):
            parts = file.relative_to(root).with_suffix("").parts
            yield ".".join(parts[:-1] if parts[-1] == "__init__" else parts), file


def iter_imports(name: str, file: Path) -> Iterator[tuple[str, int]]:
    """What a module imports: dotted names as written (relative ones resolved) and their line."""
    package = name if file.name == "__init__.py" else name.rpartition(".")[0]
    for node in ast.walk(ast.parse(file.read_text(), str(file))):
        match node:
            case ast.Import(names=names):
                yield from ((alias.name, node.lineno) for alias in names)
            case ast.ImportFrom(module=module, names=names, level=level):
                stem = package.rsplit(".", level - 1)[0] if level else ""
                base = ".".join(filter(None, (stem, module)))
                # `from agent import at` names a room, `from agent import Command` a thing of the door:
                # both are given with their last word, the reader of the table decides.
                yield from ((f"{base}.{alias.name}", node.lineno) for alias in names)


def is_within(name: str, prefix: str) -> bool:
    return name == prefix or name.startswith(prefix + ".")


def component_of(name: str) -> str | None:
    """The room of `agent` that a dotted name belongs to; None for the package's own door."""
    parts = name.split(".")
    return parts[1] if parts[0] == "agent" and len(parts) > 1 else None


def layer_of(room: str) -> int | None:
    return next((height for height, rooms in enumerate(LAYERS) if room in rooms), None)


def forbidden_imports(root: Path) -> list[str]:
    """One sentence for each import that turns against the road."""
    wrong = []
    ours = {name for name, _ in iter_modules(root)}
    for name, file in iter_modules(root):
        package = name.partition(".")[0]
        room = component_of(name)
        if room is not None and layer_of(room) is None:
            wrong.append(f"{name}: the room {room} has no floor in this test")
            continue
        for target, line in iter_imports(name, file):
            where = f"{file.relative_to(root)}:{line} imports {target}"
            other = target.partition(".")[0]
            if other in PACKAGES:
                if other not in PACKAGES[package] | {package}:
                    wrong.append(f"{where}: {package} must not know {other}")
                elif other == package == "agent":
                    wrong += _layer_violations(room, target, where, ours)
                elif package == "agent" and is_within(target, "hardware.sim") and room != "cli":
                    wrong.append(f"{where}: the agent must not know the simulator")
            elif other not in sys.stdlib_module_names and other not in _allowed_third_party(name):
                wrong.append(f"{where}: not among what this package may use")
    return wrong


def _layer_violations(component: str | None, target: str, where: str, ours: set[str]) -> Iterator[str]:
    other = component_of(target)
    if other is not None and f"agent.{other}" not in ours:
        other = "handlers"  # a name of the door `agent`, which hands out what handlers are written with
    if component is None or other is None or other == component:
        return  # the door itself, or within one room
    height = layer_of(other)
    if height is None or height >= (layer_of(component) or 0):
        yield f"{where}: {component} must not know {other}"


def _allowed_third_party(name: str) -> set[str]:
    return THIRD_PARTY[max((prefix for prefix in THIRD_PARTY if is_within(name, prefix)), key=len)]


def impure_imports(root: Path) -> list[str]:
    """One sentence for each import that a pure room must not have."""
    wrong = []
    for name, file in iter_modules(root):
        prefix = next((prefix for prefix in PURE if is_within(name, prefix)), None)
        if prefix is None or name in PURE[prefix]:
            continue
        wrong += [
            f"{file.relative_to(root)}:{line} imports {target}: {prefix} is pure"
            for target, line in iter_imports(name, file)
            if target.partition(".")[0] in IMPURE_MODULES
        ]
    return wrong


def asyncio_in_journal(root: Path) -> list[str]:
    """The journal is plain functions; only its skin, the worker thread, knows the event loop."""
    return [
        f"{file.relative_to(root)}:{line} imports {target}"
        for name, file in iter_modules(root)
        if is_within(name, "agent.journal") and name != "agent.journal.skin"
        for target, line in iter_imports(name, file)
        if target.partition(".")[0] == "asyncio"
    ]


def test_no_import_turns_against_the_road():
    """pdu imports nothing of ours, hardware only pdu, and the rooms of agent only floors below them."""
    assert forbidden_imports(CHECKOUT) == []


def test_pure_rooms_have_no_hands():
    """What decides without clock, file, wire or thread imports none of them."""
    assert impure_imports(CHECKOUT) == []


def test_the_journal_is_plain_functions():
    """Nothing in the journal but its skin knows asyncio."""
    assert asyncio_in_journal(CHECKOUT) == []


@pytest.mark.parametrize(
    ("path", "source", "complaint"),
    [
        ("pdu/address.py", "import hardware", "pdu must not know hardware"),
        ("pdu/address.py", "def f():\n    from agent.at import engine", "pdu must not know agent"),
        ("pdu/address.py", "import msgspec", "not among what this package may use"),
        ("hardware/profile.py", "from agent import Command", "hardware must not know agent"),
        ("hardware/ports.py", "import aiohttp", "not among"),
        ("hardware/sim/module.py", "from agent.at import engine", "hardware must not know agent"),
        ("agent/at/protocol.py", "from agent.modem import modem", "at must not know modem"),
        ("agent/at/protocol.py", "from ..modem.modem import Modem", "at must not know modem"),
        ("agent/modem/modem.py", "from agent import service", "modem must not know service"),
        (
            "agent/service/sid.py",
            "if TYPE_CHECKING:\n    import agent.journal",
            "service must not know journal",
        ),
        ("agent/journal/inbox.py", "from agent import Command", "journal must not know handlers"),
        ("agent/intake.py", "import agent.outbox", "intake must not know outbox"),
        ("agent/intake.py", "import hardware.sim.module.module", "must not know the simulator"),
        ("agent/intake.py", "import click", "not among"),
        ("agent/app.py", "import agent.cli", "app must not know cli"),
        ("agent/config.py", "import agent.at", "config must not know at"),
        ("agent/cellar.py", "", "the room cellar has no floor"),
    ],
)
def test_a_wrong_arrow_is_seen(tmp_path, path, source, complaint):
    """Each rule of this test bites: a tree with one wrong import gives one complaint, which names it."""
    for package in ("modem", "service", "journal", "handlers", "at", "cli"):
        _write(tmp_path, f"agent/{package}/__init__.py", "")
    _write(tmp_path, "agent/outbox.py", "")
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
            "agent/app.py",
            "from agent import intake, outbox\nfrom agent.journal import Journal\nimport hardware.ports",
        ),
        (
            "agent/cli/demo/tour.py",
            "import rich, click\nfrom hardware.sim import sandbox\nfrom agent import app",
        ),
        ("agent/__init__.py", "from agent.handlers.api import Command"),
        ("agent/handlers/worker.py", "from agent import Command\nfrom agent.config import load"),
    ],
)
def test_a_right_arrow_is_let_through(tmp_path, path, source):
    """What the design allows raises no complaint."""
    for room in ("intake", "outbox", "app", "journal", "config"):
        _write(tmp_path, f"agent/{room}.py", "")
    _write(tmp_path, path, source)
    assert forbidden_imports(tmp_path) == []


def test_an_impure_import_is_seen(tmp_path):
    """A clock in the codec, a file in the engine and a loop in the journal are each named."""
    _write(tmp_path, "pdu/timestamp.py", "import time")
    _write(tmp_path, "agent/at/protocol.py", "from os import path")
    _write(tmp_path, "agent/at/wire.py", "import asyncio, os")
    _write(tmp_path, "agent/journal/outbox.py", "from asyncio import Queue")
    _write(tmp_path, "agent/journal/skin.py", "import asyncio")
    assert impure_imports(tmp_path) == [
        "pdu/timestamp.py:1 imports time: pdu is pure",
        "agent/at/protocol.py:1 imports os.path: agent.at.protocol is pure",
    ]
    assert asyncio_in_journal(tmp_path) == ["agent/journal/outbox.py:1 imports asyncio.Queue"]


def _write(root: Path, path: str, source: str) -> None:
    file = root / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(source)
