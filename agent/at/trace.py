r"""The two-way trace: every octet between us and the module, with its time.

One line for each piece that was read or written: seconds, `<` for what the module says and `>` for what it
is told, and the octets with CR and LF visible (`hardware.recording` has the form):

    1042.118351 < \r\n+CMTI: "ME",3\r\n
    1042.118902 > AT+CMGR=3\r

A PIN is in no trace: neither where it is told to the module nor in the module's echo of it. An echo may come
in pieces, so what the module says is told by whole lines, each piece with its own time; the beginning of a
line waits until the line ends or we speak.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Iterator
from typing import Protocol

from hardware.recording import Direction, escape_bytes, format_chunk, redact_pins

__all__ = ["Redactor", "Trace", "escape_bytes"]

MAX_HELD_BYTES = 8192
"""Octets of a line that may wait for its end."""

_LINE_SEGMENT = re.compile(r"([^\r\n]*)([\r\n])")


class Redactor(Protocol):
    """Puts stand-ins of the same length in the place of what is nobody's business."""

    def redact_sent(self, text: str) -> str:
        """What is shown of what we write; octets as characters of Latin-1."""

    def redact_received(self, line: str) -> str:
        """What is shown of a line of the module, without its end."""


class Trace:
    """Writes lines without their end to `write`. What messages say is among them, unless masked."""

    def __init__(
        self,
        write: Callable[[str], None],
        redactor: Redactor | None = None,
        *,
        relative_times: bool = False,
        tee: Trace | None = None,
    ) -> None:
        """`from_zero`: times count from the first octet. `also` is told everything too."""
        self._write = write
        self._redactor = redactor
        self._start_time_s = None if relative_times else 0.0
        self._tee = tee
        self._held_chunks: list[tuple[float, str]] = []
        """Pieces of a line that has not ended."""
        self._partial_line = ""
        """The beginning of that line that was told already, as it came."""

    def log_received(self, data: bytes, time_s: float) -> None:
        """Octets from the module; `at` in seconds on the loop's clock."""
        if self._tee is not None:
            self._tee.log_received(data, time_s)
        self._held_chunks.append((time_s, data.decode("latin-1")))
        self._write_whole_lines()

    def log_sent(self, data: bytes, time_s: float) -> None:
        """Octets to the module."""
        if self._tee is not None:
            self._tee.log_sent(data, time_s)
        self._flush_held()
        text = redact_pins(data.decode("latin-1"))
        self._write_chunk(time_s, ">", text if self._redactor is None else self._redactor.redact_sent(text))

    def log_event(self, note: str, time_s: float) -> None:
        """Something happened to the connection."""
        if self._tee is not None:
            self._tee.log_event(note, time_s)
        self._flush_held()
        self._write_chunk(time_s, "!", note)

    def close(self) -> None:
        """Nothing more will come: tell what waits."""
        if self._tee is not None:
            self._tee.close()
        self._flush_held()

    def _write_whole_lines(self) -> None:
        """Tell the lines that have ended."""
        text = "".join(piece for _, piece in self._held_chunks)
        end = max(text.rfind("\r"), text.rfind("\n")) + 1
        if end:
            pieces = list(self._take_held(end))
            self._write_chunks(pieces, self._redact_lines(text[:end]))
        if len(text) - end > MAX_HELD_BYTES:
            self._flush_held()

    def _flush_held(self) -> None:
        """Tell the beginning of a line before its end."""
        if not self._held_chunks:
            return
        text = "".join(piece for _, piece in self._held_chunks)
        before = self._redact_partial_line(self._partial_line)
        self._partial_line += text
        pieces, self._held_chunks = self._held_chunks, []
        self._write_chunks(pieces, self._redact_partial_line(self._partial_line)[len(before) :])

    def _take_held(self, end: int) -> Iterator[tuple[float, str]]:
        """The pieces of the first `end` octets; what is left waits."""
        held, self._held_chunks = self._held_chunks, []
        for at, piece in held:
            if piece[:end]:
                yield at, piece[:end]
            if piece[end:]:
                self._held_chunks.append((at, piece[end:]))
            end = max(0, end - len(piece))

    def _redact_lines(self, text: str) -> str:
        """What is shown of whole lines."""
        shown = ""
        for line, ending in _LINE_SEGMENT.findall(text):
            told = self._redact_partial_line(self._partial_line)
            whole = redact_pins(self._partial_line + line)
            self._partial_line = ""
            shown += (whole if self._redactor is None else self._redactor.redact_received(whole))[
                len(told) :
            ] + ending
        return shown

    def _redact_partial_line(self, partial_line: str) -> str:
        """What is shown of the beginning of a line; the mask will meet it again with its end."""
        return (
            redact_pins(partial_line)
            if self._redactor is None
            else copy.copy(self._redactor).redact_received(redact_pins(partial_line))
        )

    def _write_chunks(self, chunks: list[tuple[float, str]], redacted: str) -> None:
        """Pieces with their times; where a PIN was taken out their borders are gone."""
        if sum(len(piece) for _, piece in chunks) != len(redacted):
            chunks = [(chunks[0][0], redacted)]
        for at, piece in chunks:
            own, redacted = redacted[: len(piece)], redacted[len(piece) :]
            self._write_chunk(at, "<", own)

    def _write_chunk(self, time_s: float, direction: Direction, text: str) -> None:
        if self._start_time_s is None:
            self._start_time_s = time_s
        shown = text if direction == "!" else escape_bytes(text.encode("latin-1"))
        self._write(format_chunk(time_s - self._start_time_s, direction, shown))
