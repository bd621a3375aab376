"""What comes of a run, and what a Python file declares: the values on the agent's side of the seam."""

from __future__ import annotations

import errno
from dataclasses import dataclass

EXHAUSTION_ERRNOS = (errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EAGAIN, errno.ENOBUFS)
"""Errors that say nothing of what was to be done: the host has nothing left for it, and may have again."""


@dataclass(frozen=True, slots=True)
class Finished:
    """The handler did its work. No reply: None. `then`: the action it wants after its answer."""

    reply: str | bytes | None
    then: str | None = None


@dataclass(frozen=True, slots=True)
class Failed:
    """It did not; the reason is one line."""

    reason: str


@dataclass(frozen=True, slots=True)
class TimedOut:
    """It was ended at its time limit, with everything it had started."""


@dataclass(frozen=True, slots=True)
class RetryLater:
    """A repeatable handler wants the Command again after a while."""

    reason: str


@dataclass(frozen=True, slots=True)
class NotStarted:
    """The host had no file, memory or process left: nothing of the handler has run, which is certain."""

    reason: str


HandlerResult = Finished | Failed | TimedOut | RetryLater | NotStarted


@dataclass(frozen=True, slots=True)
class HandlerDeclaration:
    """A function of a Python file that is a handler, as the file says it."""

    function: str
    line: int = 0
    words: tuple[str, ...] = ()
    json_keys: tuple[str, ...] = ()
    prefixes: tuple[bytes, ...] = ()
    default: bool = False
    repeatable: bool = False
    timeout_s: float | None = None
    max_age_s: float | None = None
    reply_to: str | None = None
    errors: tuple[str, ...] = ()
    """What is wrong with it, a clause each."""


class HandlerLoadError(Exception):
    """A Python file cannot be loaded; the text names file and line."""


class ResourceExhausted(Exception):  # noqa: N818  (its text is the sentence)
    """A Python file could not even be opened for want of files, memory or processes; the file may be fine."""
