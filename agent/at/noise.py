"""Cut non-text bytes off received lines, and report them as noise."""

from __future__ import annotations

from agent.at.command import AtCommand
from agent.at.events import AtEvent, Noise, NoiseKind
from agent.at.line_parser import NON_TEXT, is_result_code, parse_final_result
from agent.at.payload import match_response

NOISE_SAMPLE_BYTES = 48
"""Maximum length of the reported sample, in octets."""


def strip_noise(line: str, pending: AtCommand | None, events: list[AtEvent]) -> str:
    """Cut non-text bytes off both ends of a line, and off the start of a result code that they are joined to.

    Returns an empty string if no valid line is left. `pending`: the command whose answer may contain such
    bytes.
    """
    if (head := NON_TEXT.match(line)) is not None:
        append_noise(head[0], events)
        line = line[head.end() :]
    line = line.rstrip("\x00\x1a\x1b\xff")
    runs = list(NON_TEXT.finditer(line))
    if not runs:
        return line
    last = runs[-1]
    tail = line[last.end() :].strip()
    if is_result_code(tail) or parse_final_result(tail, allow_numeric=False) is not None:
        events.append(make_noise(NoiseKind.NON_TEXT, line[: last.end()]))
        return tail
    if is_result_code(line) or match_response(pending, line) is not None:
        return line  # a name in another character set, inside an answer
    events.append(make_noise(NoiseKind.NON_TEXT, line))
    return ""


def append_noise(octets: str, events: list[AtEvent]) -> None:
    """Report non-text bytes, except Ctrl-Z and ESC: these are echoes of what was written."""
    if octets.strip("\x1a\x1b"):
        events.append(make_noise(NoiseKind.NON_TEXT, octets))


def make_noise(kind: NoiseKind, octets: str) -> Noise:
    """Return an event with a sample of the bytes that were dropped."""
    return Noise(kind, octets[:NOISE_SAMPLE_BYTES].encode("latin-1"))
