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

from hardware.recording import Direction, hidden, run_line, visible

__all__ = ["Mask", "Trace", "visible"]

LONGEST = 8192
"""Octets of a line that may wait for its end."""

_SEGMENT = re.compile(r"([^\r\n]*)([\r\n])")


class Mask(Protocol):
    """Puts stand-ins of the same length in the place of what is nobody's business."""

    def sent(self, text: str) -> str:
        """What is shown of what we write; octets as characters of Latin-1."""

    def heard(self, line: str) -> str:
        """What is shown of a line of the module, without its end."""


class Trace:
    """Writes lines without their end to `write`. What messages say is among them, unless masked."""

    def __init__(
        self,
        write: Callable[[str], None],
        mask: Mask | None = None,
        *,
        from_zero: bool = False,
        also: Trace | None = None,
    ) -> None:
        """`from_zero`: times count from the first octet. `also` is told everything too."""
        self._write = write
        self._mask = mask
        self._beginning = None if from_zero else 0.0
        self._also = also
        self._held: list[tuple[float, str]] = []
        """Pieces of a line that has not ended."""
        self._begun = ""
        """The beginning of that line that was told already, as it came."""

    def received(self, data: bytes, at: float) -> None:
        """Octets from the module; `at` in seconds on the loop's clock."""
        if self._also is not None:
            self._also.received(data, at)
        self._held.append((at, data.decode("latin-1")))
        self._whole_lines()

    def sent(self, data: bytes, at: float) -> None:
        """Octets to the module."""
        if self._also is not None:
            self._also.sent(data, at)
        self._flush()
        text = hidden(data.decode("latin-1"))
        self._tell(at, ">", text if self._mask is None else self._mask.sent(text))

    def happened(self, what: str, at: float) -> None:
        """Something happened to the connection."""
        if self._also is not None:
            self._also.happened(what, at)
        self._flush()
        self._tell(at, "!", what)

    def close(self) -> None:
        """Nothing more will come: tell what waits."""
        if self._also is not None:
            self._also.close()
        self._flush()

    def _whole_lines(self) -> None:
        """Tell the lines that have ended."""
        text = "".join(piece for _, piece in self._held)
        end = max(text.rfind("\r"), text.rfind("\n")) + 1
        if end:
            pieces = list(self._take(end))
            self._told(pieces, self._shown(text[:end]))
        if len(text) - end > LONGEST:
            self._flush()

    def _flush(self) -> None:
        """Tell the beginning of a line before its end."""
        if not self._held:
            return
        text = "".join(piece for _, piece in self._held)
        before = self._glance(self._begun)
        self._begun += text
        pieces, self._held = self._held, []
        self._told(pieces, self._glance(self._begun)[len(before) :])

    def _take(self, end: int) -> Iterator[tuple[float, str]]:
        """The pieces of the first `end` octets; what is left waits."""
        held, self._held = self._held, []
        for at, piece in held:
            if piece[:end]:
                yield at, piece[:end]
            if piece[end:]:
                self._held.append((at, piece[end:]))
            end = max(0, end - len(piece))

    def _shown(self, text: str) -> str:
        """What is shown of whole lines."""
        shown = ""
        for line, ending in _SEGMENT.findall(text):
            told = self._glance(self._begun)
            whole = hidden(self._begun + line)
            self._begun = ""
            shown += (whole if self._mask is None else self._mask.heard(whole))[len(told) :] + ending
        return shown

    def _glance(self, begun: str) -> str:
        """What is shown of the beginning of a line; the mask will meet it again with its end."""
        return hidden(begun) if self._mask is None else copy.copy(self._mask).heard(hidden(begun))

    def _told(self, pieces: list[tuple[float, str]], shown: str) -> None:
        """Pieces with their times; where a PIN was taken out their borders are gone."""
        if sum(len(piece) for _, piece in pieces) != len(shown):
            pieces = [(pieces[0][0], shown)]
        for at, piece in pieces:
            own, shown = shown[: len(piece)], shown[len(piece) :]
            self._tell(at, "<", own)

    def _tell(self, at: float, direction: Direction, text: str) -> None:
        if self._beginning is None:
            self._beginning = at
        shown = text if direction == "!" else visible(text.encode("latin-1"))
        self._write(run_line(at - self._beginning, direction, shown))
