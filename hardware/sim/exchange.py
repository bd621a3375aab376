"""A recording cut into exchanges: what the host said once, and what came of it."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from hardware.recording import hidden

if TYPE_CHECKING:
    from hardware.recording import Recording

_FINAL = re.compile(
    r"(?:^|[\r\n])"
    r"(?:OK|ERROR|\+CM[ES] ERROR: ?[^\r\n]*|NO CARRIER|BUSY|NO ANSWER|NO DIALTONE|CONNECT[^\r\n]*)\r\n?"
)
_NUMERIC = re.compile(r"(?:^|[\r\n])[0-8]\r(?!\n)")
_PROMPT = re.compile(r"(?:^|[\r\n])>[ \r\n]*$")
_ENDS = {False: re.compile(rb"[\r\x1a\x1b]"), True: re.compile(rb"[\x1a\x1b]")}
"""What ends a command line, and what ends a text."""

_QUESTION = re.compile(r"AT(?:I\d*|[+^*#$%]\w+(?:\?|=\?)?)?(?:;[+^*#$%]\w+(?:\?|=\?)?)*")
_ACTION = re.compile(r"\+(?:CMGL|CNMA|CPOF|CPWROFF|QPOWD|CMGC|CRES|CSAS|CRESET|CMGD)(?![\w?=])")
_TEXT_LENGTH = re.compile(r"(\+CMG[SW]=)[0-9]+")
_ANY_NUMBER = re.compile(r'"\+?[0-9*#]{6,}"')
_SUBJECT = re.compile(r"(?:AT)?(?:\+CMG[RD]=([0-9]+)|([+^*#$%]\w+|&?[A-Z]))")


@dataclass(frozen=True, slots=True)
class Said:
    """Octets of the module, and how long after what was before them."""

    delay: float
    octets: bytes


@dataclass(slots=True)
class Exchange:
    """What the host said once, and what came of it."""

    line: int
    octets: bytes
    key: str
    """What the host must say, in the form in which it is compared; empty for a text."""
    answer: list[Said] = field(default_factory=list)
    news: list[Said] = field(default_factory=list)
    """What was said by itself afterwards."""
    greeting: list[Said] = field(default_factory=list)
    """What was said on the next connection before the host spoke."""
    prompts: bool = False
    hangs_up: bool = False
    """Whether the connection ended after it."""
    used: bool = False

    @property
    def question(self) -> bool:
        return is_question(self.key)


def cut_up(recording: Recording) -> tuple[list[Said], list[Exchange]]:
    """What was said before the host spoke, and the exchanges."""
    opening: list[Said] = []
    every: list[Exchange] = []
    heard, began, at = bytearray(), 0, 0.0
    for run in recording.runs:
        delay, at = max(0.0, run.at - at), run.at
        last = every[-1] if every else None
        match run.direction:
            case "<" if last is None:
                opening.append(Said(delay, run.octets))
            case "<" if last is not None:
                (last.greeting if last.hangs_up else last.answer).append(Said(delay, run.octets))
            case "!" if last is not None and not last.hangs_up:
                last.answer.append(Said(delay, b""))
                last.hangs_up = True
                heard.clear()
            case ">":
                began = began if heard else run.line
                heard += run.octets
                while said := cut(heard, entering=_ends_with_prompt(every)):
                    entering = _ends_with_prompt(every)
                    every.append(
                        Exchange(began, said, "" if entering else form(said, masked=recording.masked))
                    )
                    began = run.line
    for exchange in every:
        _divide(exchange)
    return opening, every


def form(said: bytes, *, masked: bool) -> str:
    """The form in which lines are compared: no blanks, upper case but for what stands in quotes."""
    if said[-1:] == b"\x1a":
        return ""
    pieces = hidden(said.decode("latin-1").rstrip("\r")).split('"')
    pieces[::2] = [piece.replace(" ", "").upper() for piece in pieces[::2]]
    key = _TEXT_LENGTH.sub(r"\1#", '"'.join(pieces))
    return _ANY_NUMBER.sub('"#"', key) if masked else key


def cut(heard: bytearray, *, entering: bool) -> bytes:
    """Take off the first line or text that has ended; line ends between lines say nothing."""
    if not entering:
        del heard[: len(heard) - len(heard.lstrip(b"\r\n"))]
    end = _ENDS[entering].search(heard)
    if end is None:
        return b""
    said = bytes(heard[: end.end()])
    del heard[: end.end()]
    return said


def _ends_with_prompt(every: list[Exchange]) -> bool:
    """Whether the last thing said was a prompt; marks its exchange."""
    if not every or every[-1].hangs_up:
        return False
    text = b"".join(said.octets for said in every[-1].answer).decode("latin-1")
    every[-1].prompts = "=" in every[-1].key and _PROMPT.search(text) is not None
    return every[-1].prompts


def _divide(exchange: Exchange) -> None:
    """Tell the answer from what came by itself after it."""
    text = b"".join(said.octets for said in exchange.answer).decode("latin-1")
    final = None if exchange.prompts else _FINAL.search(text) or _NUMERIC.search(text)
    left = len(text) if final is None else final.end()
    said, exchange.answer = exchange.answer, []
    for each in said:
        if left > 0:
            exchange.answer.append(replace(each, octets=each.octets[:left]))
            if rest := each.octets[left:]:
                exchange.news.append(Said(0.0, rest))
            left -= len(each.octets)
        else:
            (exchange.news if final is not None or not each.octets else exchange.answer).append(each)


def is_question(key: str) -> bool:
    return _QUESTION.fullmatch(key) is not None and _ACTION.search(key) is None


def subjects(key: str) -> set[str]:
    """What a command line is about."""
    found = (_SUBJECT.match(part) for part in key.split(";"))
    return {f"message {each[1]}" if each[1] else each[2] for each in found if each is not None}
