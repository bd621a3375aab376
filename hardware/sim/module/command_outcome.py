"""The prerequisites, the outcome and the continuation of a command."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

    from hardware.sim.module.errors import CommandError


class Requirement(Enum):
    """A part of the module that must be ready before a command is executed."""

    NOTHING = "nothing"
    SIM = "SIM"
    """An unlocked SIM; otherwise the command fails with +CME ERROR 10 to 14."""
    MESSAGE_SERVICE = "message service"
    """The message service; otherwise the command fails with +CMS ERROR 310 to 316."""


@dataclass(frozen=True, slots=True)
class TextPrompt:
    """The command asks for text and continues with `on_text`. ESC ends the command with OK."""

    on_text: Callable[[bytes], CommandOutcome]
    text_mode: bool


class Pending(Enum):
    """The command is still running; `LineControl.complete` will report its result."""

    PENDING = 0


PENDING = Pending.PENDING

CommandOutcome = list[str] | TextPrompt | Pending
"""Information texts of a finished command, or what the command is waiting for."""


class LineControl(Protocol):
    """The control of the command line that is being executed; the interpreter implements it."""

    @property
    def command_names(self) -> frozenset[str]:
        """The names of all commands of this module."""

    def call_after_result(self, action: Callable[[], None]) -> None:
        """Call `action` after the final result code of the current line."""

    def complete(self, outcome: list[str] | CommandError) -> None:
        """Finish a command that returned PENDING."""

    def skip_rest(self) -> None:
        """Ignore the remaining commands of the line."""
