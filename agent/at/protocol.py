"""The AT protocol without I/O: received bytes in, events and bytes to send out. It has no clock.

A line ends with CR or LF, in any combination (empty lines are ignored). The meaning of a
line depends on the pending command. It is decided in this order:

1. A `>` at the start of a line is the prompt, if the pending command waits for one. Otherwise text entry is
   open by mistake, and is closed by ESC.
2. The echo of what was written last is dropped. It may come in pieces, with URCs between them, but before
   any answer.
3. After a header with a payload, one line of two or more hexadecimal digits is that payload, whatever else it
   might be. URCs and result codes may come in between. Any other text is taken as the payload too, so that
   a damaged payload counts as one undecodable message; if the hexadecimal line comes after it, the text was a
   URC. If text follows the digits on their line, the announced octets are the payload. Where that text is a
   result code, a line end was lost, and the text is processed as the next line.
   In text mode the header counts the payload: so many octets are taken as they are, whatever they contain.
   If the count does not fit, the payload is searched line by line as above.
4. A final result code ends the pending command. `0` and `4` count (ATV0) until a result code in words was
   received. NO CARRIER and similar codes are URCs, because this agent never dials.
5. A line that has the form of the pending command's answer is information. If the answer is free text, that
   is every line except the known URCs. A line with the name of the answer in another form, or a second one
   where only one is expected, is a URC. But if OK comes and nothing had the form of the answer, the last line
   with its name is the answer, see `odd_answer`.
6. Everything else is a URC, in the order received.

After a command was abandoned the protocol is unsynchronised. A line in the form of its answer is stale, and
so is each final result code, until the information line of a synchronisation query has come: what precedes
a result code is the only way to distinguish it from an earlier one.

Every buffer is bounded. Noise that is joined to a line is cut off and reported once.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum

from agent.at.command import AtCommand, PayloadKind, ResponsePattern
from agent.at.echo import Echo
from agent.at.errors import AtUsageError
from agent.at.events import AtEvent, FinalResult, Information, NoiseKind, Prompt, StaleResult, Unsolicited
from agent.at.line_parser import (
    LINE_END,
    NON_TEXT,
    PROMPT,
    is_result_code,
    may_hold_message,
    parse_final_result,
    parse_pdu_mode_length,
    parse_text_mode_header,
    split_header_line,
    split_payload_line,
    starts_line,
)
from agent.at.noise import append_noise, make_noise, strip_noise
from agent.at.odd_answer import OddAnswer
from agent.at.payload import CountedPayload, PendingPayload, match_response

MAX_LINE_BYTES = 4096
"""The longest line expected is a PDU of 2 x 176 digits; lines of text mode are shorter."""
MIN_LOST_DIGITS = 16
"""A line of so many hexadecimal digits is a payload whose header was lost."""
ESC = b"\x1b"

PDU_MODE_URC_PAYLOADS = {
    "+CMT": PayloadKind.HEX_LINE,
    "+CDS": PayloadKind.HEX_LINE,
    "+CBM": PayloadKind.HEX_LINE,
}
"""The URCs with a payload in PDU mode (27.005)."""


class _Stage(Enum):
    """The stage of the pending command."""

    COMMAND_SENT = "the command line was sent"
    PROMPTED = "the module waits for the body"
    BODY_SENT = "the body was sent"


class AtProtocol:
    """The protocol state of one connection."""

    def __init__(self, urc_payloads: Mapping[str, PayloadKind] = PDU_MODE_URC_PAYLOADS) -> None:
        """`urc_payloads`: which URCs are followed by a payload, by name."""
        self._urc_payloads = urc_payloads
        self._buffer = ""
        self._is_discarding_line = False
        self._is_after_prompt = False
        self._write_buffer = b""
        self._pending: AtCommand | None = None
        self._abandoned: list[AtCommand] = []
        self._is_unsynced = False
        self._verbose_results_seen = False
        self._pending_payloads: list[PendingPayload] = []
        self._counted_payload: CountedPayload | None = None
        self._echo = Echo()
        self._information_seen = False
        self._odd_answer = OddAnswer()
        self._stage = _Stage.COMMAND_SENT

    def set_urc_payloads(self, urc_payloads: Mapping[str, PayloadKind]) -> None:
        """Set which URCs are followed by a payload in another message format."""
        self._urc_payloads = urc_payloads

    # Sending

    def send_command(self, command: AtCommand) -> None:
        """Send a command line. Raises AtUsageError while another command is pending."""
        if self._pending is not None:
            raise AtUsageError(
                command.line, f"{command.redacted_line} while {self._pending.redacted_line} is pending"
            )
        self._pending = command
        self._information_seen = self._echo.seen = False
        self._stage = _Stage.COMMAND_SENT
        self._echo.expect(command.line)
        self._write_buffer += command.line.encode() + b"\r"

    def send_body(self) -> None:
        """Send the body of the pending command. Raises AtUsageError before its prompt."""
        if self._pending is None or self._stage is not _Stage.PROMPTED:
            raise AtUsageError("", "the body was sent without a prompt")
        self._stage = _Stage.BODY_SENT
        self._echo.expect(NON_TEXT.sub("", self._pending.body.decode("latin-1")))
        self._write_buffer += self._pending.body

    def abandon(self) -> None:
        """Stop waiting for the pending command. The protocol is unsynchronised from here on."""
        if self._pending is not None:
            self._abandoned.append(self._pending)
            self._pending = None
        if self._counted_payload is not None:  # octets were lost: the rest is read line by line
            self._pending_payloads.append(self._counted_payload.pending)
            self._counted_payload = None
        for header in self._pending_payloads:
            header.mark_stale()
        self.mark_unsynced()

    def mark_unsynced(self, answered: AtCommand | None = None) -> None:
        """Expect results of earlier commands, perhaps in numbers (ATV0).

        `answered`: a command that has a result, which may be another command's.
        """
        if answered is not None:
            self._abandoned.append(answered)
        self._is_unsynced = True
        self._verbose_results_seen = False

    def mark_synced(self) -> None:
        """Expect no more results of earlier commands."""
        self._is_unsynced = False
        self._abandoned.clear()

    def data_to_send(self) -> bytes:
        """Return the bytes to write to the transport now."""
        data, self._write_buffer = self._write_buffer, b""
        return data

    @property
    def partial_line(self) -> str:
        """The received line that has not ended yet."""
        return self._buffer

    def discard_partial_line(self) -> None:
        """Drop the received line that has not ended yet."""
        self._buffer = ""
        self._counted_payload = None

    @property
    def echo_seen(self) -> bool:
        """True if the module echoed the last command line or its body."""
        return self._echo.seen

    # Receiving

    def receive_data(self, data: bytes) -> list[AtEvent]:
        """Return the events that these bytes complete, in order."""
        events: list[AtEvent] = []
        self._odd_answer.release(events, self._pending)
        received = self._buffer + data.decode("latin-1")
        offset = 0
        while True:
            if self._counted_payload is not None:
                offset = self._take_counted_payload(self._counted_payload, received, offset, events)
            if self._counted_payload is not None or (end := LINE_END.search(received, offset)) is None:
                break
            if not self._is_discarding_line:
                self._process_line(self._process_line_start(received[offset : end.start()], events), events)
            self._is_discarding_line = self._is_after_prompt = False
            offset = end.end()
            self._set_header_line_end(end[0])
        rest = received[offset:]
        if self._counted_payload is None:
            rest = "" if self._is_discarding_line else self._process_line_start(rest, events)
        self._buffer = rest
        return events

    def _take_counted_payload(
        self, counted: CountedPayload, received: str, offset: int, events: list[AtEvent]
    ) -> int:
        """Take the payload at `offset` if all of it was received. Return where the next line begins."""
        offset, size = counted.measure(received, offset)
        if size is None:
            return offset
        self._counted_payload = None
        if size < 0:
            self._pending_payloads.append(counted.pending)
            return offset
        end = offset + size
        events.append(counted.pending.make_event(received[offset:end]))
        if received[end] != counted.line_end:
            rest = received[end:].splitlines()[0]
            events.append(make_noise(NoiseKind.JOINED_LINES, rest))
            self._is_discarding_line = not starts_line(rest)
        return end

    def _process_line_start(self, line: str, events: list[AtEvent]) -> str:
        """Handle a prompt at the start of a line, and a line that is too long. Return the rest."""
        line = self._strip_prompt(line, events)
        if len(line) <= MAX_LINE_BYTES:
            return line
        events.append(make_noise(NoiseKind.UNTERMINATED_LINE, line))
        self._is_discarding_line = True
        return ""

    def _strip_prompt(self, line: str, events: list[AtEvent]) -> str:
        """Handle a prompt, which has no line end. Return the rest of the line."""
        if self._is_after_prompt:
            return line.lstrip(" ")
        found = PROMPT.match(line)
        if found is None or self._accepts_free_text():
            return line
        append_noise(found[1], events)
        self._handle_prompt(events)
        self._is_after_prompt = True
        return line[found.end() :]

    def _accepts_free_text(self) -> bool:
        """Return True if the answer of the pending command is free text, which may begin with `>`."""
        return self._pending is not None and any(
            not pattern.prefix for pattern in self._pending.response_patterns
        )

    def _handle_prompt(self, events: list[AtEvent]) -> None:
        """Report the prompt of the pending command, or close text entry that is open by mistake."""
        if self._pending is None or not self._pending.body:
            self._write_buffer += ESC
            events.append(StaleResult(">", is_prompt=True))
        elif self._stage is _Stage.COMMAND_SENT:
            self._stage = _Stage.PROMPTED
            self._echo.end()
            events.append(Prompt())

    def _process_line(self, line: str, events: list[AtEvent]) -> None:
        """Classify one line, without its end."""
        line = line.strip(" ")
        if not (line.isascii() and line.isprintable()):
            whole, line = line, strip_noise(line, self._pending, events)
            if not line and self._pending_payloads:
                self._take_noisy_payload(whole, events)
        text = line.strip(" ")
        if not text or self._echo.consume(text):
            return
        final = parse_final_result(text, allow_numeric=not self._verbose_results_seen)
        if self._pending_payloads and self._try_take_payload(text, final, events):
            return
        if final is not None:
            self._flush_pending_payloads(False, events)
            if final.ok and not self._information_seen and self._pending is not None:
                self._information_seen = self._odd_answer.accept(events)
            self._odd_answer.release(events)
            events.append(self._attribute_final_result(text, final))
        elif (pattern := match_response(self._pending, text)) and self._is_expected(pattern):
            self._odd_answer.release(events)
            self._information_seen = True
            self._echo.end()
            if self._pending is not None and self._pending.is_sync_marker:
                self.mark_synced()
            self._process_header(PendingPayload(text, pattern.payload_kind, Information), events)
        elif stale := next(filter(None, (match_response(each, text) for each in self._abandoned)), None):
            self._process_header(PendingPayload(text, stale.payload_kind, StaleResult), events)
        elif not self._information_seen and self._odd_answer.hold(self._pending, text, events):
            pass
        elif (lost := split_payload_line(text, None)) is not None and len(lost[0]) >= MIN_LOST_DIGITS:
            self._append_payload(PendingPayload("", PayloadKind.HEX_LINE, Unsolicited), lost, events)
        elif text[:2] == "AT":
            events.append(make_noise(NoiseKind.FOREIGN_COMMAND, text))
        else:
            name = text.partition(":")[0].rstrip()
            payload = self._urc_payloads.get(name, PayloadKind.NONE) if ":" in text else PayloadKind.NONE
            self._process_header(PendingPayload(text, payload, Unsolicited), events)

    def _try_take_payload(self, text: str, final: FinalResult | None, events: list[AtEvent]) -> bool:
        """Take a line as the payload of the last header. Return False if it is not that payload."""
        header = self._pending_payloads[-1]
        if (payload := split_payload_line(text, parse_pdu_mode_length(header.header))) is not None:
            self._pending_payloads.pop()
            if header.fallback is not None and NON_TEXT.search(header.fallback) is None:
                events.append(Unsolicited(header.fallback))
            self._append_payload(header, payload, events)
            return True
        is_code = final is not None or is_result_code(text)
        if is_code or header.fallback is not None or text[:2] == "AT":
            return False
        if header.event_type is Unsolicited:
            self._pending_payloads.pop()
            events.append(header.make_event(text))
        else:
            header.fallback = text
        return True

    def _take_noisy_payload(self, line: str, events: list[AtEvent]) -> None:
        """Use a line with non-text octets as the payload of the last header, if nothing better can come."""
        header = self._pending_payloads[-1]
        payload = split_payload_line(line, parse_pdu_mode_length(header.header))
        if payload is None and header.event_type is Unsolicited and may_hold_message(line):
            payload = line, ""  # a direct delivery has no second copy: it is kept as it came
        if payload is None:
            header.set_fallback(line)
        else:
            self._pending_payloads.pop()
            self._append_payload(header, payload, events)

    def _append_payload(
        self, header: PendingPayload, payload: tuple[str, str], events: list[AtEvent]
    ) -> None:
        """Report a header with its payload, and process the text that followed on the same line."""
        octets, rest = payload
        events.append(header.make_event(octets))
        if starts_line(rest):
            events.append(make_noise(NoiseKind.JOINED_LINES, rest))
            self._process_line(rest, events)

    def _process_header(self, header: PendingPayload, events: list[AtEvent]) -> None:
        """Handle a line that may have a payload. Earlier headers of the same kind get no payload any more."""
        payload, length = header.payload_kind, 0
        if payload is PayloadKind.COUNTED:
            payload, length = parse_text_mode_header(header.header)
        if payload is PayloadKind.NONE:
            events.append(header.make_event(None))
            return
        self._flush_pending_payloads(header.event_type is Unsolicited, events)
        if payload is PayloadKind.COUNTED:
            self._counted_payload = CountedPayload(header, length)
        elif (joined := split_header_line(header.header)) is not None:
            header.header = joined[0]
            events.append(make_noise(NoiseKind.JOINED_LINES, joined[1]))
            events.append(header.make_event(joined[1]))
        else:
            self._pending_payloads.append(header)

    def _set_header_line_end(self, line_end: str) -> None:
        """Record how a header line ended: the line of its payload ends in the same way."""
        if self._counted_payload is not None:
            self._counted_payload.line_end = line_end

    def _flush_pending_payloads(self, unsolicited: bool, events: list[AtEvent]) -> None:
        """Stop waiting for the payloads of URCs, or of answers: a final result or the next header came."""
        for header in [
            header for header in self._pending_payloads if (header.event_type is Unsolicited) is unsolicited
        ]:
            self._pending_payloads.remove(header)
            events.append(header.make_event(header.fallback))

    def _is_expected(self, pattern: ResponsePattern) -> bool:
        """Return True if the pending command still waits for a line of this form."""
        pending = self._pending
        if pending is None or (pending.body and self._stage is not _Stage.BODY_SENT):
            return False
        return pattern.may_repeat or not pattern.prefix or not self._information_seen

    def _attribute_final_result(self, text: str, final: FinalResult) -> AtEvent:
        """Return the final result of the pending command, or a stale result."""
        self._verbose_results_seen = self._verbose_results_seen or text in ("OK", "ERROR")
        pending = self._pending
        is_unmarked = (
            self._is_unsynced
            and pending is not None
            and pending.is_sync_marker
            and not self._information_seen
        )
        is_early = pending is not None and pending.body and final.ok and self._stage is not _Stage.BODY_SENT
        if pending is None or is_unmarked or is_early:
            return StaleResult(text, final=final)
        self._pending = None
        if final.ok and pending.requires_information and not self._information_seen:
            self.mark_unsynced(pending)  # at once: its answer may follow in the same read
        return final
