"""The handlers that come with the program: finds them, and copies one to the directory of handlers."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from agent.installation.changes import SetupError
from agent.installation.plan import shared_folder

_SUFFIXES = ("", ".py", ".then", ".toml")
"""What the files of one handler add to its name."""


@dataclass(frozen=True, slots=True)
class ReadyHandler:
    """One handler with its files."""

    name: str
    files: tuple[Path, ...]

    @property
    def summary(self) -> str:
        """The first sentence of its head."""
        return self._head()[0]

    @property
    def rights(self) -> str:
        """What has to be installed or allowed for it, as its head says; "" for nothing."""
        lines = self._head()
        start = next((number for number, line in enumerate(lines) if line.startswith("Rights:")), len(lines))
        return "\n".join(lines[start:])

    def _head(self) -> list[str]:
        """Return the lines of the comment or docstring at the start of its main file."""
        text = self.files[0].read_text("utf-8")
        if self.files[0].suffix == ".py":
            return text.split('"""')[1].splitlines()
        lines = text.splitlines()
        first = 1 if lines[0].startswith("#!") else 0
        end = next((n for n, line in enumerate(lines) if n >= first and not line.startswith("#")), len(lines))
        return [line.removeprefix("#").removeprefix(" ") for line in lines[first:end]]


def list_ready_handlers(folder: Path | None = None) -> dict[str, ReadyHandler]:
    """Return the handlers by name, from the folder of the program."""
    folder = folder or shared_folder() / "handlers"
    names = sorted({path.stem for path in folder.glob("*") if path.suffix in {"", ".py"}})
    return {
        name: ReadyHandler(name, files)
        for name in names
        if (files := tuple(path for suffix in _SUFFIXES if (path := folder / f"{name}{suffix}").is_file()))
    }


def copy_handler(handler: ReadyHandler, directory: Path) -> list[Path]:
    """Copy the files of a handler to the directory of handlers and return the copies.

    A file that exists is the operator's: it is never overwritten. Raises SetupError, before any file is
    written if one exists.
    """
    targets = [directory / file.name for file in handler.files]
    for target in targets:
        if target.exists():
            raise SetupError(f"{target} exists already and is not changed; remove it first to get a new copy")
    try:
        for file, target in zip(handler.files, targets, strict=True):
            mode = 0o644 if file.suffix in {".py", ".toml"} else 0o755
            descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
            with os.fdopen(descriptor, "wb") as output:
                output.write(file.read_bytes())
            target.chmod(mode)  # whatever the umask is
    except OSError as error:
        advice = "use sudo" if isinstance(error, PermissionError) else "see [handlers] directory"
        raise SetupError(f"{error.filename}: {error.strerror}; {advice}") from None
    return targets
