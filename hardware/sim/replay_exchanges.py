"""A recording split into exchanges: one request of the host, and the output of the module that followed."""

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
"""The end of a command line (False) and the end of a text entry (True)."""

_QUERY = re.compile(r"AT(?:I\d*|[+^*#$%]\w+(?:\?|=\?)?)?(?:;[+^*#$%]\w+(?:\?|=\?)?)*")
_ACTION = re.compile(r"\+(?:CMGL|CNMA|CPOF|CPWROFF|QPOWD|CMGC|CRES|CSAS|CRESET|CMGD)(?![\w?=])")
_TEXT_LENGTH = re.compile(r"(\+CMG[SW]=)[0-9]+")
_ANY_NUMBER = re.compile(r'"\+?[0-9*#]{6,}"')
_SUBJECT = re.compile(r"(?:AT)?(?:\+CMG[RD]=([0-9]+)|([+^*#$%]\w+|&?[A-Z]))")


@dataclass(frozen=True, slots=True)
class Chunk:
    """Octets of the module, and the delay since the octets before them."""

    delay_s: float
    octets: bytes


@dataclass(slots=True)
class Exchange:
    """One request of the host, and the output of the module that followed."""

    line_number: int
    request: bytes
    request_key: str
    """The request in the normalised form in which it is compared; empty for a text entry."""
    response: list[Chunk] = field(default_factory=list)
    unsolicited: list[Chunk] = field(default_factory=list)
    """Output after the final result code."""
    greeting: list[Chunk] = field(default_factory=list)
    """Output on the next connection before the first request."""
    ends_with_prompt: bool = False
    ends_connection: bool = False
    """True if the connection ended after it."""
    played: bool = False
    repeats_read: bool = False
    """True for a slot that was read before and not changed since; how often it is read depends on timing."""

    @property
    def is_query(self) -> bool:
        return self.repeats_read or is_query(self.request_key)


def split_exchanges(recording: Recording) -> tuple[list[Chunk], list[Exchange]]:
    """Return the output before the first request, and the exchanges."""
    opening: list[Chunk] = []
    exchanges: list[Exchange] = []
    received, start_line, time_s = bytearray(), 0, 0.0
    for chunk in recording.chunks:
        delay, time_s = max(0.0, chunk.time_s - time_s), chunk.time_s
        last = exchanges[-1] if exchanges else None
        match chunk.direction:
            case "<" if last is None:
                opening.append(Chunk(delay, chunk.octets))
            case "<" if last is not None:
                (last.greeting if last.ends_connection else last.response).append(Chunk(delay, chunk.octets))
            case "!" if last is not None and not last.ends_connection:
                last.response.append(Chunk(delay, b""))
                last.ends_connection = True
                received.clear()
            case ">":
                start_line = start_line if received else chunk.line_number
                received += chunk.octets
                while request := next_input(received, text_entry=_mark_prompt(exchanges)):
                    is_text = _mark_prompt(exchanges)
                    exchanges.append(
                        Exchange(
                            start_line,
                            request,
                            "" if is_text else normalise_request(request, masked=recording.is_masked),
                        )
                    )
                    start_line = chunk.line_number
    last_keys: dict[str, str] = {}
    for exchange in exchanges:
        _split_unsolicited(exchange)
        for subject in request_subjects(exchange.request_key):
            exchange.repeats_read = is_slot_read(exchange.request_key) and (
                last_keys.get(subject) == exchange.request_key
            )
            last_keys[subject] = exchange.request_key
    return opening, exchanges


def normalise_request(request: bytes, *, masked: bool) -> str:
    """Return the form in which lines are compared: outside quotes without blanks and in upper case."""
    if request[-1:] == b"\x1a":
        return ""
    pieces = redact_pins(request.decode("latin-1").rstrip("\r")).split('"')
    pieces[::2] = [piece.replace(" ", "").upper() for piece in pieces[::2]]
    key = _TEXT_LENGTH.sub(r"\1#", '"'.join(pieces))
    return _ANY_NUMBER.sub('"#"', key) if masked else key


def next_input(received: bytearray, *, text_entry: bool) -> bytes:
    """Remove the first complete line or text entry and return it, b"" if there is none.

    Line ends between lines are dropped.
    """
    if not text_entry:
        del received[: len(received) - len(received.lstrip(b"\r\n"))]
    end = _INPUT_ENDS[text_entry].search(received)
    if end is None:
        return b""
    request = bytes(received[: end.end()])
    del received[: end.end()]
    return request


def _mark_prompt(exchanges: list[Exchange]) -> bool:
    """Return True if the last output is a prompt, and mark its exchange."""
    if not exchanges or exchanges[-1].ends_connection:
        return False
    text = b"".join(chunk.octets for chunk in exchanges[-1].response).decode("latin-1")
    exchanges[-1].ends_with_prompt = "=" in exchanges[-1].request_key and _PROMPT.search(text) is not None
    return exchanges[-1].ends_with_prompt


def _split_unsolicited(exchange: Exchange) -> None:
    """Split the output after the final result code off the response."""
    text = b"".join(chunk.octets for chunk in exchange.response).decode("latin-1")
    final = None if exchange.ends_with_prompt else _FINAL_RESULT.search(text) or _NUMERIC_RESULT.search(text)
    left = len(text) if final is None else final.end()
    chunks, exchange.response = exchange.response, []
    for chunk in chunks:
        if left > 0:
            exchange.response.append(replace(chunk, octets=chunk.octets[:left]))
            if rest := chunk.octets[left:]:
                exchange.unsolicited.append(Chunk(0.0, rest))
            left -= len(chunk.octets)
        else:
            (exchange.unsolicited if final is not None or not chunk.octets else exchange.response).append(
                chunk
            )


def is_query(request_key: str) -> bool:
    return _QUERY.fullmatch(request_key) is not None and _ACTION.search(request_key) is None


def is_slot_read(request_key: str) -> bool:
    return request_key.startswith("AT+CMGR=")


def request_subjects(request_key: str) -> set[str]:
    """Return the commands of a line; +CMGR and +CMGD give the message with its index."""
    found = (_SUBJECT.match(part) for part in request_key.split(";"))
    return {f"message {each[1]}" if each[1] else each[2] for each in found if each is not None}
