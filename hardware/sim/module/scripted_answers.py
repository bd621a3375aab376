r"""Scripted answers: to commands that are not simulated, or in place of the simulated ones.

    COMMAND=ANSWER              COMMAND as it is sent, without AT; its answer
    NAME=VALUES=>ANSWER         the same for a command with values
    NAME=*=>ANSWER              any values

ANSWER is made of lines with `\n` between them, each of them
    text                        an information text, written as it is
    wait SECONDS                a pause
    OK, ERROR, BUSY, CONNECT, NO CARRIER, NO ANSWER, NO DIALTONE, +CME ERROR: N, +CMS ERROR: N
                                the final result code; without one there is OK after the last line
What follows the final result code are unsolicited result codes. `\xNN` stands for an octet, `\\` for a
backslash.

    +CGPSINFO=+CGPSINFO: 4807.0380,N,01131.0000,E,081126,120000.0,545.4,0.0,0.0
    +CGPS=1=>OK\nwait 3\n+CGPSURC: "ready"
    +QCFG="band"=>wait 0.5\n+CME ERROR: 50
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hardware.sim.module.command_parser import CommandForm, normalise, parse_next_command
from hardware.sim.module.errors import CommandError, cme_error, cms_error, plain_error

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from hardware.sim.module.command_parser import ParsedCommand

ANY_VALUES = "*"
MAX_WAIT_S = 3600.0

_SIMPLE = re.compile(r"([^=?]+(?:\?|=\?)?)=(.*)", re.DOTALL)
"""A command without values: execute, read or test form."""
_ESCAPE = re.compile(r"\\(?:x([0-9A-Fa-f]{2})|([rn\\]))|\\")
_WAIT = re.compile(r"wait ([0-9]{1,4}(?:\.[0-9]{1,3})?)")
_NUMBERED_ERROR = re.compile(r"\+(CME|CMS) ERROR: ([0-9]{1,4})")
_CALL_RESULT = re.compile(r"CONNECT.*|NO CARRIER|NO ANSWER|NO DIALTONE|BUSY|\+CM[ES] ERROR: .+")


class AnswerError(ValueError):
    """The specification of an answer is invalid; the text is one sentence."""


@dataclass(frozen=True, slots=True)
class TimedLine:
    """A line of an answer, and the seconds from the command until it is written."""

    at_s: float
    text: str


@dataclass(frozen=True, slots=True)
class ScriptedAnswer:
    """The answer to one command."""

    source: str
    """The specification."""
    command: str
    """As `ParsedCommand.text`, or `NAME=*`."""
    information: tuple[TimedLine, ...]
    final_at_s: float
    error: CommandError | None
    """The final result code; None is OK."""
    unsolicited: tuple[TimedLine, ...]


class ScriptedAnswers:
    """The answers of one module. Those of the profile are information texts by their command."""

    def __init__(self, of_profile: Mapping[str, str]) -> None:
        self._of_profile = {
            command: _make_answer(command, text.split("\r\n") if text else [], source="")
            for command, text in of_profile.items()
        }
        self._added: dict[str, ScriptedAnswer] = {}

    def add(self, text: str) -> None:
        """Add an answer, in place of an earlier one to the same command. Raises AnswerError."""
        answer = parse_answer(text)
        self._added[answer.command] = answer

    def remove(self, command: str) -> bool:
        """Remove the answer to a command; returns False if there is none."""
        return self._added.pop(normalise(command), None) is not None

    def clear(self) -> None:
        """Remove all answers that were added; those of the profile stay."""
        self._added.clear()

    def describe(self) -> list[str]:
        """Return the specifications of the answers that were added."""
        return [answer.source for answer in self._added.values()]

    def find(self, command: ParsedCommand) -> ScriptedAnswer | None:
        """Return the answer to a command; one to the very values comes before one to any values."""
        any_values = f"{command.name}={ANY_VALUES}" if command.form is CommandForm.SET else command.text
        for answers in (self._added, self._of_profile):
            answer = answers.get(command.text) or answers.get(any_values)
            if answer is not None:
                return answer
        return None

    def knows(self, name: str) -> bool:
        """Return True if there is an answer to any form of the command `name`."""
        return any(
            re.fullmatch(re.escape(name) + r"(?:[=?].*)?", command, re.DOTALL)
            for command in (*self._added, *self._of_profile)
        )


def parse_answer(text: str) -> ScriptedAnswer:
    """Parse a specification. Raises AnswerError."""
    if "=>" in text:
        written, _, answer = text.partition("=>")
    elif simple := _SIMPLE.fullmatch(text):
        written, answer = simple.groups()
        if re.match(r"[^:\\]*=", answer):
            raise AnswerError(f"{text}: a command with values is written NAME=VALUES=>ANSWER")
    else:
        raise AnswerError(f"{text} is not COMMAND=ANSWER, for example '+CGPSINFO=+CGPSINFO: ,,,,,,,,'")
    return _make_answer(_parse_command(written, text), _split_lines(answer, text), source=text)


def _parse_command(written: str, text: str) -> str:
    """Return the normalised command; raises AnswerError unless it is exactly one, without AT."""
    line = normalise(written)
    try:
        command, end = parse_next_command(line, 0)
    except CommandError:
        end = -1
    if end != len(line) or command.text != line:
        raise AnswerError(
            f"{text}: {written or 'nothing'} is not a single command; write it as it is sent, without AT"
        )
    return line


def _split_lines(answer: str, text: str) -> list[str]:
    """Return the lines of an answer with their escapes replaced. Raises AnswerError."""
    if not all(character.isascii() and character.isprintable() for character in answer):
        raise AnswerError(rf"{text}: an answer is printable ASCII; write \n between lines, \xNN for an octet")

    def replace(found: re.Match[str]) -> str:
        code, letter = found.groups()
        if code is None and letter is None:
            raise AnswerError(rf"{text}: a backslash is followed by n, x and two digits, or a backslash")
        return chr(int(code, 16)) if code else {"n": "\n", "r": ""}.get(letter, letter)

    unescaped = _ESCAPE.sub(replace, answer)
    return unescaped.split("\n") if unescaped else []


def _make_answer(command: str, lines: Iterable[str], source: str) -> ScriptedAnswer:
    information: list[TimedLine] = []
    unsolicited: list[TimedLine] = []
    at_s, final_at_s = 0.0, None
    error: CommandError | None = None
    for line in lines:
        if line.startswith("wait "):
            at_s += _parse_wait(line, source)
        elif line == "OK" or (failure := _parse_failure(line)) is not None:
            if final_at_s is not None:
                raise AnswerError(f"{source}: there is more than one final result code")
            final_at_s, error = at_s, None if line == "OK" else failure
        else:
            (information if final_at_s is None else unsolicited).append(TimedLine(at_s, line))
    final_at_s = at_s if final_at_s is None else final_at_s
    return ScriptedAnswer(source, command, tuple(information), final_at_s, error, tuple(unsolicited))


def _parse_wait(line: str, source: str) -> float:
    found = _WAIT.fullmatch(line)
    if found is None or float(found[1]) > MAX_WAIT_S:
        raise AnswerError(f"{source}: {line} is not wait SECONDS, from 0 to {MAX_WAIT_S:.0f}")
    return float(found[1])


def _parse_failure(line: str) -> CommandError | None:
    """Return the error if the line is a final result code other than OK."""
    if line == "ERROR":
        return plain_error()
    if numbered := _NUMBERED_ERROR.fullmatch(line):
        return (cme_error if numbered[1] == "CME" else cms_error)(int(numbered[2]))
    return CommandError("call", result=line) if _CALL_RESULT.fullmatch(line) else None
