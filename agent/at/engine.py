"""The conversation as a machine: bytes in, events out. No clock, no wire.

A line ends with CR or LF, so that every order of line ends reads alike (empty lines say nothing). What a
line is depends on what was asked, and is decided in this order:

1. A `>` at the start of a line is the prompt while the pending command waits for one. Where nothing waits for
   one, text entry is open by mistake: the engine answers with ESC.
2. The echo of what was written last says nothing; it may come in pieces around news, before any answer.
3. After a header with payload, one line of two or more hexadecimal digits is that payload, whatever else it
   might be. Lines that are clearly something else (news, a result code) may stand in between. Any other text
   is taken as the payload too, so that one bad entry is seen as one bad entry; if the hexadecimal line
   comes after it, the text was news.
   In text mode the header counts the payload: so many octets are taken as they are, whatever they read. Where
   the count does not fit, the payload is looked for line by line as above.
4. A final result code ends the pending command. `0` and `4` count (ATV0) until a word was seen. NO CARRIER
   and its kin are news: this agent never dials.
5. A line that has the form of the pending command's answer is information. One that has the same name but
   another form, or comes a second time where one is due, is news.
6. All else is news, in its order.

After a command was given up the line is dirty. What has the form of its answer is late, and so is each final
result until the information line of a marking command has come: results without a name can be told from
earlier ones only by what stands before them.

Every buffer has a bound. Garbage is cut off where it is glued to a line, and told once.
"""

from __future__ import annotations

from collections.abc import Mapping

from agent.at.command import Answer, AtCommand, Payload
from agent.at.error import ConversationError
from agent.at.event import Event, FinalResult, Information, LateResult, Prompt, Unsolicited
from agent.at.garbage import junk, noise, without_junk
from agent.at.grammar import HEX, JUNK, LINE_END, PROMPT, final_result, following, is_code
from agent.at.payload import Count, Header, form

MAX_LINE = 4096
"""Octets. The longest line due is a PDU of 2 x 176 digits; text mode shows less."""
ESC = b"\x1b"

ANNOUNCED = {"+CMT": Payload.HEX_LINE, "+CDS": Payload.HEX_LINE, "+CBM": Payload.HEX_LINE}
"""News with payload, as 27.005 has it in PDU mode."""


