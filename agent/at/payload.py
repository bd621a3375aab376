"""Lines of an answer, and headers that wait for their payload: one that is a line, one that is counted."""

from __future__ import annotations

from agent.at.command import AtCommand, PayloadKind, ResponsePattern
from agent.at.events import AtEvent, Information, StaleResult, Unsolicited
from agent.at.line_parser import counted_payload_size, is_result_code


class PendingPayload:
    """A line whose payload is due."""

    __slots__ = ("event_type", "fallback", "header", "payload_kind")

    def __init__(
        self,
        header: str,
        payload_kind: PayloadKind,
        event_type: type[Information | StaleResult | Unsolicited],
    ) -> None:
        self.header = header
        self.payload_kind = payload_kind
        self.event_type = event_type
        self.fallback: str | None = None
        """A line that was no payload; it is taken for one where nothing better comes."""

    def make_event(self, payload: str | None) -> AtEvent:
        """What it is, with this payload."""
        return self.event_type(self.header, payload)

    def set_fallback(self, line: str) -> None:
        """Octets that are no text came: text in a set of 8 bits, perhaps, if nothing better comes."""
        if self.event_type is not Unsolicited:
            self.fallback = self.fallback or line

    def mark_stale(self) -> None:
        """Nobody waits for the answer any more: its payload will be late, and no answer to what follows."""
        if self.event_type is Information:
            self.event_type = StaleResult


class CountedPayload:
    """A payload of which its header says how long it is."""

    __slots__ = ("_length", "_started", "line_end", "pending")

    def __init__(self, pending: PendingPayload, length: int) -> None:
        """`length`: as the header says it, see `grammar.counted`."""
        self.pending = pending
        self.line_end = ""
        """The character that ended the line of the header, and ends that of the payload."""
        self._length = length
        self._started = False

    def measure(self, octets: str, offset: int) -> tuple[int, int | None]:
        """Where the payload begins, and how many octets it has: None not known yet, -1 the count is wrong.

        `at`: where the octets behind the end of the header begin, of which one more may belong to that end.
        """
        if not self._started:
            if offset == len(octets):
                return offset, None
            self._started = True
            offset += octets[offset] in "\r\n" and octets[offset] != self.line_end
        return offset, counted_payload_size(octets[offset:], self.line_end, self._length)


def match_response(command: AtCommand | None, line: str) -> ResponsePattern | None:
    """The form of that command's answer that a line has."""
    for answer in command.response_patterns if command is not None else ():
        if answer.prefix:
            if line.startswith(answer.prefix) and line[len(answer.prefix) :].lstrip()[:1] == ":":
                rest = line.partition(":")[2].strip()
                if answer.value_pattern is None or answer.value_pattern.match(rest):
                    return answer
        elif not is_result_code(line) and (answer.value_pattern is None or answer.value_pattern.match(line)):
            return answer
    return None
