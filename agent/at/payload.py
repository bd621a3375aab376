"""Lines of an answer, and headers that wait for their payload: one that is a line, one that is counted."""

from __future__ import annotations

from agent.at.command import Answer, AtCommand, Payload
from agent.at.event import Event, Information, LateResult, Unsolicited
from agent.at.grammar import counted, is_code


class Header:
    """A line whose payload is due."""

    __slots__ = ("doubtful", "kind", "payload", "text")

    def __init__(
        self, text: str, payload: Payload, kind: type[Information | LateResult | Unsolicited]
    ) -> None:
        self.text = text
        self.payload = payload
        self.kind = kind
        self.doubtful: str | None = None
        """A line that was no payload; it is taken for one where nothing better comes."""

    def event(self, payload: str | None) -> Event:
        """What it is, with this payload."""
        return self.kind(self.text, payload)

    def doubt(self, line: str) -> None:
        """Octets that are no text came: text in a set of 8 bits, perhaps, if nothing better comes."""
        if self.kind is not Unsolicited:
            self.doubtful = self.doubtful or line

    def delay(self) -> None:
        """Nobody waits for the answer any more: its payload will be late, and no answer to what follows."""
        if self.kind is Information:
            self.kind = LateResult


class Count:
    """A payload of which its header says how long it is."""

    __slots__ = ("_begun", "_length", "end", "header")

    def __init__(self, header: Header, length: int) -> None:
        """`length`: as the header says it, see `grammar.counted`."""
        self.header = header
        self.end = ""
        """The character that ended the line of the header, and ends that of the payload."""
        self._length = length
        self._begun = False

    def measure(self, octets: str, at: int) -> tuple[int, int | None]:
        """Where the payload begins, and how many octets it has: None not known yet, -1 the count is wrong.

        `at`: where the octets behind the end of the header begin, of which one more may belong to that end.
        """
        if not self._begun:
            if at == len(octets):
                return at, None
            self._begun = True
            at += octets[at] in "\r\n" and octets[at] != self.end
        return at, counted(octets[at:], self.end, self._length)


def form(command: AtCommand | None, text: str) -> Answer | None:
    """The form of that command's answer that a line has."""
    for answer in command.answers if command is not None else ():
        if answer.name:
            if text.startswith(answer.name) and text[len(answer.name) :].lstrip()[:1] == ":":
                rest = text.partition(":")[2].strip()
                if answer.shape is None or answer.shape.match(rest):
                    return answer
        elif not is_code(text) and (answer.shape is None or answer.shape.match(text)):
            return answer
    return None
