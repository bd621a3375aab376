"""Changes that `setup` makes to the device: each knows whether it is needed and how to show itself."""

from __future__ import annotations

import difflib
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

PREFIX = Path("/opt/modem-agent")
"""The environment that the units start, and that the Debian package owns."""


class SetupError(Exception):
    """A change is not possible; the text is one sentence with what to do."""


class Change(Protocol):
    """One change. It is made only while it is needed, so `setup` can be run again."""

    def describe(self) -> str:
        """Return what it does, as one or more lines; "" if it is not needed."""

    def apply(self) -> None:
        """Make the change. Raises OSError or SetupError."""


@dataclass(frozen=True, slots=True)
class WriteFile:
    """Writes a file that is absent or has another content or mode."""

    path: Path
    content: str
    mode: int = 0o644
    show_difference: bool = False
    """True for a file that people edit: then each changed line is shown."""

    def describe(self) -> str:
        current = _read(self.path)
        if current is None:
            return f"create {self.path}"
        if current == self.content:
            return "" if self.path.stat().st_mode & 0o777 == self.mode else f"set the mode of {self.path}"
        lines = difflib.unified_diff(current.splitlines(), self.content.splitlines(), n=0, lineterm="")
        shown = [f"  {line}" for line in list(lines)[2:] if not line.startswith("@@")]
        return "\n".join([f"change {self.path}", *(shown if self.show_difference else [])])

    def apply(self) -> None:
        """Replace the file as a whole, so that a power cut leaves the old or the new one."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        new = self.path.with_name(f".{self.path.name}.new")
        new.unlink(missing_ok=True)
        descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, self.mode)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            os.fchmod(file.fileno(), self.mode)
            file.write(self.content)
            file.flush()
            os.fsync(file.fileno())
        new.replace(self.path)


@dataclass(frozen=True, slots=True)
class MakeFolder:
    """Creates a folder."""

    path: Path

    def describe(self) -> str:
        return "" if self.path.is_dir() else f"create {self.path}/"

    def apply(self) -> None:
        self.path.mkdir(parents=True, exist_ok=True)


@dataclass(frozen=True, slots=True)
class MakeLink:
    """Creates a symbolic link, in place of another one."""

    path: Path
    target: Path

    def describe(self) -> str:
        is_right = self.path.is_symlink() and self.path.readlink() == self.target
        return "" if is_right else f"create the link {self.path}"

    def apply(self) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.path.unlink(missing_ok=True)
        self.path.symlink_to(self.target)


@dataclass(frozen=True, slots=True)
class Delete:
    """Deletes a file, a link or a folder with its content."""

    path: Path

    def describe(self) -> str:
        return f"delete {self.path}" if self.path.exists() or self.path.is_symlink() else ""

    def apply(self) -> None:
        if self.path.is_dir() and not self.path.is_symlink():
            shutil.rmtree(self.path)
        else:
            self.path.unlink(missing_ok=True)


@dataclass(frozen=True, slots=True)
class CopyEnvironment:
    """Copies the virtual environment that runs this program: the service cannot read a home directory."""

    source: Path
    target: Path

    def describe(self) -> str:
        program = self.target / "bin/modem-agent"
        same = _read(self._stamp) == self._fingerprint() and program.exists()
        return "" if same else f"copy {self.source} to {self.target}"

    def apply(self) -> None:
        """Copy beside the target, then exchange the two: a running agent keeps its files until then."""
        interpreter = (self.source / "bin/python3").resolve()
        if interpreter.is_relative_to("/home") or interpreter.is_relative_to("/root"):
            raise SetupError(
                f"the Python of this environment is {interpreter}, which the service cannot read: install "
                "modem-agent with the Python of the system (/usr/bin/python3)"
            )
        new = self.target.with_name(f"{self.target.name}.new")
        shutil.rmtree(new, ignore_errors=True)
        shutil.copytree(self.source, new, symlinks=True)
        (new / "bin/modem-agent").write_text(
            f"#!{PREFIX}/bin/python3\nfrom agent.cli import main\n\nmain()\n"
        )
        for name in ("python3", "python"):
            (new / "bin" / name).unlink(missing_ok=True)
        (new / "bin/python3").symlink_to(interpreter)
        (new / "bin/python").symlink_to("python3")
        (new / self._stamp.name).write_text(self._fingerprint())
        _make_readable(new)
        old = self.target.with_name(f"{self.target.name}.old")
        shutil.rmtree(old, ignore_errors=True)
        if self.target.exists():
            self.target.rename(old)
        new.rename(self.target)
        shutil.rmtree(old, ignore_errors=True)

    @property
    def _stamp(self) -> Path:
        return self.target / "copied-from"

    def _fingerprint(self) -> str:
        """Return a text that changes with each installation of a wheel into the source."""
        records = sorted(self.source.glob("lib/python3*/site-packages/*.dist-info/RECORD"))
        return "".join(f"{record} {record.stat().st_mtime_ns}\n" for record in records)


@dataclass(frozen=True, slots=True)
class RunCommand:
    """Runs a program of the system, with the other changes: alone it is not needed."""

    command: Sequence[str]
    may_fail: bool = False

    def describe(self) -> str:
        return f"run {' '.join(self.command)}"

    def apply(self) -> None:
        try:
            done = subprocess.run(self.command, capture_output=True, text=True, check=False)
        except OSError as error:
            if self.may_fail:
                return
            raise SetupError(f"{self.command[0]} cannot be started: {error.strerror}") from None
        if done.returncode and not self.may_fail:
            reason = (done.stderr or done.stdout).strip() or f"exit status {done.returncode}"
            raise SetupError(f"{' '.join(self.command)} failed: {reason}")


def is_active(unit: str) -> bool:
    """Return True if systemd runs a unit."""
    return subprocess.run(("systemctl", "is-active", "--quiet", unit), check=False).returncode == 0


def own_environment() -> Path:
    """Return the virtual environment that runs this program. Raises SetupError if it cannot be installed."""
    prefix = Path(sys.prefix)
    package = Path(__file__).parents[1]
    if sys.prefix == sys.base_prefix or not package.is_relative_to(prefix):
        raise SetupError(
            "setup needs an installed modem-agent: install the Debian package, or the wheel with pipx, and "
            "run that one"
        )
    return prefix


def _make_readable(folder: Path) -> None:
    """Let every user read a tree, whatever the umask of its owner was."""
    for path in (folder, *folder.rglob("*")):
        if not path.is_symlink():
            executable = path.is_dir() or path.stat().st_mode & 0o100
            path.chmod(0o755 if executable else 0o644)
            os.chown(path, 0, 0)


def _read(path: Path) -> str | None:
    try:
        return path.read_text("utf-8")
    except (OSError, UnicodeDecodeError):
        return None
