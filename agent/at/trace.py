r"""The trace: every octet in both directions, with its time.

One line for each piece that was read or written: seconds, `<` for received and `>` for sent, and the octets
with CR and LF escaped (`hardware.recording` defines the form):

    1042.118351 < \r\n+CMTI: "ME",3\r\n
    1042.118902 > AT+CMGR=3\r

A PIN is never traced, neither in the command nor in the module's echo of it. An echo may come in pieces.
Therefore received octets are written by whole lines, each piece with its own time; the beginning of a line is
held until the line ends or something is sent.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Iterator
from typing import Protocol

from hardware.recording import Direction, escape_bytes, format_chunk, redact_pins

__all__ = ["Redactor", "Trace", "escape_bytes"]

MAX_HELD_BYTES = 8192
"""Longest beginning of a line that is held."""

_LINE_SEGMENT = re.compile(r"([^\r\n]*)([\r\n])")


class Redactor(Protocol):
    """Replaces confidential text by placeholders of the same length."""

    def redact_sent(self, text: str) -> str:
        """Return the redacted text of sent octets, decoded as Latin-1."""

    def redact_received(self, line: str) -> str:
        """Return the redacted text of a received line, without its end."""


class Trace:
    """Passes lines without line ends to `write`. They contain the texts of messages, unless redacted."""

    def __init__(
        self,
        write: Callable[[str], None],
        redactor: Redactor | None = None,
        *,
        relative_times: bool = False,
        tee: Trace | None = None,
    ) -> None:
        """`relative_times`: times count from the first octet. `tee`: a trace that gets all octets, too."""
        self._write = write
        self._redactor = redactor
        self._start_time_s = None if relative_times else 0.0
        self._tee = tee
        self._held_chunks: list[tuple[float, str]] = []
        """The held pieces of a line that has not ended, with their times."""
        self._partial_line = ""
        """The beginning of that line that was written already, before redaction."""

    def log_received(self, data: bytes, time_s: float) -> None:
        """Trace received octets. `time_s`: seconds on the loop's clock."""
        if self._tee is not None:
            self._tee.log_received(data, time_s)
        self._held_chunks.append((time_s, data.decode("latin-1")))
        self._write_whole_lines()

    def log_sent(self, data: bytes, time_s: float) -> None:
        """Trace sent octets."""
        if self._tee is not None:
            self._tee.log_sent(data, time_s)
        self._flush_held()
        text = redact_pins(data.decode("latin-1"))
        self._write_chunk(time_s, ">", text if self._redactor is None else self._redactor.redact_sent(text))

    def log_event(self, note: str, time_s: float) -> None:
        """Trace an event of the connection."""
        if self._tee is not None:
            self._tee.log_event(note, time_s)
        self._flush_held()
        self._write_chunk(time_s, "!", note)

    def close(self) -> None:
        """Write what is held, at the end of the trace."""
        if self._tee is not None:
            self._tee.close()
        self._flush_held()

    def _write_whole_lines(self) -> None:
        """Write the lines that have ended."""
        text = "".join(chunk for _, chunk in self._held_chunks)
        end = max(text.rfind("\r"), text.rfind("\n")) + 1
        if end:
            self._write_chunks(list(self._take_held(end)), self._redact_lines(text[:end]))
        if len(text) - end > MAX_HELD_BYTES:
            self._flush_held()

    def _flush_held(self) -> None:
        """Write the beginning of a line before its end."""
        if not self._held_chunks:
            return
        text = "".join(chunk for _, chunk in self._held_chunks)
        before = self._redact_partial_line(self._partial_line)
        self._partial_line += text
        chunks, self._held_chunks = self._held_chunks, []
        self._write_chunks(chunks, self._redact_partial_line(self._partial_line)[len(before) :])

    def _take_held(self, end: int) -> Iterator[tuple[float, str]]:
        """Yield the pieces of the first `end` octets; the rest stays held."""
        held, self._held_chunks = self._held_chunks, []
        for time_s, chunk in held:
            if chunk[:end]:
                yield time_s, chunk[:end]
            if chunk[end:]:
                self._held_chunks.append((time_s, chunk[end:]))
            end = max(0, end - len(chunk))

    def _redact_lines(self, text: str) -> str:
        """Return the redacted text of whole lines."""
        redacted = ""
        for line, line_end in _LINE_SEGMENT.findall(text):
            written = self._redact_partial_line(self._partial_line)
            whole = redact_pins(self._partial_line + line)
            self._partial_line = ""
            if self._redactor is not None:
                whole = self._redactor.redact_received(whole)
            redacted += whole[len(written) :] + line_end
        return redacted

    def _redact_partial_line(self, partial_line: str) -> str:
        """Return the redacted beginning of a line. The redactor gets the whole line again later."""
        return (
            redact_pins(partial_line)
            if self._redactor is None
            else copy.copy(self._redactor).redact_received(redact_pins(partial_line))
        )

    def _write_chunks(self, chunks: list[tuple[float, str]], redacted: str) -> None:
        """Write pieces with their times. If redaction changed the length, they are written as one piece."""
        if sum(len(chunk) for _, chunk in chunks) != len(redacted):
            chunks = [(chunks[0][0], redacted)]
        for time_s, chunk in chunks:
            self._write_chunk(time_s, "<", redacted[: len(chunk)])
            redacted = redacted[len(chunk) :]

    def _write_chunk(self, time_s: float, direction: Direction, text: str) -> None:
        if self._start_time_s is None:
            self._start_time_s = time_s
        escaped = text if direction == "!" else escape_bytes(text.encode("latin-1"))
        self._write(format_chunk(time_s - self._start_time_s, direction, escaped))
