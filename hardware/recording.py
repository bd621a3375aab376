r"""Recordings of a conversation with a module: a text file that people can read, send and edit.

    # modem-agent recording 1, 2026-11-22T01:02:03+00:00, agent 0.1.0
    0.000000 > AT+CMGR=3\r
    0.004112 < \r\n+CMGR: 0,,17\r\n
    12.500000 ! session ended

The first line says what it is and in which version. Then one line for each run of octets: seconds since the
beginning, `<` for what the module says and `>` for what it is told, and the octets. Printable ASCII stands
for itself; `\r`, `\n`, `\\` and `\xNN` (a space at the end too) for the rest. `!` tells what happened to the
connection. Other lines that begin with `#` and empty lines say nothing. A further first line in the middle
means that the recording was taken up again: its times begin anew.

A PIN never gets into a recording: `hidden` makes `****` of it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

Direction = Literal["<", ">", "!"]

HEADER_PREFIX = "# modem-agent recording"
FORMAT_VERSION = 1
MASKED_TAG = "masked"
"""Word of the first line: numbers and contents are stand-ins."""
RESUMED_NOTE = "recording taken up again"
REDACTED = "****"
"""Stands for a PIN, whatever its length."""

_UNPRINTABLE = re.compile(r"[^\x20-\x5b\x5d-\x7e]| (?=$)")
_SHORT_ESCAPES = {"\r": r"\r", "\n": r"\n", "\\": r"\\"}
_ESCAPE_SEQUENCE = re.compile(r"\\(?:x([0-9a-fA-F]{2})|(.?))", re.DOTALL)
_CHUNK_LINE = re.compile(r"([0-9]{1,12}(?:\.[0-9]{1,9})?) ([<>!]) ?(.*)")
_HEADER_LINE = re.compile(rf"{HEADER_PREFIX} ([0-9]{{1,4}})((?:,.*)?)")

_PIN_COMMAND = re.compile(
    r"(?P<name>[+^*#$%]\w*(?:PIN|PUK)\w*|\+CLCK|\+CPWD)\s*=\s*(?!\?)(?P<values>[^;\r\n\x1a]*)", re.IGNORECASE
)
_FIRST_SECRET_INDEX = {"+CLCK": 2, "+CPWD": 1}
"""Which value is the first secret one: 27.007 7.4 and 7.5; in +CPIN (8.3) and its kin each is."""
_DIALLED_PIN = re.compile(r"\*\*0[45]2?\*[0-9*]*")
"""A PIN changed or unblocked as if it were dialled (22.030 6.6)."""
_SIM_APDU = re.compile(
    r"(\+CSIM\s*=\s*[0-9]+\s*,\s*\"?[0-9A-F]{2}2[0468C][0-9A-F]{6})([0-9A-F]+)", re.IGNORECASE
)
"""VERIFY and its kin, spoken to the card itself (ETSI TS 102 221 11.1.9 to 11.1.13)."""


class RecordingError(ValueError):
    """Not a recording; the text is one sentence with the number of the line."""


@dataclass(frozen=True, slots=True)
class RecordedChunk:
    """One line of a recording."""

    line_number: int
    """Its number in the file, from 1."""
    time_s: float
    """Seconds since the beginning."""
    direction: Direction
    octets: bytes = b""
    note: str = ""
    """What happened, for `!`."""


@dataclass(frozen=True, slots=True)
class Recording:
    """What was said, in order."""

    details: str
    """What the first line tells after the version."""
    chunks: tuple[RecordedChunk, ...]

    @property
    def is_masked(self) -> bool:
        """Whether numbers and contents are stand-ins."""
        return MASKED_TAG in self.details.split(", ")


def format_header(*details: str) -> str:
    """The line that a recording begins with."""
    return ", ".join((f"{HEADER_PREFIX} {FORMAT_VERSION}", *(word for word in details if word)))


def format_chunk(time_s: float, direction: Direction, text: str) -> str:
    """A line of a recording; `text` is written as it stands."""
    return f"{time_s:.6f} {direction} {text}"


def escape_bytes(data: bytes) -> str:
    """Octets as one line of ASCII."""
    return _UNPRINTABLE.sub(
        lambda octet: _SHORT_ESCAPES.get(octet[0], f"\\x{ord(octet[0]):02x}"), data.decode("latin-1")
    )


def unescape_bytes(text: str) -> bytes:
    """The octets that `visible` showed so. Raises ValueError."""

    def plain(escaped: re.Match[str]) -> str:
        code, sign = escaped.groups()
        if code is not None:
            return chr(int(code, 16))
        if sign not in {"r", "n", "\\"}:
            raise ValueError(rf"\{sign} stands for nothing; known are \r, \n, \\ and \xNN")
        return {"r": "\r", "n": "\n"}.get(sign, sign)

    if not text.isascii():
        raise ValueError(r"octets beyond ASCII are written \xNN")
    return _ESCAPE_SEQUENCE.sub(plain, text).encode("latin-1")


def parse_recording(text: str) -> Recording:
    """Read a recording. Raises RecordingError."""
    lines = text.splitlines()
    first = _HEADER_LINE.fullmatch(lines[0].strip()) if lines else None
    if first is None:
        raise RecordingError(f"line 1: a recording begins with {HEADER_PREFIX} {FORMAT_VERSION}")
    runs = []
    for number, line in enumerate(lines, 1):
        if again := _HEADER_LINE.fullmatch(line.strip()):
            if int(again[1]) != FORMAT_VERSION:
                raise RecordingError(f"line {number}: version {again[1]} is not known, {FORMAT_VERSION} is")
            if number > 1:
                runs.append(RecordedChunk(number, 0.0, "!", note=RESUMED_NOTE))
        elif line.strip() and not line.startswith("#"):
            runs.append(_parse_chunk(number, line))
    return Recording(first[2].removeprefix(",").strip(), tuple(runs))


def _parse_chunk(number: int, line: str) -> RecordedChunk:
    found = _CHUNK_LINE.fullmatch(line)
    if found is None:
        raise RecordingError(
            f"line {number}: it is not SECONDS < OCTETS, SECONDS > OCTETS or SECONDS ! WORDS"
        )
    at = float(found[1])
    if found[2] == "!":
        return RecordedChunk(number, at, "!", note=found[3].strip())
    try:
        return RecordedChunk(number, at, "<" if found[2] == "<" else ">", unescape_bytes(found[3]))
    except ValueError as error:
        raise RecordingError(f"line {number}: {error}") from error


def redact_pins(text: str) -> str:
    """The same text with `****` for each PIN and PUK that is told to a module in it."""
    if "=" in text:
        text = _PIN_COMMAND.sub(_redact_values, text)
        text = _SIM_APDU.sub(lambda found: found[1] + REDACTED, text)
    return _DIALLED_PIN.sub("**0" + REDACTED, text) if "**0" in text else text


def _redact_values(found: re.Match[str]) -> str:
    values = found["values"].split(",")
    keep = _FIRST_SECRET_INDEX.get(found["name"].upper(), 0)
    return f"{found['name']}={','.join([*values[:keep], *map(_redact_value, values[keep:])])}"


def _redact_value(value: str) -> str:
    inner = value.strip()
    if not inner.strip('"'):
        return inner
    opening = '"' if inner[0] == '"' else ""
    closing = '"' if inner[-1] == '"' else ""
    return opening + REDACTED + closing
