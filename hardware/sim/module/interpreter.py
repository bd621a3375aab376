"""Executing a command line: left to right, one final result, the first failure ends it (V.250 5.6)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from functools import partial
from typing import TYPE_CHECKING

from hardware.sim.module.command import Asked, Form, Values, next_command, normalised
from hardware.sim.module.refusal import RefusedError, error

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from hardware.sim.module.module import SimulatedModule


class Needs(Enum):
    """What must be ready before a command is looked at."""

    NOTHING = "nothing"
    CARD = "card"
    """An unlocked SIM; else +CME ERROR 10 to 14."""
    MESSAGES = "messages"
    """The message service; else +CMS ERROR 310 to 316."""


@dataclass(frozen=True, slots=True)
class Prompt:
    """The command wants text; `entered` goes on with it. ESC ends the command with OK."""

    entered: Callable[[bytes], Outcome]
    lines: bool


class Waiting(Enum):
    """The command's end will be told by `Interpreter.finish`."""

    WAITING = 0


WAITING = Waiting.WAITING

Outcome = list[str] | Prompt | Waiting
"""Information texts (done), or what is still needed."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One command: what each of its forms does. A form that is None is an ERROR."""

    execute: Callable[[SimulatedModule, Values], Outcome] | None = None
    set: Callable[[SimulatedModule, Values], Outcome] | None = None
    read: Callable[[SimulatedModule], str | Outcome] | None = None
    test: Callable[[SimulatedModule], str | Outcome] | None = None
    """These two give what follows the name, or an outcome of their own."""
    needs: Needs = Needs.NOTHING


class Interpreter:
    """Runs one line at a time; the terminal is busy while a command waits."""

    def __init__(self, module: SimulatedModule, entries: Mapping[str, Entry]) -> None:
        self._module = module
        self._entries = entries
        self.names = frozenset(entries)
        self.reset()

    def reset(self) -> None:
        """Whatever was being executed is forgotten."""
        self._body = ""
        self._place = 0
        self._running = False
        self._early: list[str] | RefusedError | None = None
        self._afterwards: list[Callable[[], None]] = []
        self._life = object()

    def execute(self, body: str) -> None:
        """A complete line, without its `AT`."""
        self._module.terminal.busy = True
        self._module.speech.hold()
        self._module.ledger.lines.append(body)
        self._body, self._place = normalised(body), 0
        self._go_on()

    def afterwards(self, action: Callable[[], None]) -> None:
        """Do this when the final result of the line has been given."""
        self._afterwards.append(action)

    def finish(self, outcome: list[str] | RefusedError) -> None:
        """End of a command that waited."""
        if self._running:
            self._early = outcome
        elif isinstance(outcome, RefusedError):
            self._end(outcome)
        else:
            self._inform(outcome)
            self._go_on()

    def skip(self) -> None:
        """What follows on this line is ignored (ATZ, V.250 6.1.1)."""
        self._place = len(self._body)

    def _go_on(self) -> None:
        """Commands until one needs something, fails, or the line ends."""
        while self._place < len(self._body):
            try:
                asked, self._place = next_command(self._body, self._place)
                done = self._take(partial(self._answer, asked))
            except RefusedError as refusal:
                self._end(refusal)
                return
            if not done:
                return
        self._end(None)

    def _continue(self, step: Callable[[], Outcome]) -> None:
        """The rest of a command that could not go on at once, then the rest of the line."""
        try:
            done = self._take(step)
        except RefusedError as refusal:
            self._end(refusal)
            return
        if done:
            self._go_on()

    def _take(self, step: Callable[[], Outcome]) -> bool:
        """Run a step of a command; False when it goes on later, or never because the module was restarted."""
        life = self._life
        self._running, self._early = True, None
        try:
            outcome = step()
            if outcome is WAITING:
                outcome = self._told_already()
        except RefusedError:
            if life is self._life:
                raise
            return False
        finally:
            self._running = False
        if life is not self._life:
            return False
        match outcome:
            case Prompt():
                self._open(outcome)
            case Waiting():
                self._module.speech.release()
                self._module.arrival.go_on()
            case _:
                self._inform(outcome)
        return isinstance(outcome, list)

    def _told_already(self) -> Outcome:
        """The end of a command that was told before the command could begin to wait."""
        if isinstance(self._early, RefusedError):
            raise self._early
        return WAITING if self._early is None else self._early

    def _answer(self, asked: Asked) -> Outcome:
        """Execute a command, unless a fault has it otherwise."""
        verdict = self._module.faults.ask(asked)
        if isinstance(verdict, float):
            self._module.power.later(verdict, lambda: self._continue(lambda: self._perform(asked)))
            return WAITING
        return self._perform(asked) if verdict is None else verdict

    def _perform(self, asked: Asked) -> Outcome:
        module = self._module
        if asked.text in module.device.answers:
            text = module.device.answers[asked.text]
            return [text] if text else []
        entry = self._entries.get(asked.name)
        if entry is None:
            raise error()
        if asked.form is Form.TEST:
            if entry.test is None:
                return []
            return _named(asked.name, entry.test(module))
        module.demand(entry.needs)
        if asked.form is Form.READ:
            if entry.read is None:
                raise error()
            return _named(asked.name, entry.read(module))
        act = entry.execute if asked.form is Form.EXECUTE else entry.set
        if act is None:
            raise error()
        return act(module, asked.values)

    def _open(self, prompt: Prompt) -> None:
        """Text entry: unsolicited codes stay held until it is over."""
        self._module.terminal.busy = False
        self._module.terminal.enter(lambda text: self._entered(prompt, text), lines=prompt.lines)

    def _entered(self, prompt: Prompt, text: bytes | None) -> None:
        self._module.terminal.busy = True
        if text is None:
            self._end(None)
        else:
            self._continue(lambda: prompt.entered(text))

    def _inform(self, texts: list[str]) -> None:
        for text in texts:
            self._module.speech.information(text)

    def _end(self, refusal: RefusedError | None) -> None:
        """The one final result of the line."""
        speech = self._module.speech
        if refusal is None:
            speech.ok()
        else:
            speech.refuse(refusal)
        self._body, self._place = "", 0
        afterwards, self._afterwards = self._afterwards, []
        speech.release()
        self._module.terminal.busy = False
        for action in afterwards:
            action()
        self._module.arrival.go_on()
        self._module.terminal.work()


def _named(name: str, told: str | Outcome) -> Outcome:
    """Values get the command's name in front; none are none."""
    if not isinstance(told, str):
        return told
    return [f"{name}: {told}"] if told else []
