"""Reads the directory of handlers: which files are one, which must not be run, which have options.

This is the only place where paths of handlers are made, and they are made from names found in the directory.
"""

from __future__ import annotations

import os
import stat
import tomllib
from dataclasses import dataclass, field
from pathlib import Path

from agent.handlers.options import check_options, check_word


class HandlerConfigError(Exception):
    """The handlers cannot be used as they are. `sentences`: one a mistake, with its file and a way out."""

    def __init__(self, *errors: str) -> None:
        super().__init__("\n".join(errors))
        self.errors = errors


@dataclass(slots=True)
class DirectoryContents:
    """What stands in the directory."""

    executables: dict[str, Path] = field(default_factory=dict)
    """By name; without those named NAME.then."""
    actions: dict[str, Path] = field(default_factory=dict)
    """NAME.then, by NAME."""
    python_files: list[Path] = field(default_factory=list)
    option_files: dict[str, Path] = field(default_factory=dict)
    """NAME.toml, by NAME."""
    options: dict[str, dict[str, object]] = field(default_factory=dict)
    """What NAME.toml says, by the NAME of an executable."""
    errors: list[str] = field(default_factory=list)
    """Sentences on what must be mended."""
    warnings: list[str] = field(default_factory=list)
    """Sentences on what looks like a mistake and harms nobody."""


def read_directory(directory: Path) -> DirectoryContents:
    """Look at every file. Raises CatalogueError when the directory itself cannot be read."""
    directory = directory.absolute()
    found = DirectoryContents()
    try:
        files = sorted(directory.iterdir())
        found.errors += _permission_errors(directory, directory.stat())
    except FileNotFoundError:
        raise HandlerConfigError(
            f"there is no directory {directory}: make it, or set [handlers] directory to the right one"
        ) from None
    except NotADirectoryError:
        raise HandlerConfigError(f"{directory} is no directory: set [handlers] directory to one") from None
    except OSError as error:
        raise HandlerConfigError(
            f"{directory} cannot be read: {error.strerror}; let the user that runs modem-agent read it"
        ) from None
    for path in files:
        if not path.name.startswith("."):
            _classify_file(path, found)
    for name, path in found.actions.items():
        if name not in found.executables:
            found.errors.append(f"{path} belongs to nothing: there is no executable {name}")
    for name, path in found.option_files.items():
        if name in found.executables:
            _read_options(path, name, found)
        elif not path.with_suffix(".py").exists():  # that may have settings of its own
            found.warnings.append(f"{path} is not used: there is no executable {name}")
    return found


def _classify_file(path: Path, contents: DirectoryContents) -> None:
    name = path.name
    try:
        status = path.stat()
    except OSError as error:
        contents.errors.append(f"{path} cannot be looked at: {error.strerror}; mend or remove it")
        return
    if not stat.S_ISREG(status.st_mode):
        return
    stem, _, suffix = name.rpartition(".")
    executable = bool(status.st_mode & 0o111)
    if not executable and suffix not in ("py", "toml", "then"):
        if _has_shebang(path):
            contents.warnings.append(f"{path} is no handler because it is not executable: chmod +x it")
        return
    if suffix == "toml":
        contents.option_files[stem] = path
    elif faults := _permission_errors(path, status):
        contents.errors += faults
    elif suffix == "py":
        if not name.startswith("_"):
            contents.python_files.append(path)
    elif not executable or not os.access(path, os.X_OK):
        contents.errors.append(f"{path} cannot be executed by the user that runs modem-agent: chmod +x it")
    elif suffix == "then":
        contents.actions[stem] = path
    elif fault := check_word(name):
        contents.errors.append(f"{path}: the name {fault}; rename it")
    else:
        contents.executables[name] = path


def _permission_errors(path: Path, status: os.stat_result) -> list[str]:
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


def _has_shebang(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(2) == b"#!"
    except OSError:
        return False


def _read_options(path: Path, name: str, contents: DirectoryContents) -> None:
    try:
        if faults := _permission_errors(path, path.stat()):
            contents.errors += faults
            return
        options = tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        contents.errors.append(f"{path} cannot be read: {error.strerror}; let modem-agent read it")
        return
    except ValueError as error:  # of TOML and of UTF-8
        contents.errors.append(f"{path} is not valid TOML: {error}")
        return
    faults = check_options(options)
    contents.errors += [f"{path}: {fault}" for fault in faults]
    contents.options[name] = {} if faults else options
