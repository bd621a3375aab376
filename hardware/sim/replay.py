"""A recorded conversation plays the module.

The recording is cut into exchanges: what the host said, what the module answered up to its final result or
prompt, and what the module said by itself before the host spoke again. The replayed module waits for the
host's command lines and answers what was recorded, after the recorded delays or at once.

What the host says is looked for in this order:

1. The next exchange. Everything that the module said by itself before it is said first, if it was not yet.
2. An exchange that was passed over earlier, and one further on that may be asked before those in between:
   questions among questions; other commands when none of those in between is about the same thing (the same
   command, for +CMGR and +CMGD the same index) or changes what it means (`_BARRIERS`).
3. For a question: its latest answer so far, then its next one.
4. The first exchange of the next connection.

A question is a command that changes nothing: `AT`, `ATI`, `AT+CSQ`, `AT+CREG?`, `AT+CNMI=?`. The length after
+CMGS and the text that follows the prompt may be any. In a masked recording numbers may be any, a PIN in all.
Whatever else the host says is told as a divergence, with the line of the recording, and answered ERROR.
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
"""Octets from the host that may wait."""

_CONTEXT_COMMANDS = {"+CPMS", "+CMGF", "+CSCS", "+CFUN", "Z", "&F"}
"""Commands that change what others mean."""


class ReplayedModule:
    """Plays one recording; `write` takes octets for the host.

    `delays` says whether the module takes the time that it took; else everything comes at once. `hang_up` is
    called where the connection ended, `diverged` with each sentence about what is not in the recording.
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
        """The exchange after the furthest that was played in its place."""
        self._input = bytearray()
        self._responding = self._processing = False
        self._prompt_index: int | None = None
        """The exchange whose prompt was said."""

    def start(self) -> None:
        """Say what the module said before it was spoken to; else it says so when it is first spoken to."""
        opening, self._opening = self._opening, []
        self._unsolicited.write(opening, lambda: None)

    @property
    def unplayed_requests(self) -> list[str]:
        """What the recording has and the host did not say, a sentence for each; questions are left out."""
        return [
            f"line {exchange.line_number}: {_escape(exchange.request)} was not said"
            for exchange in self._exchanges
            if not exchange.played and not exchange.is_query
        ]

    @property
    def is_finished(self) -> bool:
        """Whether the end of the recording was reached."""
        return self._next_index == len(self._exchanges)

    def receive(self, data: bytes) -> None:
        """Octets from the host."""
        self._input += data[: MAX_INPUT_BYTES - len(self._input)]
        self._process_input()

    def _process_input(self) -> None:
        """Take up what the host said, one line after the other, when the last is answered."""
        if self._processing:
            return
        self._processing = True
        while not self._responding and (
            said := next_input(self._input, text_entry=self._prompt_index is not None)
        ):
            self._handle_input(said)
        self._processing = False

    def _handle_input(self, request: bytes) -> None:
        entering, self._prompt_index = self._prompt_index, None
        if entering is not None:
            self._play_text(entering + 1, request)
            return
        key = normalise_request(request, masked=self._masked)
        place, in_place = self._find_exchange(key)
        if place is not None:
            self._play_exchange(place, request, in_order=in_place)
        elif request != b"\x1b":  # outside of a text it means nothing
            self._report_divergence(request, b"\r\nERROR\r\n")

    # Looking

    def _find_exchange(self, request_key: str) -> tuple[int | None, bool]:
        """Which exchange is meant, and whether the conversation has got there."""
        every, question = self._exchanges, is_query(request_key)
        begin, end = self._connection_bounds()
        wanted = [place for place, exchange in enumerate(every) if exchange.request_key == request_key]
        fresh = [place for place in wanted if not every[place].played]
        due = next((place for place in range(self._next_index, end) if not every[place].played), end)
        if due < end and due in fresh:
            return due, True
        if passed := [place for place in fresh if begin <= place < self._next_index]:
            return passed[0], False
        ahead = [place for place in fresh if self._next_index <= place < end]
        if ahead and self._can_skip_to(ahead[0], begin):
            return ahead[0], True
        if question and (
            known := [place for place in wanted if place < self._next_index or every[place].played]
        ):
            return known[-1], False
        if question and ahead:
            return ahead[0], False
        return (end, True) if end in fresh else (None, False)

    def _connection_bounds(self) -> tuple[int, int]:
        """From which exchange to before which one the present connection goes."""
        ends = [place + 1 for place, exchange in enumerate(self._exchanges) if exchange.ends_connection]
        begin = max((end for end in ends if end < self._next_index), default=0)
        return begin, min((end for end in ends if end >= self._next_index > 0), default=len(self._exchanges))

    def _can_skip_to(self, index: int, begin: int) -> bool:
        """Whether what stands between may as well come later."""
        every = self._exchanges
        if every[index].is_query:
            between = [exchange for exchange in every[self._next_index : index] if not exchange.played]
            return all(exchange.is_query and not exchange.unsolicited for exchange in between)
        own = request_subjects(every[index].request_key)
        standing = {
            name: exchange.request_key
            for exchange in every
            if exchange.played
            for name in request_subjects(exchange.request_key)
        }
        for exchange in every[begin:index]:
            if exchange.played or exchange.is_query:
                continue
            others = request_subjects(exchange.request_key)
            if own & others or any(
                standing.get(name) != exchange.request_key for name in others & _CONTEXT_COMMANDS
            ):
                return False
        return True

    # Playing

    def _play_exchange(self, index: int, request: bytes, *, in_order: bool) -> None:
        exchange = self._exchanges[index]
        if in_order:
            self._write_missed(index)
            self._next_index = index + 1
        exchange.played = self._responding = True

        def answered() -> None:
            self._responding = False
            if exchange.ends_with_prompt:
                self._prompt_index = index
            if in_order:
                self._unsolicited.write(
                    exchange.unsolicited, self._end_connection if exchange.ends_connection else lambda: None
                )
            self._process_input()

        self._responses.write(_with_actual_echo(exchange, request), answered)

    def _play_text(self, index: int, text: bytes) -> None:
        """What follows a prompt belongs to its command."""
        exchange = self._exchanges[index] if index < len(self._exchanges) else None
        if exchange is not None and not exchange.request_key and exchange.request[-1:] == text[-1:]:
            self._play_exchange(index, text, in_order=index >= self._next_index)
        else:
            self._report_divergence(text, b"\r\nOK\r\n", index)

    def _write_missed(self, index: int) -> None:
        """Say what the module said by itself before this exchange and has not said yet."""
        self._unsolicited.flush()
        late = self._opening
        self._opening = []
        for before in range(max(0, self._next_index - 1), index):
            exchange = self._exchanges[before]
            late += (
                exchange.greeting if before < self._next_index else exchange.unsolicited + exchange.greeting
            )
        if late:
            self._write(b"".join(each.octets for each in late))

    def _end_connection(self) -> None:
        self._prompt_index = None
        self._input.clear()
        self._scheduler.call_later(0.0, self._hang_up)  # not while the host's octets are being read

    def _report_divergence(self, request: bytes, response: bytes, index: int | None = None) -> None:
        due = self._next_index if index is None else index
        waiting = [exchange for exchange in self._exchanges[due:] if index is not None or not exchange.played]
        sentence = f"the host says {_escape(request)}"
        if waiting:
            sentence = (
                f"line {waiting[0].line_number}: the recording has {_escape(waiting[0].request)}, {sentence}"
            )
        else:
            sentence = f"the recording is over, {sentence}"
        self.divergences.append(sentence)
        self._write(response)
        self._on_divergence(sentence)


class _TimedWriter:
    """Says one thing after the other."""

    def __init__(self, scheduler: Scheduler, write: Callable[[bytes], None], *, delays: bool) -> None:
        self._scheduler = scheduler
        self._write = write
        self._delays = delays
        self._queue: deque[Chunk] = deque()
        self._on_written: Callable[[], None] = lambda: None
        self._timer: TimerHandle | None = None

    def write(self, chunks: list[Chunk], on_written: Callable[[], None]) -> None:
        """Say this with its delays, or at once; `then` is called after the last."""
        self._queue.extend(chunks)
        self._on_written = on_written
        if self._delays:
            self._schedule_next()
        else:
            self.flush()
            on_written()

    def flush(self) -> None:
        """Say what is left now; nothing follows it."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if octets := b"".join(said.octets for said in self._queue):
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
    """The answer with the echo of what the host really said."""
    answer = list(exchange.response)
    recorded = exchange.request
    for own, new in ((recorded, request), (recorded[:-1], request[:-1])):
        if answer and own and answer[0].octets.startswith(own):
            answer[0] = replace(answer[0], octets=new + answer[0].octets[len(own) :])
            break
    return answer


def _escape(octets: bytes) -> str:
    return escape_bytes(octets.rstrip(b"\r"))
