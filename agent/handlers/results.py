"""Results of a handler run, and the declarations of a Python file, as the agent uses them."""

from __future__ import annotations

import errno

from agent.handlers.spec import HandlerOptions
from pdu.record import Record

EXHAUSTION_ERRNOS = (errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EAGAIN, errno.ENOBUFS)
"""Errors of a host that is out of files, memory or processes: temporary, and not the handler's fault."""


class RunResult(Record, kw_only=True):
    """What each result of a run has. Results are equal whatever the handler wrote to its standard error."""

    stderr: str = ""
    """The end of what the handler wrote to its standard error, as printable lines."""

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and self._values(self)[1:-1] == other._values(other)[1:-1]

    def __hash__(self) -> int:
        return hash(self._values(self)[1:-1])


class Finished(RunResult):
    """The handler succeeded. `reply` is None for no reply; `then` names the action to run after the reply."""

    reply: str | bytes | None
    then: str | None = None
    omitted: int = 0
    """The number of characters that the handler has cut off its reply."""


class Failed(RunResult):
    """The handler failed; `reason` is one line."""

    reason: str


class TimedOut(RunResult):
    """The run reached its time limit and was killed with all its descendants."""


class RetryLater(RunResult):
    """A repeatable handler asked for the Command again after a delay."""

    reason: str


class NotStarted(Record):
    """The handler was not started, because the host was out of files, memory or processes."""

    reason: str


HandlerResult = Finished | Failed | TimedOut | RetryLater | NotStarted


class HandlerDeclaration(HandlerOptions):
    """A handler function, as declared by its Python file."""

    function: str
    errors: tuple[str, ...] = ()
    """One clause for each mistake in the declaration."""


class HandlerLoadError(Exception):
    """A Python file cannot be loaded; the text names the file and the line."""


class ResourceExhausted(Exception):  # noqa: N818  (a condition of the host, not a mistake)
    """A Python file could not be loaded because the host is out of files, memory or processes."""