class Engine:
    """One conversation, from the opening of the wire to its end."""

    def __init__(self, announced: Mapping[str, Payload] = ANNOUNCED) -> None:
        """`announced` tells which unsolicited codes are followed by a payload."""
        self._announced = announced
        self._buffer = ""
        self._skipping = False
        self._after_prompt = False
        self._out = b""
        self._pending: AtCommand | None = None
        self._past: list[AtCommand] = []
        self._dirty = False
        self._verbose = False
        self._headers: list[Header] = []
        self._count: Count | None = None
        self._begin_echo("")
        self._informed = self._prompted = self._body_written = self._echo_seen = False

    def announce(self, announced: Mapping[str, Payload]) -> None:
        """Another message format: which unsolicited codes are followed by which payload."""
        self._announced = announced

    # What is asked

    def begin(self, command: AtCommand) -> None:
        """Write a command line; its answer is what the following events tell."""
        if self._pending is not None:
            raise ConversationError(command.line, f"{command.shown} while {self._pending.shown} is pending")
        self._pending = command
        self._informed = self._prompted = self._body_written = self._echo_seen = False
        self._begin_echo(command.line)
        self._out += command.line.encode() + b"\r"

    def write_body(self) -> None:
        """Write the body of the pending command, after its prompt."""
        if self._pending is None or not self._prompted or self._body_written:
            raise ConversationError("", "a body without a prompt")
        self._body_written = True
        self._begin_echo(JUNK.sub("", self._pending.body.decode("latin-1")))
        self._out += self._pending.body

    def give_up(self) -> None:
        """Wait no longer for the pending command. The line is dirty from here on."""
        if self._pending is not None:
            self._past.append(self._pending)
            self._pending = None
        if self._count is not None:  # octets were lost: what came is read line by line
            self._headers.append(self._count.header)
            self._count = None
        for header in self._headers:
            header.delay()
        self.distrust()

    def distrust(self, answered: AtCommand | None = None) -> None:
        """Results that belong to the past may still come; the module may speak in numbers.

        `answered`: a command that has a result, but perhaps not its own.
        """
        if answered is not None:
            self._past.append(answered)
        self._dirty = True
        self._verbose = False

    def trust(self) -> None:
        """The past is over, as far as can be known."""
        self._dirty = False
        self._past.clear()

    def data_to_send(self) -> bytes:
        """Octets to be written to the wire now."""
        data, self._out = self._out, b""
        return data

    @property
    def unfinished(self) -> str:
        """The line that has not ended yet."""
        return self._buffer

    def forget(self) -> None:
        """Drop the line that has not ended yet."""
        self._buffer = ""
        self._count = None

    @property
    def echoed(self) -> bool:
        """Whether the module echoed the last command line or its body."""
        return self._echo_seen

    # What is heard

    def receive(self, data: bytes) -> list[Event]:
        """The events that these octets complete, in order."""
        events: list[Event] = []
        octets = self._buffer + data.decode("latin-1")
        at = 0
        while True:
            if self._count is not None:
                at = self._take_counted(self._count, octets, at, events)
            if self._count is not None or (end := LINE_END.search(octets, at)) is None:
                break
            if not self._skipping:
                self._line(self._start(octets[at : end.start()], events), events)
            self._skipping = self._after_prompt = False
            at = end.end()
            self._header_ended(end[0])
        rest = octets[at:]
        if self._count is None:
            rest = "" if self._skipping else self._start(rest, events)
        self._buffer = rest
        return events

    def _take_counted(self, count: Count, octets: str, at: int, events: list[Event]) -> int:
        """Take the payload that begins there, if all of it has come; where the next line begins."""
        at, size = count.measure(octets, at)
        if size is None:
            return at
        self._count = None
        if size < 0:
            self._headers.append(count.header)
            return at
        events.append(count.header.event(octets[at : at + size]))
        return at + size

    def _start(self, line: str, events: list[Event]) -> str:
        """What may be told of a line before its end has come: a prompt, or that it is too long."""
        line = self._prompt(line, events)
        if len(line) <= MAX_LINE:
            return line
        events.append(noise("a line without end", line))
        self._skipping = True
        return ""

    def _prompt(self, line: str, events: list[Event]) -> str:
        """Take a prompt off the start of a line, which may never get its end; what is left of the line."""
        if self._after_prompt:
            return line.lstrip(" ")
        found = PROMPT.match(line)
        if found is None or self._may_begin_text():
            return line
        junk(found[1], events)
        self._take_prompt(events)
        self._after_prompt = True
        return line[found.end() :]

    def _may_begin_text(self) -> bool:
        """Whether the pending command is answered by free text, which may begin with `>`."""
        return self._pending is not None and any(not answer.name for answer in self._pending.answers)

    def _take_prompt(self, events: list[Event]) -> None:
        """A `>` at the start of a line."""
        if self._pending is None or not self._pending.body:
            self._out += ESC
            events.append(LateResult(">", prompt=True))
        elif not self._prompted:
            self._prompted = True
            self._echo_left = ""
            events.append(Prompt())

    def _line(self, line: str, events: list[Event]) -> None:
        """One line, without its end."""
        line = line.strip(" ")
        if not (line.isascii() and line.isprintable()):
            whole, line = line, without_junk(line, self._pending, events)
            if not line and self._headers:
                self._headers[-1].doubt(whole)
        text = line.strip(" ")
        if not text or (self._echo_left and self._is_echo(text)):
            return
        final = final_result(text, numeric=not self._verbose)
        if self._headers and self._payload(text, final, events):
            return
        if final is not None:
            self._close_headers(False, events)
            events.append(self._result(text, final))
        elif (answer := form(self._pending, text)) and self._is_due(answer):
            self._informed = True
            self._echo_left = ""
            if self._pending is not None and self._pending.marks:
                self.trust()
            self._header(Header(text, answer.payload, Information), events)
        elif late := next((found for past in self._past if (found := form(past, text))), None):
            self._header(Header(text, late.payload, LateResult), events)
        elif HEX.fullmatch(text) and len(text) >= 16:
            events.append(noise("a payload without a header", text))
        elif text[:2] == "AT":
            events.append(noise("a command line that is not ours", text))
        else:
            name = text.partition(":")[0]
            payload = self._announced.get(name, Payload.NONE) if ":" in text else Payload.NONE
            self._header(Header(text, payload, Unsolicited), events)

    def _payload(self, text: str, final: FinalResult | None, events: list[Event]) -> bool:
        """Whether this line was the payload that the last header waits for."""
        header = self._headers[-1]
        if HEX.fullmatch(text):
            self._headers.pop()
            if header.doubtful is not None and JUNK.search(header.doubtful) is None:
                events.append(Unsolicited(header.doubtful))
            events.append(header.event(text))
            return True
        clear = final is not None or is_code(text)
        if clear or header.doubtful is not None or text[:2] == "AT":
            return False
        if header.kind is Unsolicited:
            self._headers.pop()
            events.append(header.event(text))
        else:
            header.doubtful = text
        return True

    def _header(self, header: Header, events: list[Event]) -> None:
        """A line that may have a payload. One of the same kind before it will get none any more."""
        payload, length = header.payload, 0
        if payload is Payload.COUNTED:
            payload, length = following(header.text)
        if payload is Payload.NONE:
            events.append(header.event(None))
            return
        self._close_headers(header.kind is Unsolicited, events)
        if payload is Payload.COUNTED:
            self._count = Count(header, length)
        else:
            self._headers.append(header)

    def _header_ended(self, end: str) -> None:
        """A line has ended; if it announced a payload, this is how its line ends too."""
        if self._count is not None:
            self._count.end = end

    def _close_headers(self, unsolicited: bool, events: list[Event]) -> None:
        """Wait no longer for the payload of news, or of an answer: a final result or the next header came."""
        for header in [header for header in self._headers if (header.kind is Unsolicited) is unsolicited]:
            self._headers.remove(header)
            events.append(header.event(header.doubtful))

    def _is_due(self, answer: Answer) -> bool:
        """Whether the pending command still waits for such a line."""
        pending = self._pending
        if pending is None or (pending.body and not self._body_written):
            return False
        return answer.many or not self._informed

    def _result(self, text: str, final: FinalResult) -> Event:
        """Whose final result it is."""
        self._verbose = self._verbose or text in ("OK", "ERROR")
        pending = self._pending
        unmarked = self._dirty and pending is not None and pending.marks and not self._informed
        early = pending is not None and pending.body and final.ok and not self._body_written
        if pending is None or unmarked or early:
            return LateResult(text, final=final)
        self._pending = None
        if final.ok and pending.informs and not self._informed:
            self.distrust(pending)  # at once: its answer may follow in the same octets
        return final

    # The echo

    def _begin_echo(self, text: str) -> None:
        self._echo = self._echo_left = text.replace(" ", "")

    def _is_echo(self, text: str) -> bool:
        """Whether this line is a piece of what was written last.

        The first piece must be more than one character, for a command line it begins with AT by itself.
        """
        piece = text.replace(" ", "")
        if not self._echo_left.startswith(piece) or (len(piece) < 2 and self._echo_left is self._echo):
            return False
        self._echo_left = self._echo_left[len(piece) :]
        self._echo_seen = True
        return True
