r"""Reads and writes recordings of a conversation with a module: text files that can be read and edited.

    # modem-agent recording 1, 2026-11-22T01:02:03+00:00, agent 0.1.0
    0.000000 > AT+CMGR=3\r
    0.004112 < \r\n+CMGR: 0,,17\r\n
    12.500000 ! session ended

The header line has the version of the format. Then there is one line for each chunk of octets: seconds since
the start, `<` for octets from the module or `>` for octets to it, and the octets. Printable ASCII stands for
itself; `\r`, `\n`, `\\` and `\xNN` stand for the rest (also for a space at the end). `!` notes an event of
the connection. Other lines that begin with `#`, and empty lines, are skipped. Another header line in the
middle means that the recording was resumed: its times start at zero again.

A recording never contains a PIN: `redact_pins` replaces it by `****`.
"""

from __future__ import annotations

import re
from typing import Literal

from pdu.record import Record

Direction = Literal["<", ">", "!"]

HEADER_PREFIX = "# modem-agent recording"
FORMAT_VERSION = 1
MASKED_TAG = "masked"
"""Word in the header line: numbers and contents are placeholders."""
RESUMED_NOTE = "recording resumed"
"""Event that stands for another header line."""
REDACTED = "****"
"""Replaces a PIN of any length."""

_UNPRINTABLE = re.compile(r"[^\x20-\x5b\x5d-\x7e]| (?=$)")
_SHORT_ESCAPES = {"\r": r"\r", "\n": r"\n", "\\": r"\\"}
_ESCAPE_SEQUENCE = re.compile(r"\\(?:x([0-9a-fA-F]{2})|(.?))", re.DOTALL)
_CHUNK_LINE = re.compile(r"([0-9]{1,12}(?:\.[0-9]{1,9})?) ([<>!]) ?(.*)")
_HEADER_LINE = re.compile(rf"{HEADER_PREFIX} ([0-9]{{1,4}})((?:,.*)?)")

_PIN_COMMAND = re.compile(
    r"(?P<name>[+^*#$%]\w*(?:PIN|PUK)\w*|\+CLCK|\+CPWD)\s*=\s*(?!\?)(?P<values>[^;\r\n\x1a]*)", re.IGNORECASE
)
_FIRST_SECRET_INDEX = {"+CLCK": 2, "+CPWD": 1}
"""Index of the first secret value: 27.007 7.4 and 7.5. In +CPIN (8.3) and similar commands it is 0."""
_DIALLED_PIN = re.compile(r"\*\*0[45]2?\*[0-9*]*")
"""A PIN changed or unblocked by a dial string (22.030 6.6)."""
_SIM_APDU = re.compile(
    r"(\+CSIM\s*=\s*[0-9]+\s*,\s*\"?[0-9A-F]{2}2[0468C][0-9A-F]{6})([0-9A-F]+)", re.IGNORECASE
)
"""VERIFY and similar commands to the SIM itself (ETSI TS 102 221 11.1.9 to 11.1.13)."""


class RecordingError(ValueError):
    """The text is not a recording; the error is one sentence with the number of the line."""


class RecordedChunk(Record):
    """One line of a recording."""

    line_number: int
    """Number in the file, from 1."""
    time_s: float
    """Seconds since the start, or since the last resumption."""
    direction: Direction
    octets: bytes = b""
    note: str = ""
    """The event, for `!`."""


class Recording(Record):
    """The chunks of a conversation, in order."""

    details: str
    """The rest of the header line after the version."""
    chunks: tuple[RecordedChunk, ...]

    @property
    def is_masked(self) -> bool:
        """True if numbers and contents are placeholders."""
        return MASKED_TAG in self.details.split(", ")


def format_header(*details: str) -> str:
    """Return the header line of a recording; empty details are left out."""
    return ", ".join((f"{HEADER_PREFIX} {FORMAT_VERSION}", *(word for word in details if word)))


def format_chunk(time_s: float, direction: Direction, text: str) -> str:
    """Return a line of a recording. `text` is not escaped."""
    return f"{time_s:.6f} {direction} {text}"


def escape_bytes(data: bytes) -> str:
    """Return the octets as one line of printable ASCII."""
    return _UNPRINTABLE.sub(
        lambda octet: _SHORT_ESCAPES.get(octet[0], f"\\x{ord(octet[0]):02x}"), data.decode("latin-1")
    )


def unescape_bytes(text: str) -> bytes:
    """Return the octets that `escape_bytes` has written as this text. Raises ValueError."""

    def decode_escape(found: re.Match[str]) -> str:
        code, letter = found.groups()
        if code is not None:
            return chr(int(code, 16))
        if letter not in {"r", "n", "\\"}:
            raise ValueError(rf"\{letter} is not a valid escape; use \r, \n, \\ or \xNN")
        return {"r": "\r", "n": "\n"}.get(letter, letter)

    if not text.isascii():
        raise ValueError(r"octets beyond ASCII must be written as \xNN")
    return _ESCAPE_SEQUENCE.sub(decode_escape, text).encode("latin-1")


def parse_recording(text: str) -> Recording:
    """Read a recording. Raises RecordingError."""
    lines = text.splitlines()
    first_header = _HEADER_LINE.fullmatch(lines[0].strip()) if lines else None
    if first_header is None:
        raise RecordingError(f"line 1: a recording begins with {HEADER_PREFIX} {FORMAT_VERSION}")
    chunks = []
    for number, line in enumerate(lines, 1):
        if header := _HEADER_LINE.fullmatch(line.strip()):
            if int(header[1]) != FORMAT_VERSION:
                raise RecordingError(
                    f"line {number}: version {header[1]} is not supported, only {FORMAT_VERSION}"
                )
            if number > 1:
                chunks.append(RecordedChunk(number, 0.0, "!", note=RESUMED_NOTE))
        elif line.strip() and not line.startswith("#"):
            chunks.append(_parse_chunk(number, line))
    return Recording(first_header[2].removeprefix(",").strip(), tuple(chunks))


def _parse_chunk(number: int, line: str) -> RecordedChunk:
    found = _CHUNK_LINE.fullmatch(line)
    if found is None:
        raise RecordingError(
            f"line {number}: not of the form SECONDS < OCTETS, SECONDS > OCTETS or SECONDS ! WORDS"
        )
    time_s = float(found[1])
    if found[2] == "!":
        return RecordedChunk(number, time_s, "!", note=found[3].strip())
    try:
        return RecordedChunk(number, time_s, "<" if found[2] == "<" else ">", unescape_bytes(found[3]))
    except ValueError as error:
        raise RecordingError(f"line {number}: {error}") from error


def redact_pins(text: str) -> str:
    """Return the text with `****` in place of each PIN and PUK in a command to a module."""
    if "=" in text:
        text = _PIN_COMMAND.sub(_redact_values, text)
        text = _SIM_APDU.sub(lambda found: found[1] + REDACTED, text)
    return _DIALLED_PIN.sub("**0" + REDACTED, text) if "**0" in text else text


def _redact_values(found: re.Match[str]) -> str:
    values = found["values"].split(",")
    first_secret = _FIRST_SECRET_INDEX.get(found["name"].upper(), 0)
    return f"{found['name']}={','.join([*values[:first_secret], *map(_redact_value, values[first_secret:])])}"


def _redact_value(value: str) -> str:
    inner = value.strip()
    if not inner.strip('"'):
        return inner
    opening = '"' if inner[0] == '"' else ""
    closing = '"' if inner[-1] == '"' else ""
    return opening + REDACTED + closing
