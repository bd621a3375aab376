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

from hardware.recording import visible
from hardware.sim.exchange import Exchange, Said, cut, cut_up, form, is_question, subjects

if TYPE_CHECKING:
    from collections.abc import Callable

    from hardware.recording import Recording
    from hardware.sim.radio import Handle, Scheduler

LONGEST = 65536
"""Octets from the host that may wait."""

_BARRIERS = {"+CPMS", "+CMGF", "+CSCS", "+CFUN", "Z", "&F"}
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
        diverged: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._scheduler = scheduler
        self._write = write
        self._hang_up = hang_up
        self._diverged = diverged
        self._masked = recording.masked
        self._answer = _Speech(scheduler, write, delays=delays)
        self._news = _Speech(scheduler, write, delays=delays)
        self._opening, self._exchanges = cut_up(recording)
        self.divergences: list[str] = []
        self._next = 0
        """The exchange after the furthest that was played in its place."""
        self._heard = bytearray()
        self._answering = self._listening = False
        self._entering: int | None = None
        """The exchange whose prompt was said."""

    def start(self) -> None:
        """Say what the module said before it was spoken to; else it says so when it is first spoken to."""
        opening, self._opening = self._opening, []
        self._news.say(opening, lambda: None)

    @property
    def unasked(self) -> list[str]:
        """What the recording has and the host did not say, a sentence for each; questions are left out."""
        return [
            f"line {exchange.line}: {_shown(exchange.octets)} was not said"
            for exchange in self._exchanges
            if not exchange.used and not exchange.question
        ]

    @property
    def over(self) -> bool:
        """Whether the end of the recording was reached."""
        return self._next == len(self._exchanges)

    def receive(self, data: bytes) -> None:
        """Octets from the host."""
        self._heard += data[: LONGEST - len(self._heard)]
        self._listen()

    def _listen(self) -> None:
        """Take up what the host said, one line after the other, when the last is answered."""
        if self._listening:
            return
        self._listening = True
        while not self._answering and (said := cut(self._heard, entering=self._entering is not None)):
            self._hear(said)
        self._listening = False

    def _hear(self, said: bytes) -> None:
        entering, self._entering = self._entering, None
        if entering is not None:
            self._take_text(entering + 1, said)
            return
        key = form(said, masked=self._masked)
        place, in_place = self._find(key)
        if place is not None:
            self._play(place, said, in_place=in_place)
        elif said != b"\x1b":  # outside of a text it means nothing
            self._diverge(said, b"\r\nERROR\r\n")

    # Looking

    def _find(self, key: str) -> tuple[int | None, bool]:
        """Which exchange is meant, and whether the conversation has got there."""
        every, question = self._exchanges, is_question(key)
        begin, end = self._connection()
        wanted = [place for place, exchange in enumerate(every) if exchange.key == key]
        fresh = [place for place in wanted if not every[place].used]
        due = next((place for place in range(self._next, end) if not every[place].used), end)
        if due < end and due in fresh:
            return due, True
        if passed := [place for place in fresh if begin <= place < self._next]:
            return passed[0], False
        ahead = [place for place in fresh if self._next <= place < end]
        if ahead and self._may_go_ahead(ahead[0], begin):
            return ahead[0], True
        if question and (known := [place for place in wanted if place < self._next or every[place].used]):
            return known[-1], False
        if question and ahead:
            return ahead[0], False
        return (end, True) if end in fresh else (None, False)

    def _connection(self) -> tuple[int, int]:
        """From which exchange to before which one the present connection goes."""
        ends = [place + 1 for place, exchange in enumerate(self._exchanges) if exchange.hangs_up]
        begin = max((end for end in ends if end < self._next), default=0)
        return begin, min((end for end in ends if end >= self._next > 0), default=len(self._exchanges))

    def _may_go_ahead(self, place: int, begin: int) -> bool:
        """Whether what stands between may as well come later."""
        every = self._exchanges
        if every[place].question:
            between = [exchange for exchange in every[self._next : place] if not exchange.used]
            return all(exchange.question and not exchange.news for exchange in between)
        own = subjects(every[place].key)
        standing = {
            name: exchange.key for exchange in every if exchange.used for name in subjects(exchange.key)
        }
        for exchange in every[begin:place]:
            if exchange.used or exchange.question:
                continue
            others = subjects(exchange.key)
            if own & others or any(standing.get(name) != exchange.key for name in others & _BARRIERS):
                return False
        return True

    # Playing

    def _play(self, place: int, said: bytes, *, in_place: bool) -> None:
        exchange = self._exchanges[place]
        if in_place:
            self._catch_up(place)
            self._next = place + 1
        exchange.used = self._answering = True

        def answered() -> None:
            self._answering = False
            if exchange.prompts:
                self._entering = place
            if in_place:
                self._news.say(exchange.news, self._end_of_connection if exchange.hangs_up else lambda: None)
            self._listen()

        self._answer.say(_echoing(exchange, said), answered)

    def _take_text(self, place: int, said: bytes) -> None:
        """What follows a prompt belongs to its command."""
        exchange = self._exchanges[place] if place < len(self._exchanges) else None
        if exchange is not None and not exchange.key and exchange.octets[-1:] == said[-1:]:
            self._play(place, said, in_place=place >= self._next)
        else:
            self._diverge(said, b"\r\nOK\r\n", place)

    def _catch_up(self, place: int) -> None:
        """Say what the module said by itself before this exchange and has not said yet."""
        self._news.hurry()
        late = self._opening
        self._opening = []
        for before in range(max(0, self._next - 1), place):
            exchange = self._exchanges[before]
            late += exchange.greeting if before < self._next else exchange.news + exchange.greeting
        if late:
            self._write(b"".join(each.octets for each in late))

    def _end_of_connection(self) -> None:
        self._entering = None
        self._heard.clear()
        self._scheduler.call_later(0.0, self._hang_up)  # not while the host's octets are being read

    def _diverge(self, said: bytes, answer: bytes, place: int | None = None) -> None:
        due = self._next if place is None else place
        waiting = [exchange for exchange in self._exchanges[due:] if place is not None or not exchange.used]
        sentence = f"the host says {_shown(said)}"
        if waiting:
            sentence = f"line {waiting[0].line}: the recording has {_shown(waiting[0].octets)}, {sentence}"
        else:
            sentence = f"the recording is over, {sentence}"
        self.divergences.append(sentence)
        self._write(answer)
        self._diverged(sentence)


