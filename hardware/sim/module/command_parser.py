"""Parser for command lines: commands, forms and parameters (V.250 5.3, 5.4).

A line is parsed while it is executed: commands before a malformed one have been executed (V.250 5.6). Text is
a str with one character per octet (latin-1), because strings may contain octets of any alphabet.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum

from hardware.sim.module.errors import plain_error


class CommandForm(Enum):
    """The four forms of an extended command, V.250 5.4.3 and 5.4.4."""

    EXECUTE = ""
    SET = "="
    READ = "?"
    TEST = "=?"


@dataclass(frozen=True, slots=True)
class QuotedString:
    """A string value, without its quotes."""

    text: str


CommandParameter = str | QuotedString | None
"""As written: an unquoted word, a string, or None if omitted."""


@dataclass(frozen=True, slots=True)
class CommandParameters:
    """The parameters of one command; the accessors raise the plain ERROR of V.250 5.4.4.1."""

    items: tuple[CommandParameter, ...] = ()

    def require_at_most(self, count: int) -> None:
        """Raise ERROR if there are more than `count` parameters."""
        if len(self.items) > count:
            raise plain_error()

    def get(self, position: int) -> CommandParameter:
        """Return the parameter at `position`, counted from 0, as it was written."""
        return self.items[position] if position < len(self.items) else None

    def has(self, position: int) -> bool:
        """Return True if there is a parameter at `position`."""
        return self.get(position) is not None

    def get_number(self, position: int, allowed: range | tuple[int, ...], default: int | None = None) -> int:
        """Return a decimal number out of `allowed`; without a default the parameter is mandatory."""
        value = self.get(position)
        if value is None and default is not None:
            return default
        if not isinstance(value, str) or not re.fullmatch(r"[0-9]{1,9}", value) or int(value) not in allowed:
            raise plain_error()
        return int(value)

    def get_string(self, position: int, default: str | None = None) -> str:
        """Return the text of a quoted string; without a default the parameter is mandatory."""
        value = self.get(position)
        if value is None and default is not None:
            return default
        if not isinstance(value, QuotedString):
            raise plain_error()
        return value.text

    def get_string_or_word(self, position: int) -> str:
        """Return a string with or without quotes, as common modules accept it (+CPIN=1234)."""
        value = self.get(position)
        if value is None:
            raise plain_error()
        return value.text if isinstance(value, QuotedString) else value


@dataclass(frozen=True, slots=True)
class ParsedCommand:
    """One command. Basic ones have the name `E`, `&F` or `S` (all S-parameters); extended ones `+CMGS`."""

    name: str
    form: CommandForm = CommandForm.EXECUTE
    parameters: CommandParameters = CommandParameters()
    text: str = ""
    """The command as written, in upper case outside strings."""


_BASIC = re.compile(r"(&?[A-Z])([0-9]*)")
_DIAL = re.compile(r"D([^;]*;?)")
_S_REGISTER = re.compile(r"S([0-9]+)(=([0-9]*)|\?)")
_EXTENDED = re.compile(r"([+^%$#*!@][A-Z][A-Z0-9!%\-./:_]*)(=\?|\?|=|)")
_STRING = re.compile(r'"([^"]*)"')
_ESCAPED = re.compile(r"\\([0-9A-Fa-f]{2})")


def normalise(line: str) -> str:
    """Outside strings, remove spaces and control characters and use upper case (V.250 5.1, 5.2.1, 5.4.1)."""
    pieces = re.split(r'("[^"]*"?)', line)
    return "".join(
        piece if piece.startswith('"') else re.sub(r"[\x00-\x20\x7f]", "", piece).upper() for piece in pieces
    )


def parse_next_command(line: str, start: int) -> tuple[ParsedCommand, int]:
    """Parse the command at `start` of a normalised line body; returns it and where the next one begins."""
    if register := _S_REGISTER.match(line, start):
        number, assignment, value = register.groups()
        values = CommandParameters((number, assignment[0], value or None))
        return ParsedCommand("S", CommandForm.EXECUTE, values, register[0]), _skip_separator(
            line, register.end()
        )
    if dial := _DIAL.match(line, start):  # the dial string ends with the line or `;` (V.250 6.3.1)
        return ParsedCommand("D", CommandForm.EXECUTE, CommandParameters((dial[1],)), dial[0]), dial.end()
    if basic := _BASIC.match(line, start):
        name, digits = basic.groups()
        return ParsedCommand(
            name, CommandForm.EXECUTE, CommandParameters((digits or None,)), basic[0]
        ), _skip_separator(line, basic.end())
    if extended := _EXTENDED.match(line, start):
        form = CommandForm(extended[2])
        values, end = (
            _parse_parameters(line, extended.end())
            if form is CommandForm.SET
            else (CommandParameters(), extended.end())
        )
        if end < len(line) and line[end] != ";":
            raise plain_error()
        return ParsedCommand(extended[1], form, values, line[start:end]), _skip_separator(line, end)
    raise plain_error()


def _skip_separator(line: str, end: int) -> int:
    """Return the position behind a `;`, which may be missing after a basic command (V.250 5.4.5)."""
    return end + 1 if line.startswith(";", end) else end


def _parse_parameters(line: str, start: int) -> tuple[CommandParameters, int]:
    """Parse the parameters up to the end of the command; trailing commas may be omitted (V.250 5.4.2.3)."""
    items: list[CommandParameter] = []
    while True:
        value: CommandParameter
        if string := _STRING.match(line, start):
            value, start = (
                QuotedString(_ESCAPED.sub(lambda pair: chr(int(pair[1], 16)), string[1])),
                string.end(),
            )
        else:
            end = min(
                (at for at in (line.find(",", start), line.find(";", start)) if at >= 0), default=len(line)
            )
            if '"' in line[start:end]:
                raise plain_error()
            value, start = line[start:end] or None, end
        items.append(value)
        if not line.startswith(",", start):
            return CommandParameters(tuple(items)), start
        start += 1
