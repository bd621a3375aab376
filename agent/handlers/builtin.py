"""The built-in handlers `ping`, `status` and `help`. They are not user code, so they run in the agent itself.

A handler of the user for the same word replaces them. Each reply fits into one SMS.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from agent.handlers.api import Command
from agent.handlers.results import Finished
from agent.handlers.spec import HandlerSpec

MAX_SMS_SEPTETS = 160
"""Length of one SMS. Each character of these replies takes one septet (23.038 6.2.1, no extension table)."""

# Built-in handlers have no side effects, so an interrupted one may run again.
BUILTINS = tuple(
    HandlerSpec(name, "builtin", words=(name,), repeatable=True) for name in ("ping", "status", "help")
)


def run(spec: HandlerSpec, command: Command, names: Iterable[str], status: Callable[[], str]) -> Finished:
    """Return the reply of a built-in handler.

    `names` are the names of all handlers, for `help`; `status` returns one line about the agent.
    """
    match spec.name:
        case "ping":
            # The other words are returned, to distinguish several pings when replies carry no SID.
            return _truncate(" ".join(("pong", *command.words[1:])), " ")
        case "status":
            return _truncate(status(), " ")
        case _:
            return _truncate(", ".join(_replace_multi_septet(name) for name in names), ", ")


def _truncate(text: str, separator: str) -> Finished:
    """Shorten a text to one SMS, at the last separator if possible, and mark the cut with `..`."""
    text = _replace_multi_septet(text)
    if len(text) <= MAX_SMS_SEPTETS:
        return Finished(text)
    head = text[: MAX_SMS_SEPTETS - 2 + len(separator)]
    end = head.rfind(separator)
    kept = head[: end if end > MAX_SMS_SEPTETS // 2 else MAX_SMS_SEPTETS - 2]
    return Finished(f"{kept}..", omitted=len(text) - len(kept))


def _replace_multi_septet(text: str) -> str:
    """Replace each character that would not take exactly one septet by `?`."""
    return "".join(
        char if char.isascii() and char not in "^{}\\[~]|`" and char >= " " else "?" for char in text
    )
