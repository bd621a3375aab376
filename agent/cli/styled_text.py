"""Text for a terminal of a certain width: labelled rows, wrapped, in colours or without."""

from __future__ import annotations

import os
import sys
from enum import StrEnum

from agent.common.printable import escape_unprintable
from pdu.record import Record

TYPE_CHECKING = False  # importing typing and pathlib takes longer than this module
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from typing import TextIO

_RESET = "\x1b[0m"


class Style(StrEnum):
    """The escape sequence that begins each style (ECMA-48, 8.3.117)."""

    PLAIN = ""
    BOLD = "\x1b[1m"
    FAINT = "\x1b[2m"
    GOOD = "\x1b[32m"
    WARNING = "\x1b[33m"
    WRONG = "\x1b[31m"


class Row(Record):
    """A label and its text, which may be long. A row without a label is a line of its own."""

    label: str
    text: str
    style: Style = Style.PLAIN


class Display(Record):
    """What the output can show."""

    columns: int | None = None
    """The width at which lines are wrapped; None: they are not."""
    rows: int | None = None
    """The height of a screen."""
    has_colour: bool = False
    has_unicode: bool = True

    @classmethod
    def of(cls, output: TextIO, environ: Mapping[str, str] = os.environ) -> Display:
        """Return what a file or terminal can show. NO_COLOR and TERM=dumb mean no colour."""
        has_unicode = (output.encoding or "").lower().replace("-", "") == "utf8"
        if not output.isatty():
            return cls(has_unicode=has_unicode)
        import shutil  # with its compressors it takes longer to import than the rest of `status`

        size = shutil.get_terminal_size()
        has_colour = not environ.get("NO_COLOR") and environ.get("TERM") != "dumb"
        return cls(size.columns, size.lines, has_colour, has_unicode)


def format_rows(rows: Iterable[Row], display: Display) -> Iterator[str]:
    """Yield the lines of the rows. The texts of all labelled rows begin in the same column."""
    rows = [row for row in rows if row.text or not row.label]
    indent = max((len(row.label) for row in rows), default=0) + 2
    for row in rows:
        start = indent if row.label else 0
        first, *others = _wrap(escape_unprintable(row.text), start, display) or [""]
        label = f"{row.label:<{start}}"
        yield paint(label, Style.FAINT, display) + paint(first, row.style, display)
        for line in others:
            yield " " * start + paint(line, row.style, display)


def paint(text: str, style: Style, display: Display) -> str:
    """Return the text in a style, if the display has colours."""
    return f"{style}{text}{_RESET}" if text and style and display.has_colour else text


def _wrap(text: str, indent: int, display: Display) -> list[str]:
    if display.columns is None or len(text) <= display.columns - indent:
        return [text]
    import textwrap  # seldom needed, and only here

    return textwrap.wrap(
        text, max(20, display.columns - indent), break_on_hyphens=False, drop_whitespace=True
    )


def standard_display() -> Display:
    """Return what standard output can show."""
    return Display.of(sys.stdout)


def print_lines(lines: Iterable[str]) -> None:
    """Write the lines on standard output. What its encoding lacks becomes an escape."""
    encoding = sys.stdout.encoding or "ascii"
    for line in lines:
        sys.stdout.write(f"{line.encode(encoding, 'backslashreplace').decode(encoding)}\n")
    sys.stdout.flush()
