"""Reads the directory of handlers: executables, Python files and options; reports every mistake in them.

A mistake in a file makes its handler unusable, and no other. Paths of handlers are built only here, and only
from names that were found in the directory.
"""

from __future__ import annotations

import os
import stat
import tomllib
from collections import defaultdict
from pathlib import Path

from agent.handlers.checks import check_options, check_permissions, check_port, check_word


class HandlerConfigError(Exception):
    """There is no directory of handlers; the text is one sentence with the remedy."""


class DirectoryContents:
    """The contents of the directory of handlers."""

    def __init__(self) -> None:
        self.executables: dict[str, Path] = {}
        """Executables by name, without the actions. Those with errors are included."""
        self.actions: dict[str, Path] = {}
        """Executables NAME.then, by NAME."""
        self.python_files: list[Path] = []
        """Python files without errors."""
        self.option_files: dict[str, Path] = {}
        """Files NAME.toml, by NAME."""
        self.options: dict[str, dict[str, object]] = {}
        """Contents of NAME.toml, by the NAME of an executable; none if a value is invalid."""
        self.ports: dict[str, tuple[int, ...]] = {}
        """Application port in NAME.toml, by the NAME of an executable."""
        self.default: set[str] = set()
        """The executables that get all Commands that no other handler takes."""
        self.ignored: set[str] = set()
        """The executables that get the ignored messages."""
        self.errors: defaultdict[str, list[str]] = defaultdict(list)
        """Sentences (file, mistake and remedy) about handlers that cannot be used, by the name of the
        executable, else of the file or directory."""
        self.warnings: list[str] = []
        """Sentences about harmless mistakes."""


def read_directory(directory: Path) -> DirectoryContents:
    """Return the contents of the directory. Raises HandlerConfigError if it does not exist."""
    directory = directory.absolute()
    found = DirectoryContents()
    try:
        files = sorted(directory.iterdir())
        if errors := check_permissions(str(directory), directory.stat()):
            found.errors[f"{directory.name}/"] = errors  # any file in it may have been put there by others
            return found
    except FileNotFoundError:
        raise HandlerConfigError(
            f"there is no directory {directory}: create it, or set [handlers] directory to the right one"
        ) from None
    except NotADirectoryError:
        raise HandlerConfigError(f"{directory} is not a directory: set [handlers] directory to one") from None
    except OSError as error:
        found.errors[f"{directory.name}/"].append(
            f"{directory} cannot be read: {error.strerror}; let the user that runs modem-agent read it"
        )
        return found
    for path in files:
        if not path.name.startswith("."):
            _classify_file(path, found)
    for name, path in found.actions.items():
        if name not in found.executables:
            found.errors[path.name].append(f"{path} has no handler: there is no executable {name}")
    for name, path in found.option_files.items():
        if name in found.executables:
            _read_options(path, name, found)
        elif not path.with_suffix(".py").exists():  # a Python file may have a settings file of its own
            found.warnings.append(f"{path} is not used: there is no executable {name}")
    return found


def _classify_file(path: Path, contents: DirectoryContents) -> None:
    stem, _, suffix = path.name.rpartition(".")
    if suffix == "toml":
        contents.option_files[stem] = path
        return
    try:
        status = path.stat()
    except OSError as error:
        errors = [f"{path} cannot be read: {error.strerror}; repair or remove it"]
    else:
        if not stat.S_ISREG(status.st_mode):
            return
        if not status.st_mode & 0o111 and suffix not in ("py", "then"):
            if _has_shebang(path):
                contents.warnings.append(f"{path} is not used because it is not executable: chmod +x it")
            return
        errors = check_permissions(str(path), status)
        if suffix != "py" and not os.access(path, os.X_OK):
            errors.append(f"{path} cannot be executed by the user that runs modem-agent: chmod +x it")
    if suffix == "py":
        if not path.name.startswith("_") and not errors:
            contents.python_files.append(path)
    elif suffix == "then":
        contents.actions[stem] = path
    elif problem := check_word(path.name):
        errors.append(f"{path}: the name {problem}; rename it")
    else:
        contents.executables[path.name] = path
    if errors:
        contents.errors[stem if suffix == "then" else path.name] += errors


def _has_shebang(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(2) == b"#!"
    except OSError:
        return False


def _read_options(path: Path, name: str, contents: DirectoryContents) -> None:
    """Read the options of the executable NAME. It is not used with other options than those of the file."""
    options: dict[str, object] = {}
    port: object = None
    is_default: object = False
    is_ignored: object = False
    try:
        errors = check_permissions(str(path), path.stat())
        if not errors:
            options = tomllib.loads(path.read_text("utf-8"))
            port = options.pop("port", None)
            is_default, is_ignored = options.pop("default", False), options.pop("ignored", False)
            errors = [f"{path}: {error}" for error in check_options(options, ("port", "default", "ignored"))]
            if port is not None and (problem := check_port(port)):
                errors.append(f"{path}: port {problem}")
            for option, value in (("default", is_default), ("ignored", is_ignored)):
                if not isinstance(value, bool):
                    errors.append(f"{path}: {option} must be true or false")
            if is_ignored and (is_default or port is not None):
                errors.append(
                    f"{path}: a handler of ignored messages gets no Commands: no default and no port"
                )
    except OSError as error:
        errors = [f"{path} cannot be read: {error.strerror}; make it readable for modem-agent"]
    except ValueError as error:  # invalid TOML or invalid UTF-8
        errors = [f"{path} is not valid TOML: {error}"]
    if errors:
        contents.errors[name] += errors
        return
    contents.options[name] = options
    if isinstance(port, int):
        contents.ports[name] = (port,)
    if is_default:
        contents.default.add(name)
    if is_ignored:
        contents.ignored.add(name)
