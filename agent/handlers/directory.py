"""Reads the directory of handlers: executables, Python files and options; reports every mistake in them.

Paths of handlers are built only here, and only from names that were found in the directory.
"""

from __future__ import annotations

import os
import stat
import tomllib
from dataclasses import dataclass, field
from pathlib import Path

from agent.handlers.options import check_options, check_port, check_word


class HandlerConfigError(Exception):
    """The handlers cannot be used. `errors` has one sentence for each mistake: the file and the remedy."""

    def __init__(self, *errors: str) -> None:
        super().__init__("\n".join(errors))
        self.errors = errors


@dataclass(slots=True)
class DirectoryContents:
    """The contents of the directory of handlers."""

    executables: dict[str, Path] = field(default_factory=dict)
    """Executables by name, without the actions."""
    actions: dict[str, Path] = field(default_factory=dict)
    """Executables NAME.then, by NAME."""
    python_files: list[Path] = field(default_factory=list)
    option_files: dict[str, Path] = field(default_factory=dict)
    """Files NAME.toml, by NAME."""
    options: dict[str, dict[str, object]] = field(default_factory=dict)
    """Contents of NAME.toml, by the NAME of an executable; empty if a value is invalid."""
    ports: dict[str, tuple[int, ...]] = field(default_factory=dict)
    """Application port in NAME.toml, by the NAME of an executable."""
    errors: list[str] = field(default_factory=list)
    """Sentences about mistakes that prevent the start."""
    warnings: list[str] = field(default_factory=list)
    """Sentences about harmless mistakes."""


def read_directory(directory: Path) -> DirectoryContents:
    """Return the contents of the directory. Raises HandlerConfigError if it cannot be read."""
    directory = directory.absolute()
    found = DirectoryContents()
    try:
        files = sorted(directory.iterdir())
        found.errors += _permission_errors(directory, directory.stat())
    except FileNotFoundError:
        raise HandlerConfigError(
            f"there is no directory {directory}: create it, or set [handlers] directory to the right one"
        ) from None
    except NotADirectoryError:
        raise HandlerConfigError(f"{directory} is not a directory: set [handlers] directory to one") from None
    except OSError as error:
        raise HandlerConfigError(
            f"{directory} cannot be read: {error.strerror}; let the user that runs modem-agent read it"
        ) from None
    for path in files:
        if not path.name.startswith("."):
            _classify_file(path, found)
    for name, path in found.actions.items():
        if name not in found.executables:
            found.errors.append(f"{path} has no handler: there is no executable {name}")
    for name, path in found.option_files.items():
        if name in found.executables:
            _read_options(path, name, found)
        elif not path.with_suffix(".py").exists():  # a Python file may have a settings file of its own
            found.warnings.append(f"{path} is not used: there is no executable {name}")
    return found


def _classify_file(path: Path, contents: DirectoryContents) -> None:
    name = path.name
    try:
        status = path.stat()
    except OSError as error:
        contents.errors.append(f"{path} cannot be read: {error.strerror}; repair or remove it")
        return
    if not stat.S_ISREG(status.st_mode):
        return
    stem, _, suffix = name.rpartition(".")
    executable = bool(status.st_mode & 0o111)
    if not executable and suffix not in ("py", "toml", "then"):
        if _has_shebang(path):
            contents.warnings.append(f"{path} is not used because it is not executable: chmod +x it")
        return
    if suffix == "toml":
        contents.option_files[stem] = path
    elif errors := _permission_errors(path, status):
        contents.errors += errors
    elif suffix == "py":
        if not name.startswith("_"):
            contents.python_files.append(path)
    elif not executable or not os.access(path, os.X_OK):
        contents.errors.append(f"{path} cannot be executed by the user that runs modem-agent: chmod +x it")
    elif suffix == "then":
        contents.actions[stem] = path
    elif problem := check_word(name):
        contents.errors.append(f"{path}: the name {problem}; rename it")
    else:
        contents.executables[name] = path


def _permission_errors(path: Path, status: os.stat_result) -> list[str]:
    """Return a sentence for each permission that lets users other than root and the agent's write the file.

    A user that can write a handler controls the device.
    """
    errors = []
    if status.st_mode & 0o022:
        mode = stat.S_IMODE(status.st_mode)
        errors.append(f"{path} can be written by others (mode {mode:04o}): chmod go-w it")
    if status.st_uid not in (0, os.geteuid()):
        errors.append(
            f"{path} belongs to user {status.st_uid}: chown it to root or to the user that runs modem-agent"
        )
    return errors


def _has_shebang(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(2) == b"#!"
    except OSError:
        return False


def _read_options(path: Path, name: str, contents: DirectoryContents) -> None:
    try:
        if errors := _permission_errors(path, path.stat()):
            contents.errors += errors
            return
        options = tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        contents.errors.append(f"{path} cannot be read: {error.strerror}; make it readable for modem-agent")
        return
    except ValueError as error:  # invalid TOML or invalid UTF-8
        contents.errors.append(f"{path} is not valid TOML: {error}")
        return
    port = options.pop("port", None)
    errors = check_options(options)
    if port is not None and (problem := check_port(port)):
        errors.append(f"port {problem}")
    elif port is not None:
        contents.ports[name] = (port,)
    contents.errors += [f"{path}: {error}" for error in errors]
    contents.options[name] = {} if errors else options
