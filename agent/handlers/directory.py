"""Reads the directory of handlers: which files are one, which must not be run, which have options.

This is the only place where paths of handlers are made, and they are made from names found in the directory.
"""

from __future__ import annotations

import os
import stat
import tomllib
from dataclasses import dataclass, field
from pathlib import Path

from agent.handlers.options import option_faults, word_fault


class CatalogueError(Exception):
    """The handlers cannot be used as they are. `sentences`: one a mistake, with its file and a way out."""

    def __init__(self, *sentences: str) -> None:
        super().__init__("\n".join(sentences))
        self.sentences = sentences


@dataclass(slots=True)
class Found:
    """What stands in the directory."""

    executables: dict[str, Path] = field(default_factory=dict)
    """By name; without those named NAME.then."""
    actions: dict[str, Path] = field(default_factory=dict)
    """NAME.then, by NAME."""
    python: list[Path] = field(default_factory=list)
    tables: dict[str, Path] = field(default_factory=dict)
    """NAME.toml, by NAME."""
    options: dict[str, dict[str, object]] = field(default_factory=dict)
    """What NAME.toml says, by the NAME of an executable."""
    faults: list[str] = field(default_factory=list)
    """Sentences on what must be mended."""
    remarks: list[str] = field(default_factory=list)
    """Sentences on what looks like a mistake and harms nobody."""


def read(directory: Path) -> Found:
    """Look at every file. Raises CatalogueError when the directory itself cannot be read."""
    directory = directory.absolute()
    found = Found()
    try:
        files = sorted(directory.iterdir())
        found.faults += _untrusted(directory, directory.stat())
    except FileNotFoundError:
        raise CatalogueError(
            f"there is no directory {directory}: make it, or set [handlers] directory to the right one"
        ) from None
    except NotADirectoryError:
        raise CatalogueError(f"{directory} is no directory: set [handlers] directory to one") from None
    except OSError as error:
        raise CatalogueError(
            f"{directory} cannot be read: {error.strerror}; let the user that runs modem-agent read it"
        ) from None
    for path in files:
        if not path.name.startswith("."):
            _look_at(path, found)
    for name, path in found.actions.items():
        if name not in found.executables:
            found.faults.append(f"{path} belongs to nothing: there is no executable {name}")
    for name, path in found.tables.items():
        if name in found.executables:
            _read_options(path, name, found)
        elif not path.with_suffix(".py").exists():  # that may have settings of its own
            found.remarks.append(f"{path} is not used: there is no executable {name}")
    return found


def _look_at(path: Path, found: Found) -> None:
    name = path.name
    try:
        status = path.stat()
    except OSError as error:
        found.faults.append(f"{path} cannot be looked at: {error.strerror}; mend or remove it")
        return
    if not stat.S_ISREG(status.st_mode):
        return
    stem, _, suffix = name.rpartition(".")
    executable = bool(status.st_mode & 0o111)
    if not executable and suffix not in ("py", "toml", "then"):
        if _begins_as_script(path):
            found.remarks.append(f"{path} is no handler because it is not executable: chmod +x it")
        return
    if suffix == "toml":
        found.tables[stem] = path
    elif faults := _untrusted(path, status):
        found.faults += faults
    elif suffix == "py":
        if not name.startswith("_"):
            found.python.append(path)
    elif not executable or not os.access(path, os.X_OK):
        found.faults.append(f"{path} cannot be executed by the user that runs modem-agent: chmod +x it")
    elif suffix == "then":
        found.actions[stem] = path
    elif fault := word_fault(name):
        found.faults.append(f"{path}: the name {fault}; rename it")
    else:
        found.executables[name] = path


def _untrusted(path: Path, status: os.stat_result) -> list[str]:
    """Whoever can write a handler commands the device. Who that may be: root and the user of the agent."""
    faults = []
    if status.st_mode & 0o022:
        mode = stat.S_IMODE(status.st_mode)
        faults.append(f"{path} can be written by others (mode {mode:04o}): chmod go-w it")
    if status.st_uid not in (0, os.geteuid()):
        faults.append(
            f"{path} belongs to user {status.st_uid}: chown it to root or to the user that runs modem-agent"
        )
    return faults


def _begins_as_script(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(2) == b"#!"
    except OSError:
        return False


def _read_options(path: Path, name: str, found: Found) -> None:
    try:
        if faults := _untrusted(path, path.stat()):
            found.faults += faults
            return
        options = tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        found.faults.append(f"{path} cannot be read: {error.strerror}; let modem-agent read it")
        return
    except ValueError as error:  # of TOML and of UTF-8
        found.faults.append(f"{path} is not valid TOML: {error}")
        return
    faults = option_faults(options)
    found.faults += [f"{path}: {fault}" for fault in faults]
    found.options[name] = {} if faults else options
