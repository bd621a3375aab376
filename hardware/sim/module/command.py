"""Cutting a command line into commands and values (V.250 5.3, 5.4).

A line is cut only as it is executed: what stands before a malformed command has been carried out (V.250 5.6).
Text travels as str of one character per octet (latin-1), because strings may hold octets of any alphabet.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum

from hardware.sim.module.refusal import error


class Form(Enum):
    """The four forms of an extended command, V.250 5.4.3 and 5.4.4."""

    EXECUTE = ""
    SET = "="
    READ = "?"
    TEST = "=?"


@dataclass(frozen=True, slots=True)
class Quoted:
    """A string value, without its quotes."""

    text: str


Value = str | Quoted | None
"""As written: an unquoted word, a string, or left out."""


@dataclass(frozen=True, slots=True)
class Values:
    """The values of one command; every accessor raises the ERROR of V.250 5.4.4.1."""

    items: tuple[Value, ...] = ()

    def at_most(self, count: int) -> None:
        """Too many values are an error."""
        if len(self.items) > count:
            raise error()

    def given(self, place: int) -> bool:
        """Whether there is a value at that place, counted from 0."""
        return place < len(self.items) and self.items[place] is not None

    def number(self, place: int, allowed: range | tuple[int, ...], default: int | None = None) -> int:
        """A decimal number out of `allowed`; without a default it is mandatory."""
        value = self.items[place] if place < len(self.items) else None
        if value is None:
            if default is None:
                raise error()
            return default
        if not isinstance(value, str) or not re.fullmatch(r"[0-9]{1,9}", value) or int(value) not in allowed:
            raise error()
        return int(value)

    def string(self, place: int, default: str | None = None) -> str:
        """The text between quotes; without a default it is mandatory."""
        value = self.items[place] if place < len(self.items) else None
        if value is None:
            if default is None:
                raise error()
            return default
        if not isinstance(value, Quoted):
            raise error()
        return value.text

    def loose(self, place: int) -> str:
        """A string that common modules take without quotes as well (+CPIN=1234 on SIMCom and Quectel)."""
        value = self.items[place] if place < len(self.items) else None
        if value is None:
            raise error()
        return value.text if isinstance(value, Quoted) else value


@dataclass(frozen=True, slots=True)
class Asked:
    """One command. Basic ones have the name `E`, `&F` or `S` (all S-parameters); extended ones `+CMGS`."""

    name: str
    form: Form = Form.EXECUTE
    values: Values = Values()
    text: str = ""
    """As it was written, in upper case outside strings."""


_BASIC = re.compile(r"(&?[A-Z])([0-9]*)")
_REGISTER = re.compile(r"S([0-9]+)(=([0-9]*)|\?)")
_EXTENDED = re.compile(r"([+^%$#*!@][A-Z][A-Z0-9!%\-./:_]*)(=\?|\?|=|)")
_STRING = re.compile(r'"([^"]*)"')
_ESCAPED = re.compile(r"\\([0-9A-Fa-f]{2})")


def normalised(body: str) -> str:
    """Outside strings: capital letters, no blanks, no control characters (V.250 5.1, 5.2.1, 5.4.1)."""
    pieces = re.split(r'("[^"]*"?)', body)
    return "".join(
        piece if piece.startswith('"') else re.sub(r"[\x00-\x20\x7f]", "", piece).upper() for piece in pieces
    )


def next_command(body: str, start: int) -> tuple[Asked, int]:
    """The command that begins at `start` of a normalised body, and where the next one begins."""
    if register := _REGISTER.match(body, start):
        number, assignment, value = register.groups()
        values = Values((number, assignment[0], value or None))
        return Asked("S", Form.EXECUTE, values, register[0]), _past(body, register.end())
    if basic := _BASIC.match(body, start):
        name, digits = basic.groups()
        return Asked(name, Form.EXECUTE, Values((digits or None,)), basic[0]), _past(body, basic.end())
    if extended := _EXTENDED.match(body, start):
        form = Form(extended[2])
        values, end = _values(body, extended.end()) if form is Form.SET else (Values(), extended.end())
        if end < len(body) and body[end] != ";":
            raise error()
        return Asked(extended[1], form, values, body[start:end]), _past(body, end)
    raise error()


def _past(body: str, end: int) -> int:
    """A separator behind the command is skipped; after a basic one it may be missing (V.250 5.4.5)."""
    return end + 1 if body.startswith(";", end) else end


def _values(body: str, start: int) -> tuple[Values, int]:
    """Values up to the end of the command; trailing commas may be left out (V.250 5.4.2.3)."""
    items: list[Value] = []
    while True:
        value: Value
        if string := _STRING.match(body, start):
            value, start = Quoted(_ESCAPED.sub(lambda pair: chr(int(pair[1], 16)), string[1])), string.end()
        else:
            end = min(
                (at for at in (body.find(",", start), body.find(";", start)) if at >= 0), default=len(body)
            )
            if '"' in body[start:end]:
                raise error()
            value, start = body[start:end] or None, end
        items.append(value)
        if not body.startswith(",", start):
            return Values(tuple(items)), start
        start += 1
