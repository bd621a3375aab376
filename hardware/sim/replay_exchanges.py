"""A recording cut into exchanges: what the host said once, and what came of it."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from hardware.recording import redact_pins

if TYPE_CHECKING:
    from hardware.recording import Recording

_FINAL_RESULT = re.compile(
    r"(?:^|[\r\n])"
    r"(?:OK|ERROR|\+CM[ES] ERROR: ?[^\r\n]*|NO CARRIER|BUSY|NO ANSWER|NO DIALTONE|CONNECT[^\r\n]*)\r\n?"
)
_NUMERIC_RESULT = re.compile(r"(?:^|[\r\n])[0-8]\r(?!\n)")
_PROMPT = re.compile(r"(?:^|[\r\n])>[ \r\n]*$")
_INPUT_ENDS = {False: re.compile(rb"[\r\x1a\x1b]"), True: re.compile(rb"[\x1a\x1b]")}
"""What ends a command line, and what ends a text."""

_QUERY = re.compile(r"AT(?:I\d*|[+^*#$%]\w+(?:\?|=\?)?)?(?:;[+^*#$%]\w+(?:\?|=\?)?)*")
_ACTION = re.compile(r"\+(?:CMGL|CNMA|CPOF|CPWROFF|QPOWD|CMGC|CRES|CSAS|CRESET|CMGD)(?![\w?=])")
_TEXT_LENGTH = re.compile(r"(\+CMG[SW]=)[0-9]+")
_ANY_NUMBER = re.compile(r'"\+?[0-9*#]{6,}"')
_SUBJECT = re.compile(r"(?:AT)?(?:\+CMG[RD]=([0-9]+)|([+^*#$%]\w+|&?[A-Z]))")


@dataclass(frozen=True, slots=True)
class Chunk:
    """Octets of the module, and how long after what was before them."""

    delay_s: float
    octets: bytes


@dataclass(slots=True)
class Exchange:
    """What the host said once, and what came of it."""

    line_number: int
    request: bytes
    request_key: str
    """What the host must say, in the form in which it is compared; empty for a text."""
    response: list[Chunk] = field(default_factory=list)
    unsolicited: list[Chunk] = field(default_factory=list)
    """What was said by itself afterwards."""
    greeting: list[Chunk] = field(default_factory=list)
    """What was said on the next connection before the host spoke."""
    ends_with_prompt: bool = False
    ends_connection: bool = False
    """Whether the connection ended after it."""
    played: bool = False

    @property
    def is_query(self) -> bool:
        return is_query(self.request_key)


def split_exchanges(recording: Recording) -> tuple[list[Chunk], list[Exchange]]:
    """What was said before the host spoke, and the exchanges."""
    opening: list[Chunk] = []
    every: list[Exchange] = []
    heard, began, at = bytearray(), 0, 0.0
    for run in recording.chunks:
        delay, at = max(0.0, run.time_s - at), run.time_s
        last = every[-1] if every else None
        match run.direction:
            case "<" if last is None:
                opening.append(Chunk(delay, run.octets))
            case "<" if last is not None:
                (last.greeting if last.ends_connection else last.response).append(Chunk(delay, run.octets))
            case "!" if last is not None and not last.ends_connection:
                last.response.append(Chunk(delay, b""))
                last.ends_connection = True
                heard.clear()
            case ">":
                began = began if heard else run.line_number
                heard += run.octets
                while said := next_input(heard, text_entry=_mark_prompt(every)):
                    entering = _mark_prompt(every)
                    every.append(
                        Exchange(
                            began,
                            said,
                            "" if entering else normalise_request(said, masked=recording.is_masked),
                        )
                    )
                    began = run.line_number
    for exchange in every:
        _split_unsolicited(exchange)
    return opening, every


def normalise_request(request: bytes, *, masked: bool) -> str:
    """The form in which lines are compared: no blanks, upper case but for what stands in quotes."""
    if request[-1:] == b"\x1a":
        return ""
    pieces = redact_pins(request.decode("latin-1").rstrip("\r")).split('"')
    pieces[::2] = [piece.replace(" ", "").upper() for piece in pieces[::2]]
    key = _TEXT_LENGTH.sub(r"\1#", '"'.join(pieces))
    return _ANY_NUMBER.sub('"#"', key) if masked else key


def next_input(received: bytearray, *, text_entry: bool) -> bytes:
    """Take off the first line or text that has ended; line ends between lines say nothing."""
    if not text_entry:
        del received[: len(received) - len(received.lstrip(b"\r\n"))]
    end = _INPUT_ENDS[text_entry].search(received)
    if end is None:
        return b""
    said = bytes(received[: end.end()])
    del received[: end.end()]
    return said


def _mark_prompt(exchanges: list[Exchange]) -> bool:
    """Whether the last thing said was a prompt; marks its exchange."""
    if not exchanges or exchanges[-1].ends_connection:
        return False
    text = b"".join(said.octets for said in exchanges[-1].response).decode("latin-1")
    exchanges[-1].ends_with_prompt = "=" in exchanges[-1].request_key and _PROMPT.search(text) is not None
    return exchanges[-1].ends_with_prompt


def _split_unsolicited(exchange: Exchange) -> None:
    """Tell the answer from what came by itself after it."""
    text = b"".join(said.octets for said in exchange.response).decode("latin-1")
    final = None if exchange.ends_with_prompt else _FINAL_RESULT.search(text) or _NUMERIC_RESULT.search(text)
    left = len(text) if final is None else final.end()
    said, exchange.response = exchange.response, []
    for each in said:
        if left > 0:
            exchange.response.append(replace(each, octets=each.octets[:left]))
            if rest := each.octets[left:]:
                exchange.unsolicited.append(Chunk(0.0, rest))
            left -= len(each.octets)
        else:
            (exchange.unsolicited if final is not None or not each.octets else exchange.response).append(each)


def is_query(request_key: str) -> bool:
    return _QUERY.fullmatch(request_key) is not None and _ACTION.search(request_key) is None


def request_subjects(request_key: str) -> set[str]:
    """What a command line is about."""
    found = (_SUBJECT.match(part) for part in request_key.split(";"))
    return {f"message {each[1]}" if each[1] else each[2] for each in found if each is not None}
