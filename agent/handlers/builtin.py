"""The built-in handlers `ping`, `status` and `help`: they run in the agent itself, because they are ours.

A user's handler for the same word takes their place. Each answer fits one SMS.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from agent.handlers.api import Command
from agent.handlers.entry import Entry

ONE_SMS = 160
"""Septets; every character of these answers takes one (23.038 6.2.1, without the extension table)."""

# They change nothing, so an interrupted one may run again.
BUILTINS = tuple(
    Entry(name, "builtin", words=(name,), repeatable=True) for name in ("ping", "status", "help")
)


def answer(entry: Entry, command: Command, names: Iterable[str], status: Callable[[], str]) -> str:
    """Carry out a built-in: `names` are those of all handlers, `status` tells how the agent is."""
    match entry.name:
        case "ping":
            # What is sent along comes back, so several pings can be told apart where answers carry no SID.
            return _cut(" ".join(("pong", *command.words[1:])), " ")
        case "status":
            return _cut(status(), " ")
        case _:
            return _cut(", ".join(_plain(name) for name in names), ", ")


def _cut(text: str, seam: str) -> str:
    """Shorten to one SMS, at a seam if there is one, and mark it."""
    text = _plain(text)
    if len(text) <= ONE_SMS:
        return text
    head = text[: ONE_SMS - 2 + len(seam)]
    place = head.rfind(seam)
    return head[: place if place > ONE_SMS // 2 else ONE_SMS - 2] + ".."


def _plain(text: str) -> str:
    """Characters that take one septet each; others become `?`."""
    return "".join(
        char if char.isascii() and char not in "^{}\\[~]|`" and char >= " " else "?" for char in text
    )
