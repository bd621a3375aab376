"""Octets that are no text, in lines that may be: what is cut off, and how it is told."""

from __future__ import annotations

from agent.at.command import AtCommand
from agent.at.events import AtEvent, Noise, NoiseKind
from agent.at.line_parser import NON_TEXT, is_result_code, parse_final_result
from agent.at.payload import match_response

NOISE_SAMPLE_BYTES = 48
"""Octets of garbage shown."""


def strip_noise(line: str, pending: AtCommand | None, events: list[AtEvent]) -> str:
    """Cut off octets that are no text: at both ends, and before a code that garbage was glued to.

    Empty where nothing is left that could be a line. `pending`: the command whose answer may have some in it.
    """
    if (head := NON_TEXT.match(line)) is not None:
        append_noise(head[0], events)
        line = line[head.end() :]
    line = line.rstrip("\x00\x1a\x1b\xff")
    inner = None
    for inner in NON_TEXT.finditer(line):  # noqa: B007  (the last one is wanted)
        pass
    if inner is None:
        return line
    tail = line[inner.end() :].strip()
    if is_result_code(tail) or parse_final_result(tail, allow_numeric=False) is not None:
        events.append(make_noise(NoiseKind.NON_TEXT, line[: inner.end()]))
        return tail
    if is_result_code(line) or match_response(pending, line) is not None:
        return line  # a name in another character set, inside an answer
    events.append(make_noise(NoiseKind.NON_TEXT, line))
    return ""


def append_noise(octets: str, events: list[AtEvent]) -> None:
    """Tell of octets that are no text; Ctrl-Z and ESC are echoes of our own."""
    if octets.strip("\x1a\x1b"):
        events.append(make_noise(NoiseKind.NON_TEXT, octets))


def make_noise(kind: NoiseKind, octets: str) -> Noise:
    """A sample of what was dropped."""
    return Noise(kind, octets[:NOISE_SAMPLE_BYTES].encode("latin-1"))
