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


def run(
    spec: HandlerSpec,
    command: Command,
    status: Callable[[], str],
    names: Iterable[str],
    unusable: Iterable[str] = (),
) -> Finished:
    """Return the reply of a built-in handler.

    `status` returns one line about the agent. `names` are the words and keys of all handlers, for `help`;
    `unusable` are those that cannot be used, which `help` and `status` name.
    """
    suffix = ", ".join(unusable)
    if suffix:
        suffix = _replace_multi_septet(f"; not usable: {suffix}")
    if len(suffix) > MAX_SMS_SEPTETS // 2:
        suffix = f"{suffix[: MAX_SMS_SEPTETS // 2 - 2]}.."
    match spec.name:
        case "ping":
            # The other words are returned, to distinguish several pings when replies carry no SID.
            return _truncate(" ".join(("pong", *command.words[1:])), " ")
        case "status":
            return _truncate(status(), " ", suffix)
        case _:
            return _truncate(", ".join(names), ", ", suffix)


def _truncate(text: str, separator: str, suffix: str = "") -> Finished:
    """Shorten a text so that it fits into one SMS with the suffix, at the last separator if possible.

    The cut is marked with `..`.
    """
    text = _replace_multi_septet(text)
    max_septets = MAX_SMS_SEPTETS - len(suffix)
    if len(text) <= max_septets:
        return Finished(text + suffix)
    head = text[: max_septets - 2 + len(separator)]
    end = head.rfind(separator)
    kept = head[: end if end > max_septets // 2 else max_septets - 2]
    return Finished(f"{kept}..{suffix}", omitted=len(text) - len(kept))


def _replace_multi_septet(text: str) -> str:
    """Replace each character that would not take exactly one septet by `?`."""
    return "".join(
        char if char.isascii() and char not in "^{}\\[~]|`" and char >= " " else "?" for char in text
    )
