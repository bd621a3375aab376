"""The channel to a module: whose turn it is, and what became of each command.

Turns are taken in order of asking. Whoever waits for a command may be cancelled; the conversation goes on to
its end, and the next command waits for that. A command without a final result makes the line doubtful: it is
brought back into step before anything else is asked, and only then is the time-out told. A line that cannot
be brought back is lost, and so is the session.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from agent.at.command import AtCommand, Payload
from agent.at.error import CommandRefused, CommandTimedOut, ModemLost
from agent.at.event import Information
from agent.at.line import Conversation, Line
from agent.at.news import NewsQueue
from agent.at.resynchronise import KNOCK, QUERIES, in_data_mode, resynchronise, wake
from agent.at.trace import Trace
from agent.at.wire import Opener, Wire
from hardware.recording import hidden

BeforeBody = Callable[[], Awaitable[None]]

_KERNEL = re.compile(r"\[ *\d+\.\d{3,}\] ")
"""How the kernel begins a line of its log: seconds since it started."""

ERROR_PAUSE_S = 0.1
"""After a plain ERROR: some modules follow it by an OK. V.250 5.5 asks for this pause after every result."""
ASLEEP_S = 5.0
"""Silence after which a module may sleep (SIMCom's +CSCLK=2: 5 s) and lose the first octets. An AT goes ahead
of the command then: always where one was lost before, else after a silence longer than any that the module
was found awake after. Unless it missed something, one that has just told of a message is awake."""
LONGER = 1.1
"""So much longer a silence must be to be another one: sweeps do not come to the millisecond."""


@dataclass(frozen=True, slots=True)
class Response:
    """The answer to a command that was carried out."""

    information: tuple[Information, ...] = ()
    echoed: bool = False
    """Whether the module echoed the command line."""

    @property
    def text(self) -> str:
        """The first information line, empty where there is none."""
        return self.information[0].text if self.information else ""


class Channel:
    """One connection. It may be used until it is lost or closed, and not again."""

    def __init__(self, trace: Trace | None = None, pause_s: float = 0.0) -> None:
        """`pause_s`: from a final result to the next command, for modules that ask for one (20 to 100 ms)."""
        self.news = NewsQueue()
        self._line = Line(self.news, trace, self._ended)
        self._turn = asyncio.Lock()
        self._free = asyncio.Event()
        self._free.set()
        self._pause_s = pause_s
        self._longest: Mapping[str, float] = {}
        self._not_before = 0.0
        self._recovery: asyncio.Task[None] | None = None
        self._wire: Wire | None = None

    @classmethod
    async def open(cls, opener: Opener, trace: Trace | None = None, *, pause_s: float = 0.0) -> Channel:
        """Open the wire. Raises PortUnavailable."""
        channel = cls(trace, pause_s)
        channel._wire = await opener(channel._line)
        channel._line.attach(channel._wire)
        return channel

    # Asking

    async def exchange(self, command: AtCommand, before_body: BeforeBody | None = None) -> Response:
        """Ask, in turn. Raises CommandRefused, CommandTimedOut, ModemLost.

        `before_body` is awaited after the prompt and before the first octet of the body; when it raises,
        text entry is given up and nothing was sent.
        """
        async with self._turn:
            return await self._converse(command, before_body)

    def expect_echo(self, expected: bool, *, forbids_body: bool = False) -> None:
        """Whether the module echoes. An echo that comes back unexpectedly is told as `ECHO_RETURNED`.

        `forbids_body`: no body is written after it, because with lost settings it would mean another thing.
        """
        self._line.echo_expected = expected
        self._line.echo_forbids_body = forbids_body

    def drive(self, pause_s: float, longest: Mapping[str, float]) -> None:
        """The pace of this module: the pause after a result, and longest times by name of a command.

        The longer of that time and the command's own counts.
        """
        self._pause_s = pause_s
        self._longest = longest

    def announce(self, announced: Mapping[str, Payload]) -> None:
        """Which unsolicited codes are followed by which payload, in the message format in use."""
        self._line.engine.announce(announced)

    def turn(self) -> Turn:
        """Several commands with nothing of others between them: `async with channel.turn() as turn`."""
        return Turn(self._turn, self._converse)

    async def wake(self, within_s: float) -> None:
        """Make the module answer, whatever state it was left in. Raises ModemLost when it does not."""
        async with self._turn:
            await self._free.wait()
            self._recover(self._wake(within_s))
            await self._free.wait()
            if self._line.loss is not None:
                raise ModemLost(str(self._line.loss))

    # The end

    @property
    def lost(self) -> asyncio.Event:
        """Set when nothing more can be asked."""
        return self._line.lost

    @property
    def loss(self) -> ModemLost | None:
        """Why the channel was lost; None while it lives."""
        return self._line.loss

    def close(self, why: str = "the session was closed") -> None:
        """End the session at once: whatever is under way and whatever comes later fails with ModemLost."""
        self._line.fail(ModemLost(why))

    async def closed(self) -> None:
        """Wait until the port can be opened again."""
        if self._wire is not None:
            await self._wire.closed()

    # Inside

    async def _converse(self, command: AtCommand, before_body: BeforeBody | None = None) -> Response:
        await self._ready()
        silence = self._silence()
        conversation = await self._conversation(command, before_body)
        if silence > max(ASLEEP_S, LONGER * self._line.awake_for) and _may_be_missed(conversation):
            await self._ready()
            again = await self._conversation(command, before_body)
            self._line.memory.sleeps = again.settled or (again.final is not None and again.final.ok)
            conversation = again
        return self._outcome(conversation)

    async def _conversation(self, command: AtCommand, before_body: BeforeBody | None) -> Conversation:
        conversation = self._begin(command)
        try:
            while not conversation.ended:
                await conversation.progress()
                if conversation.prompted and not conversation.body_begun and not conversation.ended:
                    if before_body is not None:
                        await before_body()
                    if not conversation.ended:
                        self._line.write_body(conversation)
        except BaseException:
            conversation.abandoned = True
            if conversation.prompted and not conversation.body_begun:
                self._line.give_up(conversation, "given up before the body")
            raise
        await self._free.wait()
        return conversation

    async def _ready(self) -> None:
        """Wait until a command may be written."""
        loop = asyncio.get_running_loop()
        await self._free.wait()
        if (pause := self._not_before - loop.time()) > 0:
            await self._line.rest(pause)
        silence = self._silence()
        if self._line.loss is None and self._may_sleep(silence):
            knock = self._begin(KNOCK if self._line.knocks else QUERIES[0])
            while not knock.ended:
                await knock.progress()
            await self._free.wait()
            if knock.information or (knock.final is not None and knock.final.ok):
                self._line.awake_for = max(self._line.awake_for, silence)
            elif knock.final is None:
                self._line.memory.sleeps = True
        if self._line.loss is not None:
            raise ModemLost(str(self._line.loss))

    def _silence(self) -> float:
        """How long nothing was written."""
        return asyncio.get_running_loop().time() - self._line.spoke_at

    def _may_sleep(self, silence: float) -> bool:
        """Whether the first octets might be lost now."""
        if self._line.memory.sleeps or silence <= ASLEEP_S:
            return silence > ASLEEP_S
        quiet = asyncio.get_running_loop().time() - self._line.heard_at
        return quiet > ASLEEP_S and silence > LONGER * self._line.awake_for

    def _begin(self, command: AtCommand) -> Conversation:
        self._free.clear()
        return self._line.start(command, self._limit(command))

    def _limit(self, command: AtCommand) -> float:
        """The longest time of a command."""
        if not self._longest:
            return command.timeout_s
        name = command.line[2:].partition("=")[0].partition("?")[0]
        return max(command.timeout_s, self._longest.get(name, 0.0))

    def _ended(self, conversation: Conversation) -> None:
        """A conversation is over: free the line, or bring it back into step first."""
        if self._recovery is not None:
            return  # one of the questions of the recovery itself
        now = asyncio.get_running_loop().time()
        final = conversation.final
        plain_error = final is not None and not final.ok and final.kind == "error"
        self._not_before = now + max(self._pause_s, ERROR_PAUSE_S if plain_error else 0.0)
        doubtful = final is None or (
            final.ok and conversation.command.informs and not conversation.information
        )
        if doubtful and self._line.loss is None:
            self._line.late.clear()  # now: what is late may follow in the same octets
            self._recover(self._resynchronise(conversation))
        else:
            self._free.set()

    def _recover(self, steps: Awaitable[None]) -> None:
        """Run a recovery as a task of the channel's own: nobody's cancellation ends it half way."""

        async def recover() -> None:
            try:
                await steps
            except Exception as error:  # noqa: BLE001  (nobody awaits this task; the session must end)
                self._line.fail(ModemLost(f"the conversation broke: {type(error).__name__}: {error}"))
            finally:
                self._recovery = None
                self._free.set()

        self._free.clear()
        self._recovery = asyncio.get_running_loop().create_task(recover(), name="resynchronise")

    async def _resynchronise(self, conversation: Conversation) -> None:
        if not await resynchronise(self._line, conversation):
            reason = conversation.reason or "it answered something else"
            self._line.fail(ModemLost(f"no answer to {conversation.command.shown} and none since: {reason}"))
        form = {answer.name for answer in conversation.command.answers if answer.name}
        for late in conversation.late:
            if late.final is None and not late.prompt and late.text.partition(":")[0] in form:
                conversation.information.append(Information(late.text, late.payload))
            elif late.final is not None and (conversation.final is None or conversation.final.ok):
                informed = bool(conversation.information) or not conversation.command.informs
                if informed or not late.final.ok:
                    conversation.final = late.final

    async def _wake(self, within_s: float) -> None:
        if not await wake(self._line, within_s):
            self._line.fail(ModemLost(f"no module answers: {self._heard()}"))

    def _heard(self) -> str:
        """What came instead of an answer, for a person who looks for the right port."""
        heard = list(self._line.heard)
        if in_data_mode(self._line):
            return "the port is in data mode (PPP); something else has dialled on it"
        if not heard:
            return "nothing came back (wrong port, module off, or another baud rate)"
        if any(line.startswith(("$GP", "$GN")) for line in heard):
            return "only positions come ($GP..., NMEA): this is the GNSS port of the module"
        if any("login:" in line for line in heard):
            return "a login console is on this port; disable serial-getty for it"
        if any(_KERNEL.search(line) for line in heard):
            return (
                "the kernel writes its log to this port; take its console= out of the kernel's command line"
            )
        if any("no text" in line for line in heard):
            return f"only {heard[-1]} (another baud rate?)"
        return f"what came last was {hidden(heard[-1])!r}"

    def _outcome(self, conversation: Conversation) -> Response:
        """What the one who asked is told."""
        command, final = conversation.command.shown, conversation.final
        body_sent = conversation.body_begun
        if final is not None and not final.ok:
            raise CommandRefused(command, final, body_sent=body_sent)
        if final is not None or conversation.settled:
            return Response(tuple(conversation.information), conversation.echoed)
        if self._line.loss is not None:
            raise ModemLost(str(self._line.loss), command, body_sent=body_sent)
        raise CommandTimedOut(
            command,
            f"{command}: {conversation.reason}",
            body_sent=body_sent,
            escaped=conversation.escaped,
            late=tuple(conversation.late),
        )


def _may_be_missed(conversation: Conversation) -> bool:
    """Whether a module that slept may have got a piece of it, and asking again can do no harm.

    It answered nothing at all to a question, or ERROR: what was refused has not been done.
    """
    command, final = conversation.command, conversation.final
    if command.once or conversation.prompted or conversation.information:
        return False
    if final is None:
        return command.informs and not command.body and not conversation.reason.startswith("the module")
    return not final.ok and final.kind == "error"


class Turn:
    """The right to ask several commands in a row."""

    def __init__(self, lock: asyncio.Lock, converse: Callable[[AtCommand], Awaitable[Response]]) -> None:
        self._lock = lock
        self._converse = converse

    async def __aenter__(self) -> Self:
        await self._lock.acquire()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._lock.release()

    async def exchange(self, command: AtCommand) -> Response:
        """Ask. Raises what `Channel.exchange` does."""
        return await self._converse(command)
