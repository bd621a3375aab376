"""Wall time, randomness, threads and processes are used only in a few modules, each with its reason.

All other modules receive these as dependencies, so a whole agent runs under virtual time with one seed. The
check reads syntax trees and follows import aliases; it executes nothing. Monotonic time is `loop.time()`.
"""

from __future__ import annotations

import ast
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

CHECKOUT = Path(__file__).parents[2]

NONDETERMINISTIC_NAMES = {
    "clock": (
        *("time.time", "time.time_ns", "time.monotonic", "time.monotonic_ns", "time.clock_gettime"),
        *("time.clock_gettime_ns", "time.perf_counter", "time.perf_counter_ns", "time.process_time"),
        *("time.localtime", "time.gmtime", "time.ctime", "time.asctime", "time.strftime", "time.sleep"),
        *("datetime.datetime.now", "datetime.datetime.utcnow", "datetime.datetime.today"),
        "datetime.date.today",
    ),
    "random": ("random", "secrets", "uuid.uuid1", "uuid.uuid4", "os.urandom", "os.getrandom"),
    "thread": (
        *("threading.Thread", "threading.Timer", "_thread.start_new_thread", "concurrent.futures"),
        "asyncio.to_thread",
    ),
    "process": (
        *("subprocess", "multiprocessing", "runpy", "pty.fork", "pty.spawn"),
        *("asyncio.create_subprocess_exec", "asyncio.create_subprocess_shell", "asyncio.subprocess"),
        *("os.fork", "os.forkpty", "os.system", "os.popen", "os.posix_spawn", "os.posix_spawnp"),
        *(
            "os.execl",
            "os.execle",
            "os.execlp",
            "os.execlpe",
            "os.execv",
            "os.execve",
            "os.execvp",
            "os.execvpe",
        ),
        *("os.spawnl", "os.spawnle", "os.spawnlp", "os.spawnlpe"),
        *("os.spawnv", "os.spawnve", "os.spawnvp", "os.spawnvpe"),
    ),
}
"""Sources of nondeterminism by kind. A name includes everything below it."""

LOOP_METHODS = {
    "run_in_executor": "thread",
    "subprocess_exec": "process",
    "subprocess_shell": "process",
}
"""Methods of an event loop that start threads or processes; nothing else here has these names."""

ALLOWED_USES: dict[str, dict[str, str]] = {
    "agent/demo/run.py": {"clock": "passes monotonic time to the printer"},
    "agent/cli/show_status.py": {"clock": "shows how long ago something was"},
    "agent/cli/signal.py": {"clock": "reads the signal every 2 s, and shows when"},
    "agent/cli/why.py": {"clock": "shows times of today without the date"},
    "agent/cli/status_watch.py": {"clock": "shows how long ago something was, and times of events"},
    "agent/cli/fleet.py": {"clock": "shows how long the simulation has run"},
    "agent/cli/sandbox.py": {
        "clock": "passes the wall clock to the simulation",
        "random": "passes one generator to the simulation",
    },
    "agent/demo/environment.py": {
        "clock": "passes the wall clock to the simulation",
        "random": "passes one generator to the simulation",
    },
    "agent/handlers/manager.py": {"clock": "a separate process without an event loop: time limits"},
    "agent/handlers/manager_client.py": {"process": "starts the handler manager"},
    "agent/diagnosis/forwarding_checks.py": {"clock": "`doctor` waits for the login at a broker"},
    "agent/forwarding/worker_target.py": {
        "process": "starts the process that delivers to a broker or server"
    },
    "agent/forwarding/mqtt_worker.py": {"clock": "a separate process without an event loop: retries"},
    "agent/forwarding/webhook_worker.py": {"clock": "a separate process: the time of signatures"},
    "agent/handlers/spawn.py": {"process": "starts handlers, inside the handler manager"},
    "agent/installation/changes.py": {"process": "`setup` runs systemctl and udevadm"},
    "agent/cli/doctor.py": {"clock": "passes the wall clock to the doctor"},
    "agent/diagnosis/service_sandbox.py": {"process": "`handlers test` runs systemctl and systemd-run"},
    "agent/diagnosis/system_facts.py": {"process": "`doctor` runs systemctl"},
    "agent/journal/executor.py": {"thread": "the one thread that uses the journal"},
    "agent/daemon/dependencies.py": {
        "clock": "passes the wall clock on",
        "random": "passes one generator on",
    },
    "hardware/testing/local_sandbox.py": {
        "clock": "passes the wall clock to the simulation",
        "random": "passes one generator to the simulation",
    },
    "hardware/testing/loop_thread.py": {"thread": "the event loop of a sandbox beside synchronous tests"},
    "hardware/blocking.py": {
        "thread": "one for each call that may block for long: a port, the power of a USB device"
    },
}
"""Module: the kinds that it may use, each with the reason."""


