"""Parse the values of an information line, and the ranges of a test answer (V.250 5.4.2, 5.7.3).

Vendors take liberties with blanks, commas, quotes and leading zeros. What cannot be parsed becomes an empty
value, never an exception: one malformed line must not end a session.
"""

from __future__ import annotations

import re

from pdu.record import Record

_VALUE = re.compile(r'\s*(?:"([^"]*)"?[^,]*|([^,]*))(,|$)')
_PARENTHESISED = re.compile(r"\(([^)]*)\)")
_RANGE = re.compile(r'\s*"?\s*(\d+)\s*"?\s*-\s*"?\s*(\d+)\s*"?\s*')

MAX_RANGE_VALUES = 256
"""A wider range in a test answer is cut to so many values."""


class ParameterValue(Record):
    """One value between commas."""

    text: str
    quoted: bool = False

    @property
    def number(self) -> int | None:
        """The value as a decimal number, also with leading zeros or in quotes; None if it is not one."""
        digits = self.text.strip()
        return int(digits) if digits.isascii() and digits.isdigit() else None

    @property
    def canonical(self) -> str:
        """The value as the agent writes it: a number without leading zeros, or a name in capitals."""
        return self.text.strip().upper() if self.number is None else str(self.number)


EMPTY_VALUE = ParameterValue("")


class ParameterValues(tuple[ParameterValue, ...]):
    """Values in their order. A value that is missing reads as empty."""

    __slots__ = ()

    def get(self, position: int) -> ParameterValue:
        """Return the value at a position from 0, or from the end if negative."""
        try:
            return self[position]
        except IndexError:
            return EMPTY_VALUE


def parse_values(line: str) -> ParameterValues:
    """Return the values of `+NAME: 1,"x",,3`, or of a line without a name."""
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
    """Return the values that a test answer allows, one set for each parameter.

    Examples: `+CNMI: (0-2),(0,1)`, `+CPMS: ("SM","ME"),("SM")`. Some modules omit the parentheses around a
    single value. The values are canonical, see `ParameterValue`.
    """
    text = line.partition(":")[2]
    groups = _PARENTHESISED.findall(text) or text.split(",")
    return tuple(frozenset(_expand_group(group)) for group in groups)


def _expand_group(group: str) -> list[str]:
    members: list[str] = []
    for item in group.split(","):
        span = _RANGE.fullmatch(item)
        if span is None:
            members.append(ParameterValue(item.strip().strip('"')).canonical)
        else:
            first, last = int(span[1]), int(span[2])
            members += map(str, range(first, min(last, first + MAX_RANGE_VALUES) + 1))
    return members
