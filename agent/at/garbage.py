"""Octets that are no text, in lines that may be: what is cut off, and how it is told."""

from __future__ import annotations

from agent.at.command import AtCommand
from agent.at.event import Event, Noise
from agent.at.grammar import JUNK, final_result, is_code
from agent.at.payload import form

SAMPLE = 48
"""Octets of garbage shown."""


def without_junk(line: str, pending: AtCommand | None, events: list[Event]) -> str:
    """Cut off octets that are no text: at both ends, and before a code that garbage was glued to.

    Empty where nothing is left that could be a line. `pending`: the command whose answer may have some in it.
    """
    if (head := JUNK.match(line)) is not None:
        junk(head[0], events)
        line = line[head.end() :]
    line = line.rstrip("\x00\x1a\x1b\xff")
    inner = None
    for inner in JUNK.finditer(line):  # noqa: B007  (the last one is wanted)
        pass
    if inner is None:
        return line
    tail = line[inner.end() :].strip()
    if is_code(tail) or final_result(tail, numeric=False) is not None:
        events.append(noise("octets that are no text", line[: inner.end()]))
        return tail
    if is_code(line) or form(pending, line) is not None:
        return line  # a name in another character set, inside an answer
    events.append(noise("octets that are no text", line))
    return ""


def junk(octets: str, events: list[Event]) -> None:
    """Tell of octets that are no text; Ctrl-Z and ESC are echoes of our own."""
    if octets.strip("\x1a\x1b"):
        events.append(noise("octets that are no text", octets))


def noise(reason: str, octets: str) -> Noise:
    """A sample of what was dropped."""
    return Noise(reason, octets[:SAMPLE].encode("latin-1"))