class OutsideUse(NamedTuple):
    module: str
    kind: str
    name: str
    location: str


def iter_uses(root: Path) -> Iterator[OutsideUse]:
    """Yield each use of a nondeterministic name in our packages."""
    for package in ("pdu", "hardware", "agent"):
        for file in sorted((root / package).rglob("*.py")):
            tree = ast.parse(file.read_text(), str(file))
            path = file.relative_to(root).as_posix()
            for name, node in _imported_names(tree):
                kind = _kind_of(name, node, tree)
                if kind is not None:
                    yield OutsideUse(path, kind, name, f"{path}:{node.lineno}")


def _imported_names(tree: ast.Module) -> Iterator[tuple[str, ast.expr | ast.ImportFrom]]:
    """Yield imported names in full: `t.time` after `import time as t` is time.time."""
    origin: dict[str, str] = {}
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=names):
                for alias in names:
                    origin[alias.asname or alias.name.partition(".")[0]] = (
                        alias.name if alias.asname else alias.name.partition(".")[0]
                    )
            case ast.ImportFrom(module=str(module), names=names, level=0):
                for alias in names:
                    origin[alias.asname or alias.name] = f"{module}.{alias.name}"
                    if alias.name == "*":
                        yield f"{module}.*", node
    inner = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    inner |= {
        id(node) for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and node.attr in LOOP_METHODS:
            yield node.attr, node
        if isinstance(node, ast.Attribute | ast.Name) and id(node) not in inner:
            name = _dotted_name(node)
            first, _, rest = name.partition(".")
            if first in origin:
                yield ".".join(filter(None, (origin[first], rest))), node


def _dotted_name(node: ast.expr) -> str:
    match node:
        case ast.Name(id=name):
            return name
        case ast.Attribute(value=value, attr=attr):
            return f"{_dotted_name(value)}.{attr}"
    return ""


def _kind_of(name: str, node: ast.AST, tree: ast.Module) -> str | None:
    if name in LOOP_METHODS:
        return LOOP_METHODS[name]
    if name == "random.Random" and _is_seeded_or_annotation(node, tree):
        return None
    for kind, sources in NONDETERMINISTIC_NAMES.items():
        for source in sources:
            star = name.endswith(".*") and source.startswith(name[:-1])
            if name == source or name.startswith(source + ".") or star:
                return kind
    return None


def _is_seeded_or_annotation(generator: ast.AST, tree: ast.Module) -> bool:
    """Return True if random.Random is an annotation or is called with a seed."""
    for node in ast.walk(tree):
        match node:
            case ast.AnnAssign(annotation=annotation) | ast.arg(annotation=annotation):
                types = [annotation]
            case ast.FunctionDef(returns=returns) | ast.AsyncFunctionDef(returns=returns):
                types = [returns]
            case ast.Call(func=func, args=[_, *_]) if func is generator:
                return True
            case _:
                continue
        if any(each is generator for kind in types if kind is not None for each in ast.walk(kind)):
            return True
    return False


def disallowed_uses(root: Path, allowed: dict[str, dict[str, str]]) -> list[str]:
    """Return one line for each use that `allowed` does not list."""
    return [
        f"{use.location} {use.name} ({use.kind})"
        for use in iter_uses(root)
        if use.kind not in allowed.get(use.module, {})
    ]


def test_nondeterminism_is_used_only_where_allowed():
    """Only the modules in ALLOWED_USES use clocks, randomness, threads and processes."""
    assert disallowed_uses(CHECKOUT, ALLOWED_USES) == []


def test_allowed_uses_are_not_stale():
    """Each module in ALLOWED_USES still uses what it is listed for."""
    found = {(use.module, use.kind) for use in iter_uses(CHECKOUT)}
    assert {(module, kind) for module, kinds in ALLOWED_USES.items() for kind in kinds} - found == set()


@pytest.mark.parametrize(
    ("source", "kind"),
    [
        ("import time\nnow = time.time()", "clock"),
        ("import time as t\nnow = t.monotonic_ns()", "clock"),
        ("from time import perf_counter as tick\ntick()", "clock"),
        ("import time\nclock = time.time", "clock"),
        ("import time\ntime.sleep(1)", "clock"),
        ("from datetime import datetime\ndatetime.now()", "clock"),
        ("import datetime as d\nd.datetime.now(d.UTC)", "clock"),
        ("import datetime\ndatetime.date.today()", "clock"),
        ("import random\nrandom.random()", "random"),
        ("from random import randint\nrandint(1, 2)", "random"),
        ("import random\nchance = random.Random()", "random"),
        ("import random\nmake = random.Random", "random"),
        ("from random import SystemRandom\nSystemRandom()", "random"),
        ("import uuid\nuuid.uuid4()", "random"),
        ("import secrets\nsecrets.token_hex()", "random"),
        ("from secrets import *", "random"),
        ("import os\nos.urandom(4)", "random"),
        ("import threading\nthreading.Thread()", "thread"),
        ("from concurrent.futures import ThreadPoolExecutor\nThreadPoolExecutor()", "thread"),
        ("import asyncio\nasyncio.to_thread(print)", "thread"),
        ("async def f(loop):\n    await loop.run_in_executor(None, print)", "thread"),
        ("import subprocess\nsubprocess.run([])", "process"),
        ("import asyncio\nasyncio.create_subprocess_exec('x')", "process"),
        ("async def f(loop):\n    await loop.subprocess_exec(print)", "process"),
        ("import os\ndef f():\n    os.fork()", "process"),
        ("from os import execv\nexecv('/x', [])", "process"),
        ("import multiprocessing.pool as pool\npool.Pool()", "process"),
    ],
)
def test_each_kind_of_use_is_found(tmp_path, source, kind):
    """Each kind is found in each spelling, and permission for another kind does not cover it."""
    (tmp_path / "agent").mkdir()
    (tmp_path / "agent" / "module.py").write_text(source)
    (line,) = disallowed_uses(
        tmp_path, {"agent/module.py": dict.fromkeys(set(NONDETERMINISTIC_NAMES) - {kind}, "another reason")}
    )
    assert line.startswith("agent/module.py:")
    assert line.endswith(f"({kind})")
    assert disallowed_uses(tmp_path, {"agent/module.py": {kind: "a reason"}}) == []


@pytest.mark.parametrize(
    "source",
    [
        "import asyncio\nasyncio.get_running_loop().time()",
        "from datetime import datetime\ndatetime.fromisoformat('2026-01-01')",
        "import random\ndef wait(chance: random.Random) -> float:\n    return chance.random()",
        "from random import Random\nclass Waits:\n    chance: Random | None\n    random: int = 3",
        "import random\nchance = random.Random(7)",
        "import uuid\nuuid.UUID('0' * 32)",
        "import threading\nlock = threading.Lock()",
        "import os\nos.read(0, 1)",
        "def time():\n    return 0\ntime()",
        "class Clock:\n    def now(self):\n        return self.datetime.now()",
    ],
)
def test_injected_or_unrelated_names_are_not_reported(tmp_path, source):
    """A dependency that is passed in, or a name that only looks similar, is not reported."""
    (tmp_path / "agent").mkdir()
    (tmp_path / "agent" / "module.py").write_text(source)
    assert disallowed_uses(tmp_path, {}) == []
