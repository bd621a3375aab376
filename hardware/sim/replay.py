"""A module that replays a recorded conversation.

The recording is split into exchanges: a request of the host, the module's response up to its final result
code or prompt, and the unsolicited output before the next request. The replayed module waits for the host's
command lines and gives the recorded responses, after the recorded delays or at once.

A request is looked up in this order:

1. The next exchange. Unsolicited output recorded before it is written first, if it was not written yet.
2. An exchange that was skipped earlier, and a later one that may be played before those in between: queries
   among queries; other commands if none of those in between has the same subject (the same command; for +CMGR
   and +CMGD the same index) or changes the context (`_CONTEXT_COMMANDS`).
3. For a query: its latest response so far, then its next one.
4. The first exchange of the next connection.

A query is a command that changes nothing: `AT`, `ATI`, `AT+CSQ`, `AT+CREG?`, `AT+CNMI=?`, and `AT+CMGR=2` if
slot 2 was read before and not changed since. The length after +CMGS and the text after the prompt may differ.
A PIN may always differ, in a masked recording numbers too.
Any other request is reported as a divergence, with the line of the recording, and answered with ERROR.
"""

from __future__ import annotations

from collections import deque
from dataclasses import replace
from typing import TYPE_CHECKING

from hardware.recording import escape_bytes
from hardware.sim.replay_exchanges import (
    Chunk,
    Exchange,
    is_query,
    is_slot_read,
    next_input,
    normalise_request,
    request_subjects,
    split_exchanges,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from hardware.recording import Recording
    from hardware.sim.interfaces import Scheduler, TimerHandle

MAX_INPUT_BYTES = 65536
"""Input octets that may wait while a response is played."""

_CONTEXT_COMMANDS = {"+CPMS", "+CMGF", "+CSCS", "+CFUN", "Z", "&F"}
"""Commands that change the meaning of others."""


class ReplayedModule:
    """Replays one recording; `write` takes the octets for the host.

    With `delays` the recorded delays are kept, otherwise everything is written at once. `hang_up` is called
    where the recorded connection ended, `on_divergence` with a sentence about each request that is not in the
    recording.
    """

    def __init__(
        self,
        scheduler: Scheduler,
        recording: Recording,
        write: Callable[[bytes], None],
        *,
        delays: bool = False,
        hang_up: Callable[[], None] = lambda: None,
        on_divergence: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._scheduler = scheduler
        self._write = write
        self._hang_up = hang_up
        self._on_divergence = on_divergence
        self._masked = recording.is_masked
        self._responses = _TimedWriter(scheduler, write, delays=delays)
        self._unsolicited = _TimedWriter(scheduler, write, delays=delays)
        self._opening, self._exchanges = split_exchanges(recording)
        self.divergences: list[str] = []
        self._next_index = 0
        """The exchange after the last one that was played in order."""
        self._input = bytearray()
        self._responding = self._processing = False
        self._prompt_index: int | None = None
        """The exchange whose prompt was written last; None outside a text entry."""

    def start(self) -> None:
        """Write the output recorded before the first request, which otherwise follows the first request."""
        opening, self._opening = self._opening, []
        self._unsolicited.write(opening, lambda: None)

    @property
    def unplayed_requests(self) -> list[str]:
        """A sentence for each recorded request that the host did not send; queries are left out."""
        return [
            f"line {exchange.line_number}: {_escape(exchange.request)} was not sent"
            for exchange in self._exchanges
            if not exchange.played and not exchange.is_query
        ]

    @property
    def is_finished(self) -> bool:
        """True when the last exchange has been played."""
        return self._next_index == len(self._exchanges)

    def receive(self, data: bytes) -> None:
        """Process octets from the host."""
        self._input += data[: MAX_INPUT_BYTES - len(self._input)]
        self._process_input()

    def _process_input(self) -> None:
        """Process the requests one by one, each when the one before is answered."""
        if self._processing:
            return
        self._processing = True
        while not self._responding and (
            request := next_input(self._input, text_entry=self._prompt_index is not None)
        ):
            self._handle_input(request)
        self._processing = False

    def _handle_input(self, request: bytes) -> None:
        prompt_index, self._prompt_index = self._prompt_index, None
        if prompt_index is not None:
            self._play_text(prompt_index + 1, request)
            return
        key = normalise_request(request, masked=self._masked)
        index, in_order = self._find_exchange(key)
        if index is not None:
            self._play_exchange(index, request, in_order=in_order)
        elif request != b"\x1b":  # ESC outside of a text entry is ignored
            self._report_divergence(request, b"\r\nERROR\r\n")

    # Lookup

    def _find_exchange(self, request_key: str) -> tuple[int | None, bool]:
        """Return the index of the exchange to play, and whether it is played in order."""
        exchanges = self._exchanges
        query = is_query(request_key) or self._repeats_read(request_key)
        begin, end = self._connection_bounds()
        same = [index for index, exchange in enumerate(exchanges) if exchange.request_key == request_key]
        unplayed = [index for index in same if not exchanges[index].played]
        due = next((index for index in range(self._next_index, end) if not exchanges[index].played), end)
        if due < end and due in unplayed:
            return due, True
        if skipped := [index for index in unplayed if begin <= index < self._next_index]:
            return skipped[0], False
        ahead = [index for index in unplayed if self._next_index <= index < end]
        if ahead and self._can_skip_to(ahead[0], begin):
            return ahead[0], True
        if query and (
            passed := [index for index in same if index < self._next_index or exchanges[index].played]
        ):
            return passed[-1], False
        if query and ahead:
            return ahead[0], False
        return (end, True) if end in unplayed else (None, False)

    def _repeats_read(self, request_key: str) -> bool:
        """Return True for a read of a slot that was read last: nothing has changed it since."""
        own = request_subjects(request_key)
        played = [each.request_key for each in self._exchanges if each.played]
        last = next((key for key in reversed(played) if own & request_subjects(key)), None)
        return is_slot_read(request_key) and last == request_key

    def _connection_bounds(self) -> tuple[int, int]:
        """Return the first exchange of the current connection, and the one after its last."""
        ends = [index + 1 for index, exchange in enumerate(self._exchanges) if exchange.ends_connection]
        begin = max((end for end in ends if end < self._next_index), default=0)
        return begin, min((end for end in ends if end >= self._next_index > 0), default=len(self._exchanges))

    def _can_skip_to(self, index: int, begin: int) -> bool:
        """Return True if the exchanges before `index` may be played later."""
        exchanges = self._exchanges
        if exchanges[index].is_query:
            between = [exchange for exchange in exchanges[self._next_index : index] if not exchange.played]
            return all(exchange.is_query and not exchange.unsolicited for exchange in between)
        own = request_subjects(exchanges[index].request_key)
        in_effect = {
            name: exchange.request_key
            for exchange in exchanges
            if exchange.played
            for name in request_subjects(exchange.request_key)
        }
        for exchange in exchanges[begin:index]:
            if exchange.played or exchange.is_query:
                continue
            others = request_subjects(exchange.request_key)
            if own & others or any(
                in_effect.get(name) != exchange.request_key for name in others & _CONTEXT_COMMANDS
            ):
                return False
        return True

    # Playback

    def _play_exchange(self, index: int, request: bytes, *, in_order: bool) -> None:
        exchange = self._exchanges[index]
        if in_order:
            self._write_missed(index)
            self._next_index = index + 1
        exchange.played = self._responding = True

        def on_written() -> None:
            self._responding = False
            if exchange.ends_with_prompt:
                self._prompt_index = index
            if in_order:
                self._unsolicited.write(
                    exchange.unsolicited, self._end_connection if exchange.ends_connection else lambda: None
                )
            self._process_input()

        self._responses.write(_with_actual_echo(exchange, request), on_written)

    def _play_text(self, index: int, text: bytes) -> None:
        """Play the exchange of a text entry, which must follow its prompt in the recording."""
        exchange = self._exchanges[index] if index < len(self._exchanges) else None
        if exchange is not None and not exchange.request_key and exchange.request[-1:] == text[-1:]:
            self._play_exchange(index, text, in_order=index >= self._next_index)
        else:
            self._report_divergence(text, b"\r\nOK\r\n", index)

    def _write_missed(self, index: int) -> None:
        """Write the unsolicited output that was recorded before this exchange and not written yet."""
        self._unsolicited.flush()
        missed = self._opening
        self._opening = []
        for before in range(max(0, self._next_index - 1), index):
            exchange = self._exchanges[before]
            missed += (
                exchange.greeting if before < self._next_index else exchange.unsolicited + exchange.greeting
            )
        if missed:
            self._write(b"".join(chunk.octets for chunk in missed))

    def _end_connection(self) -> None:
        self._prompt_index = None
        self._input.clear()
        self._scheduler.call_later(0.0, self._hang_up)  # not while octets of the host are processed

    def _report_divergence(self, request: bytes, response: bytes, index: int | None = None) -> None:
        if index is None:
            begin, _ = self._connection_bounds()
            skipped = [
                exchange for exchange in self._exchanges[begin : self._next_index] if not exchange.is_query
            ]
            due = [*skipped, *self._exchanges[self._next_index :]]
            waiting = [exchange for exchange in due if not exchange.played]
        else:
            waiting = self._exchanges[index:]
        sentence = f"the host sent {_escape(request)}"
        if waiting:
            due_request = _escape(waiting[0].request)
            sentence = f"line {waiting[0].line_number}: the recording has {due_request}, but {sentence}"
        else:
            sentence = f"the recording is over, but {sentence}"
        self.divergences.append(sentence)
        self._write(response)
        self._on_divergence(sentence)


class _TimedWriter:
    """Writes chunks one after the other, with or without their delays."""

    def __init__(self, scheduler: Scheduler, write: Callable[[bytes], None], *, delays: bool) -> None:
        self._scheduler = scheduler
        self._write = write
        self._delays = delays
        self._queue: deque[Chunk] = deque()
        self._on_written: Callable[[], None] = lambda: None
        self._timer: TimerHandle | None = None

    def write(self, chunks: list[Chunk], on_written: Callable[[], None]) -> None:
        """Write the chunks, then call `on_written`."""
        self._queue.extend(chunks)
        self._on_written = on_written
        if self._delays:
            self._schedule_next()
        else:
            self.flush()
            on_written()

    def flush(self) -> None:
        """Write the remaining chunks at once, without calling `on_written`."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if octets := b"".join(chunk.octets for chunk in self._queue):
            self._write(octets)
        self._queue.clear()

    def _schedule_next(self) -> None:
        if self._queue:
            self._timer = self._scheduler.call_later(self._queue[0].delay_s, self._write_next)
        else:
            self._timer = None
            self._on_written()

    def _write_next(self) -> None:
        if octets := self._queue.popleft().octets:
            self._write(octets)
        self._schedule_next()


def _with_actual_echo(exchange: Exchange, request: bytes) -> list[Chunk]:
    """Return the response with the echo of the actual request."""
    response = list(exchange.response)
    recorded = exchange.request
    for own, new in ((recorded, request), (recorded[:-1], request[:-1])):
        if response and own and response[0].octets.startswith(own):
            response[0] = replace(response[0], octets=new + response[0].octets[len(own) :])
            break
    return response


def _escape(octets: bytes) -> str:
    return escape_bytes(octets.rstrip(b"\r"))