class _Speech:
    """Says one thing after the other."""

    def __init__(self, scheduler: Scheduler, write: Callable[[bytes], None], *, delays: bool) -> None:
        self._scheduler = scheduler
        self._write = write
        self._delays = delays
        self._left: deque[Said] = deque()
        self._then: Callable[[], None] = lambda: None
        self._handle: Handle | None = None

    def say(self, what: list[Said], then: Callable[[], None]) -> None:
        """Say this with its delays, or at once; `then` is called after the last."""
        self._left.extend(what)
        self._then = then
        if self._delays:
            self._go_on()
        else:
            self.hurry()
            then()

    def hurry(self) -> None:
        """Say what is left now; nothing follows it."""
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None
        if octets := b"".join(said.octets for said in self._left):
            self._write(octets)
        self._left.clear()

    def _go_on(self) -> None:
        if self._left:
            self._handle = self._scheduler.call_later(self._left[0].delay, self._due)
        else:
            self._handle = None
            self._then()

    def _due(self) -> None:
        if octets := self._left.popleft().octets:
            self._write(octets)
        self._go_on()


def _echoing(exchange: Exchange, said: bytes) -> list[Said]:
    """The answer with the echo of what the host really said."""
    answer = list(exchange.answer)
    recorded = exchange.octets
    for own, new in ((recorded, said), (recorded[:-1], said[:-1])):
        if answer and own and answer[0].octets.startswith(own):
            answer[0] = replace(answer[0], octets=new + answer[0].octets[len(own) :])
            break
    return answer


def _shown(octets: bytes) -> str:
    return visible(octets.rstrip(b"\r"))
