"""The description of one handler: its name, the Commands that it handles, its options."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pdu.record import Record

HandlerKind = Literal["executable", "python", "builtin", "forwarding"]


class HandlerOptions(Record, kw_only=True):
    """Which Commands a handler gets, and how it runs."""

    words: tuple[str, ...] = ()
    """First words of texts. Upper and lower case are the same."""
    json_keys: tuple[str, ...] = ()
    prefixes: tuple[bytes, ...] = ()
    ports: tuple[int, ...] = ()
    """Application ports (23.040 9.2.3.24.4)."""
    default: bool = False
    """True if it gets all Commands that no other handler takes."""
    line: int = 0
    """Line of a function in its file."""
    repeatable: bool = False
    timeout_s: float | None = None
    """None: the value of agent.toml applies."""
    max_age_s: float | None = None
    """None: the value of agent.toml applies."""
    reply_to: str | None = None
    """Number that replies go to; None: the sender."""


class HandlerSpec(HandlerOptions):
    """A handler. Its name is unique and does not change over a restart: the journal stores it."""

    name: str
    """`led` for an executable, `device.py:temperature` for a function, `ping` for a built-in, `[mqtt]` for a
    table of agent.toml that forwards Commands."""
    kind: HandlerKind
    file: Path | None = None
    """The executable or Python file; None for the other kinds."""
    function: str | None = None
    """Name of the function in the Python file; None for an executable."""
    then: Path | None = None
    """NAME.then, the action that runs after the reply of an executable."""
    ignored: bool = False
    """True if it gets the ignored messages, and no Commands."""
    error: str = ""
    """Why it cannot be used: then its Commands fail."""

    @property
    def queue_key(self) -> str:
        """Handlers with the same key run one after another: the functions of one Python file."""
        return self.name if self.kind != "python" else str(self.file)

    @property
    def location(self) -> str:
        """The file, with the line of a function, for error messages."""
        if self.kind == "forwarding":
            return f"{self.name} commands in agent.toml"
        return f"{self.file} line {self.line}" if self.kind == "python" else str(self.file)
