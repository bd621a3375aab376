"""The built-in handlers `ping`, `status` and `help`: they run in the agent itself, because they are ours.

A user's handler for the same word takes their place. Each answer fits one SMS.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from agent.handlers.api import Command
from agent.handlers.spec import HandlerSpec

MAX_SMS_SEPTETS = 160
"""Septets; every character of these answers takes one (23.038 6.2.1, without the extension table)."""

# They change nothing, so an interrupted one may run again.
BUILTINS = tuple(
    HandlerSpec(name, "builtin", words=(name,), repeatable=True) for name in ("ping", "status", "help")
)


def run(spec: HandlerSpec, command: Command, names: Iterable[str], status: Callable[[], str]) -> str:
    """Carry out a built-in: `names` are those of all handlers, `status` tells how the agent is."""
    match spec.name:
        case "ping":
            # What is sent along comes back, so several pings can be told apart where answers carry no SID.
            return _truncate(" ".join(("pong", *command.words[1:])), " ")
        case "status":
            return _truncate(status(), " ")
        case _:
            return _truncate(", ".join(_replace_multi_septet(name) for name in names), ", ")


def _truncate(text: str, separator: str) -> str:
    """Shorten to one SMS, at a seam if there is one, and mark it."""
    text = _replace_multi_septet(text)
    if len(text) <= MAX_SMS_SEPTETS:
        return text
    head = text[: MAX_SMS_SEPTETS - 2 + len(separator)]
    place = head.rfind(separator)
    return head[: place if place > MAX_SMS_SEPTETS // 2 else MAX_SMS_SEPTETS - 2] + ".."


def _replace_multi_septet(text: str) -> str:
    """Characters that take one septet each; others become `?`."""
    return "".join(
        char if char.isascii() and char not in "^{}\\[~]|`" and char >= " " else "?" for char in text
    )
