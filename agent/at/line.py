"""One line to a module: wire, engine and clock together. At most one command is in the air.

Everything here happens in callbacks of the event loop (octets came, a deadline passed), so a conversation
goes on to its end whether or not anybody still waits for it. Deadlines are absolute: chatter of the module
does not postpone them.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
from collections import deque
from collections.abc import Callable

from agent.at.command import AtCommand
from agent.at.engine import Engine
from agent.at.error import ModemLost
from agent.at.event import FinalResult, Information, LateResult, Noise, Prompt, Unsolicited
from agent.at.news import ANOTHER, ECHO_RETURNED, NewsQueue
from agent.at.surplus import Surplus
from agent.at.trace import Trace, visible
from agent.at.wire import PortMemory, SerialLine, Wire

_log = logging.getLogger("modem-agent.at")

BODY_WAIT_S = 30.0
"""From the prompt to the body: a commit to a slow SD card, not more. Modules close the entry by themselves
after a minute or so."""
REFUSED_S = 0.5
"""After a result without information a marking command waits for no longer: either the result was of the past
and the answer follows at once, or it was refused. V.250 5.7 allows gaps of 0.1 s."""
BURST_S = 10.0
"""Noise is told once, then only counted until it has been quiet for so long."""
BOOT_S = 2.0
"""What is under way when a module says that it has just started gets this long: either the line belongs to a
start that is nearly over, then the answer comes at once, or it never comes."""

_BOOT = re.compile(r"(APP )?RDY$|\^SYSSTART|\^BOOT|\*ATREADY|\+KSUP|\+AT: READY")
"""Said only by a module that has just started."""


class Conversation:
    """One command and what came of it."""

    def __init__(self, command: AtCommand) -> None:
        self.command = command
        self.information: list[Information] = []
        self.late: list[LateResult] = []
        """What came after it was given up, while the line was brought back into step."""
        self.final: FinalResult | None = None
        self.echoed = False
        self.prompted = False
        self.body_begun = False
        self.abandoned = False
        """Nobody waits for it any more: no body is written."""
        self.escaped = False
        """ESC was answered by OK after it was given up."""
        self.ended = False
        self.reason = ""
        """Why it ended without a final result."""
        self._waiter: asyncio.Future[None] | None = None

    @property
    def settled(self) -> bool:
        """Whether its information came: where only the final result is missing, that counts as OK."""
        return bool(self.information)

    async def progress(self) -> None:
        """Wait until the prompt comes, or the end."""
        self._waiter = asyncio.get_running_loop().create_future()
        await self._waiter

    def wake(self) -> None:
        """Tell whoever waits that something has changed."""
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


class Line:
    """The reader of a wire. Single use: a lost line stays lost."""

    def __init__(self, news: NewsQueue, trace: Trace | None, ended: Callable[[Conversation], None]) -> None:
        """`ended` is called with each conversation as it ends, before anybody who waits for it goes on."""
        self._loop = asyncio.get_running_loop()
        self.engine = Engine()
        self.news = news
        self.lost = asyncio.Event()
        self.loss: ModemLost | None = None
        self.heard_at = self._loop.time()
        """When the last octet came."""
        self.spoke_at = self._loop.time()
        """When the last octet was written."""
        self.awake_for = 0.0
        """The longest silence of ours after which the module heard the first octets."""
        self.memory = PortMemory()
        self.heard: deque[str] = deque(maxlen=8)
        """What came last that was no answer, for a sentence about a line on which no module answers."""
        self.late: deque[LateResult] = deque(maxlen=32)
        """What came for commands that were given up; whoever brings the line back into step clears it."""
        self.late_finals = 0
        self.markless = False
        """Whether the module has refused everything that could mark the present."""
        self.knocks = True
        """Whether the module says OK to a bare AT."""
        self._listener: asyncio.Future[LateResult | None] | None = None
        self.echo_expected = True
        """Whether an echo says nothing; otherwise it shows that the module has lost its settings."""
        self.echo_forbids_body = False
        """Whether with lost settings a body would mean another thing."""
        self._trace = trace
        self._ended = ended
        self._wire: Wire | None = None
        self._conversation: Conversation | None = None
        self._deadline: asyncio.TimerHandle | None = None
        self._booted = ""
        self._surplus = Surplus(self._loop.time())
        self._begun_at = 0.0
        self._noise_at = -BURST_S

    # The wire

    def attach(self, wire: Wire) -> None:
        """Take the opened wire."""
        self._wire = wire
        if isinstance(wire, SerialLine):
            self.memory = wire.memory

    def received(self, data: bytes) -> None:
        """Octets from the wire."""
        if self.loss is not None:
            return
        self.heard_at = self._loop.time()
        if self._trace is not None:
            self._trace.received(data, self.heard_at)
        try:
            for event in self.engine.receive(data):
                self._take(event)
            self.flush()
        except Exception as error:  # noqa: BLE001  (a bug here must end the session, not make it deaf)
            _log.exception("the conversation broke")
            self.fail(ModemLost(f"the conversation broke: {type(error).__name__}: {error}"))

    def hung_up(self, reason: str) -> None:
        """The wire is gone by itself."""
        self.fail(ModemLost(reason))

    def write(self, data: bytes) -> None:
        """Octets to the wire, outside of any command."""
        if self._wire is None or self.loss is not None:
            return
        self.spoke_at = self._loop.time()
        if self._trace is not None:
            self._trace.sent(data, self.spoke_at)
        self._wire.write(data)

    def tune(self, rate: int) -> None:
        """Go on at another rate; what came at the one before was nothing."""
        if isinstance(self._wire, SerialLine) and self.loss is None:
            self._wire.tune(rate)
            self.engine.forget()
            self.heard.clear()

    def flush(self) -> None:
        """Write what the engine has to say."""
        if data := self.engine.data_to_send():
            self.write(data)

    def fail(self, loss: ModemLost) -> None:
        """End everything that is under way and everything that comes later. The first reason counts."""
        if self.loss is not None:
            return
        self.loss = loss
        if self._wire is not None:
            self._wire.close()
        self.lost.set()
        self.news.close(loss)
        self._hear(None)
        if self._conversation is not None:
            self._end(self._conversation, str(loss))

    # One command

    def start(self, command: AtCommand, timeout_s: float | None = None) -> Conversation:
        """Write a command. The line must be free."""
        self.engine.begin(command)
        self._surplus.asked(command.line)
        self._begun_at = self._loop.time()
        conversation = self._conversation = Conversation(command)
        self._booted = ""
        # Of a lost line nothing is waited for: its end was told when there was no conversation to end.
        self._until(0 if self.loss is not None else command.timeout_s if timeout_s is None else timeout_s)
        self.flush()
        return conversation

    def write_body(self, conversation: Conversation) -> None:
        """Write the body; from its first octet on the outcome may be unknown."""
        conversation.body_begun = True
        self.engine.write_body()
        self._until(conversation.command.body_timeout_s)
        self.flush()

    def give_up(self, conversation: Conversation, reason: str) -> None:
        """Wait no longer for its final result."""
        if conversation is self._conversation:
            self.engine.give_up()
            self._end(conversation, reason)

    async def listen(self, seconds: float) -> LateResult | None:
        """Ask nothing until a final result comes, which is returned, or until so much time has passed.

        None at once from a lost line.
        """
        if self.loss is not None:
            return None
        self._listener = waiter = self._loop.create_future()
        timer = self._loop.call_later(seconds, _resolve, waiter)
        try:
            heard: LateResult | None = await waiter
        finally:
            timer.cancel()
            self._listener = None
        return heard

    async def rest(self, seconds: float) -> None:
        """Ask nothing for so long, or until the line is lost."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self.lost.wait()

    def _hear(self, result: LateResult | None) -> None:
        if self._listener is not None:
            _resolve(self._listener, result)

    def _until(self, seconds: float) -> None:
        """Set the deadline of the conversation."""
        if self._deadline is not None:
            self._deadline.cancel()
        self._deadline = self._loop.call_later(seconds, self._expired)

    def _sooner(self, seconds: float) -> None:
        """Bring the deadline forward, never back."""
        if self._deadline is not None and self._deadline.when() > self._loop.time() + seconds:
            self._until(seconds)

    def _expired(self) -> None:
        if (conversation := self._conversation) is not None:
            reason = f"the module restarted ({self._booted})" if self._booted else "no final result in time"
            self.give_up(conversation, reason)

    def _end(self, conversation: Conversation, reason: str = "") -> None:
        if self._deadline is not None:
            self._deadline.cancel()
        self._conversation = self._deadline = None
        conversation.ended = True
        conversation.reason = reason
        conversation.echoed = self.engine.echoed
        self._compare(conversation)
        if conversation.echoed and not self.echo_expected:
            self.echo_expected = True
            self.news.put(ECHO_RETURNED)
        self._ended(conversation)
        conversation.wake()

    def _compare(self, conversation: Conversation) -> None:
        """Look whether it got its answer whole."""
        now, final = self._loop.time(), conversation.final
        self._surplus.ended(now)
        if conversation.command.marks:
            return  # it is asked where something is wrong already
        if final is None and self.heard_at > self._begun_at and not self._booted:
            self._suspect(self._surplus.incomplete(now))

    def _suspect(self, what: str) -> None:
        if what and self.loss is None:
            self.news.put(Unsolicited(f"{ANOTHER} {what}"))

    # What was heard

    def _take(self, event: Information | FinalResult | Prompt | Unsolicited | LateResult | Noise) -> None:
        conversation = self._conversation
        self._suspect(self._surplus.heard(event, self.heard_at))
        match event:
            case Information() if conversation is not None:
                conversation.information.append(event)
                if not any(form.many for form in conversation.command.answers):
                    self._sooner(conversation.command.settle_s)
            case FinalResult() if conversation is not None:
                conversation.final = event
                self._end(conversation)
            case Prompt() if conversation is not None:
                conversation.prompted = True
                if conversation.abandoned:
                    self.give_up(conversation, "nobody waits for it any more")
                elif self.engine.echoed and not self.echo_expected and self.echo_forbids_body:
                    self.give_up(conversation, "the module has lost its settings")
                else:
                    self._until(BODY_WAIT_S)
                    conversation.wake()
            case Unsolicited(text):
                self.heard.append(text)
                self.news.put(event)
                if _BOOT.match(text):
                    self._booted = text
                    self._surplus.booted(self.heard_at)
                    self._sooner(BOOT_S)
            case LateResult(final=final):
                self.late.append(event)
                if final is not None:
                    self.late_finals += 1
                    self._hear(event)
                    if conversation is not None and conversation.command.marks:
                        self._sooner(REFUSED_S)
            case Noise(reason, sample):
                self._noise(reason, sample)

    def _noise(self, reason: str, sample: bytes) -> None:
        now = self._loop.time()
        self.heard.append(f"{reason}: {visible(sample)}")
        if now - self._noise_at > BURST_S:
            _log.info("noise on the line: %s", reason)  # what it reads may be part of a message
        self._noise_at = now


def _resolve(waiter: asyncio.Future[LateResult | None], result: LateResult | None = None) -> None:
    if not waiter.done():
        waiter.set_result(result)
