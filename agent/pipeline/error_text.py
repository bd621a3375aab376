"""What the reply to a failed Command says after `ERR`. No I/O."""

from __future__ import annotations

from agent.handlers.api import Command
from agent.handlers.results import Failed, RetryLater, TimedOut
from agent.handlers.spec import HandlerSpec

MAX_WORD_LENGTH = 20
"""Characters of an unknown first word that an error reply repeats."""


def describe_failure(spec: HandlerSpec, result: Failed | RetryLater | TimedOut, *, with_details: bool) -> str:
    """Return `failed` or `timed out`; `with_details` the reason of a failure: `exit 3: disk on fire`."""
    if isinstance(result, TimedOut):
        return "timed out"
    if not with_details:
        return "failed"
    lines = result.stderr.splitlines() if spec.kind == "executable" else []
    return ": ".join([result.reason.replace("exit status", "exit"), *lines[-1:]])


def describe_no_handler(command: Command, handler_error: str) -> str:
    """Return which word, mode or port has no handler, or one that cannot be used for the reason given."""
    word = (command.words[0] if command.words else command.mode)[:MAX_WORD_LENGTH]
    if handler_error:
        return f"unusable {word}"
    return f"unknown port {command.port}" if command.port is not None else f"unknown {word}"
