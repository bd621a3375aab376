"""The values of an information line, and the ranges of a test answer (V.250 5.4.2, 5.7.3).

Vendors are free with blanks, commas and quotes; what cannot be read becomes an empty value, never an
exception: one strange line must not end a conversation.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_VALUE = re.compile(r'\s*(?:"([^"]*)"?[^,]*|([^,]*))(,|$)')
_PARENTHESISED = re.compile(r"\(([^)]*)\)")
_RANGE = re.compile(r"\s*(\d+)\s*-\s*(\d+)\s*")

MAX_RANGE_VALUES = 256
"""Longest range that is written out; a test answer with a wider one is cut there."""


@dataclass(frozen=True, slots=True)
class ParameterValue:
    """One value between commas."""

    text: str
    quoted: bool = False

    @property
    def number(self) -> int | None:
        """As a decimal number, None for anything else."""
        return int(self.text) if self.text.isascii() and self.text.isdigit() else None


EMPTY_VALUE = ParameterValue("")


class ParameterValues(tuple[ParameterValue, ...]):
    """Values in their order; one that is not there reads as empty."""

    __slots__ = ()

    def get(self, position: int) -> ParameterValue:
        """The value at a position from 0, counted from the end where negative."""
        try:
            return self[position]
        except IndexError:
            return EMPTY_VALUE


def parse_values(line: str) -> ParameterValues:
    """The values of `+NAME: 1,"x",,3`, or of a line without a name."""
    _, colon, rest = line.partition(":") if line[:1] in "+^*#%$!&" else ("", "", line)
    text = rest if colon else line if line[:1] not in "+^*#%$!&" else ""
    if not text.strip():
        return ParameterValues()
    found = []
    for match in _VALUE.finditer(text):
        quoted = match[1] is not None
        found.append(ParameterValue(match[1] if quoted else match[2].strip(), quoted))
        if not match[3]:
            break
    return ParameterValues(found)


def parse_ranges(line: str) -> tuple[frozenset[str], ...]:
    """What a test answer offers, one set a value: `+CNMI: (0-2),(0,1)` or `+CPMS: ("SM","ME"),("SM")`.

    Without parentheses (seen in the field) each value stands for itself.
    """
    text = line.partition(":")[2]
    groups = _PARENTHESISED.findall(text) or text.split(",")
    return tuple(frozenset(_expand_group(group)) for group in groups)


def _expand_group(group: str) -> list[str]:
    members: list[str] = []
    for item in group.split(","):
        span = _RANGE.fullmatch(item)
        if span is None:
            members.append(item.strip().strip('"'))
        else:
            first, last = int(span[1]), int(span[2])
            members += map(str, range(first, min(last, first + MAX_RANGE_VALUES) + 1))
    return members
