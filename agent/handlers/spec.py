"""One handler as the agent knows it: what it is called, what it answers to, how it may be run."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

HandlerKind = Literal["executable", "python", "builtin"]


@dataclass(frozen=True, slots=True)
class HandlerSpec:
    """A handler. Its name is unique, and the same again after a restart: the journal keeps it."""

    name: str
    """`led` for an executable, `device.py:temperature` for a function, `ping` for a built-in."""
    kind: HandlerKind
    file: Path | None = None
    """None for a built-in."""
    function: str | None = None
    """Of a Python file."""
    then: Path | None = None
    """NAME.then, what an executable does after its answer."""
    words: tuple[str, ...] = ()
    """First words, case folded."""
    json_keys: tuple[str, ...] = ()
    prefixes: tuple[bytes, ...] = ()
    default: bool = False
    line: int = 0
    """Where a function stands in its file."""
    repeatable: bool = False
    timeout_s: float | None = None
    """None: that of agent.toml; the same for the next."""
    max_age_s: float | None = None
    reply_to: str | None = None

    @property
    def queue_key(self) -> str:
        """Entries of one lane share a process and run one after the other: the functions of one file."""
        return self.name if self.kind != "python" else str(self.file)

    @property
    def location(self) -> str:
        """Where to look for it, in a sentence."""
        return f"{self.file} line {self.line}" if self.kind == "python" else str(self.file)
