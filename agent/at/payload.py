"""Match lines to the answer of a command, and collect the payloads of header lines."""

from __future__ import annotations

from agent.at.command import AtCommand, PayloadKind, ResponsePattern
from agent.at.events import AtEvent, Information, StaleResult, Unsolicited
from agent.at.line_parser import counted_payload_size, is_urc


class PendingPayload:
    """A header line that waits for its payload."""

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
        """A line that does not look like a payload. It is used if no better one comes."""

    def make_event(self, payload: str | None) -> AtEvent:
        """Return the event of the header with this payload."""
        return self.event_type(self.header, payload)

    def set_fallback(self, line: str) -> None:
        """Use a line with non-text bytes, perhaps text in an 8-bit character set, if no better one comes."""
        if self.event_type is not Unsolicited:
            self.fallback = self.fallback or line

    def mark_stale(self) -> None:
        """Mark the header as part of an abandoned answer."""
        if self.event_type is Information:
            self.event_type = StaleResult


class CountedPayload:
    """A payload whose length is in its header."""

    __slots__ = ("_length", "_started", "line_end", "pending")

    def __init__(self, pending: PendingPayload, length: int) -> None:
        """`length`: <length> of the header, see `counted_payload_size`."""
        self.pending = pending
        self.line_end = ""
        """The character that ended the header line, and will end the line of the payload."""
        self._length = length
        self._started = False

    def measure(self, octets: str, offset: int) -> tuple[int, int | None]:
        """Return where the payload begins, and its size: None if not known yet, -1 if the count is wrong.

        `offset`: where the header line ended. One more character may belong to its line end (CR and LF).
        """
        if not self._started:
            if offset == len(octets):
                return offset, None
            self._started = True
            offset += octets[offset] in "\r\n" and octets[offset] != self.line_end
        return offset, counted_payload_size(octets[offset:], self.line_end, self._length)


def match_response(command: AtCommand | None, line: str) -> ResponsePattern | None:
    """Return the pattern of the command's answer that a line matches, None if it matches none."""
    for pattern in command.response_patterns if command is not None else ():
        if has_response_name(pattern, line) and (
            pattern.value_pattern is None
            or pattern.value_pattern.match(line[len(pattern.prefix) :].lstrip(": "))
        ):
            return pattern
    return None


def has_response_name(pattern: ResponsePattern, line: str) -> bool:
    """Return True if a line has the name of an answer, or is free text that may be the answer."""
    if pattern.prefix:
        return line.startswith(pattern.prefix) and line[len(pattern.prefix) :].lstrip()[:1] == ":"
    return not is_urc(line)
