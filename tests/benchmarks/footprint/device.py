"""An installed agent and its simulated module, for the benchmarks of start, memory and disk."""

from __future__ import annotations

import compileall
import contextlib
import itertools
import os
import select
import shutil
import subprocess
import sys
import sysconfig
import threading
import time
import venv
from pathlib import Path

from hardware.sim.module.open_watch import OpenWatch
from hardware.sim.module.ports import LineDirection
from hardware.testing.local_sandbox import LocalSandbox

CHECKOUT = Path(__file__).parents[3]
HANDLER = """\
import time

from agent import handler


@handler("stamp")
def stamp(command):
    return str(time.monotonic_ns())
"""


def install(folder: Path) -> Path:
    """Install the checkout into an environment of its own, as a wheel would be; return its folder `bin`.

    An editable installation would make each start slower: its finder is imported first. The dependencies are
    those of this interpreter.
    """
    venv.create(folder, with_pip=False, symlinks=True)
    site = Path(sysconfig.get_path("purelib", vars={"base": str(folder), "platbase": str(folder)}))
    for package in ("agent", "hardware", "pdu"):
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(CHECKOUT / package, site / package, ignore=ignored)
    (site / "dependencies.pth").write_text(f"{sysconfig.get_path('purelib')}\n")
    compileall.compile_dir(site, quiet=1)
    script = folder / "bin/modem-agent"
    script.write_text(f"#!{folder}/bin/python\nimport sys\nfrom agent.cli import main\n\nsys.exit(main())\n")
    script.chmod(0o755)
    return folder / "bin"


class Device:
    """A simulated module in this process, and a folder with configuration and journal."""

    def __init__(self, bin_folder: Path, folder: Path, *, with_python_handler: bool) -> None:
        self.programs = bin_folder
        self.folder = folder
        self.sandbox = LocalSandbox()
        self.sim = self.sandbox.sim()
        self._numbers = itertools.count(1)
        self.command_count = 0
        """AT commands that the module has received."""
        self.opened_at = self.first_command_at = 0.0
        """Monotonic seconds of the last start."""
        self._watch = OpenWatch(os.path.realpath(self.sim.port))
        threading.Thread(target=self._note_opening, daemon=True).start()
        self.sandbox._thread.sandbox.records.add_line_observer(self._note_line)
        (folder / "handlers").mkdir(parents=True)
        if with_python_handler:
            (folder / "handlers/stamp.py").write_text(HANDLER)
        self.config = folder / "agent.toml"
        self.config.write_text(
            f'[modem]\nport = "{self.sim.port}"\n[handlers]\ndirectory = "handlers"\n'
            "[service]\nmax_per_minute = 100000\nmax_per_day = 100000\n"
            '[journal]\npath = "journal.db"\nallow_volatile = true\n[control]\nsocket = "control.sock"\n'
        )

    def _note_opening(self) -> None:
        with contextlib.suppress(OSError, ValueError):
            while select.select([self._watch.fd], [], [])[0]:
                self._watch.update()
                self.opened_at = self.opened_at or time.monotonic()

    def _note_line(self, _sim: object, direction: LineDirection, _data: bytes) -> None:
        if direction is LineDirection.TO_MODULE:
            self.command_count += 1
            self.first_command_at = self.first_command_at or time.monotonic()

    def start(self, *program: str) -> subprocess.Popen[bytes]:
        """Start a program, or the agent, and forget what was noted of the last one."""
        self.opened_at = self.first_command_at = 0.0
        self.command_count = 0
        words = program or (str(self.programs / "modem-agent"), "run", "--config", str(self.config))
        return subprocess.Popen(words, stderr=(self.folder / "log").open("ab"), stdout=subprocess.PIPE)

    def run_command(self, text: str) -> str:
        """Send a Command and return the reply."""
        count = len(self.sim.messages)
        self.send_command(text)
        return self.wait_for_reply(count)

    def send_command(self, text: str) -> None:
        """Send a Command with a number: one with the same text in the same second would be a duplicate."""
        self.sim.send_command(f"{text} {next(self._numbers)}")

    def wait_for_reply(self, count: int) -> str:
        """Return the text of the message after the first `count`."""
        deadline = time.monotonic() + 60
        while len(self.sim.messages) <= count:
            if time.monotonic() > deadline:
                raise TimeoutError((self.folder / "log").read_text()[-2000:])
            time.sleep(0.001)
        return str(self.sim.messages[count].body)

    def close(self) -> None:
        self._watch.close()
        self.sandbox.close()


def stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    process.wait(20)
    if process.stdout is not None:
        process.stdout.close()


def process_tree(pid: int) -> list[int]:
    """Return the ids of a process and of all its descendants."""
    found = [pid]
    for each in found:
        for task in Path(f"/proc/{each}/task").glob("*"):
            with contextlib.suppress(OSError):
                found += map(int, (task / "children").read_text().split())
    return found


def python_of(bin_folder: Path) -> str:
    """Return the interpreter of an environment."""
    assert sys.version_info >= (3, 11)
    return str(bin_folder / "python")
