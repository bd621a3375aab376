"""Executing a command line: left to right, one final result, the first failure ends it (V.250 5.6)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from functools import partial
from typing import TYPE_CHECKING

from hardware.sim.module.command_parser import (
    CommandForm,
    CommandParameters,
    ParsedCommand,
    normalise,
    parse_next_command,
)
from hardware.sim.module.errors import CommandError, plain_error

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from hardware.sim.module.module import SimulatedModule


class Requirement(Enum):
    """What must be ready before a command is looked at."""

    NOTHING = "nothing"
    SIM = "card"
    """An unlocked SIM; else +CME ERROR 10 to 14."""
    MESSAGE_SERVICE = "messages"
    """The message service; else +CMS ERROR 310 to 316."""


@dataclass(frozen=True, slots=True)
class TextPrompt:
    """The command wants text; `entered` goes on with it. ESC ends the command with OK."""

    on_text: Callable[[bytes], CommandOutcome]
    text_mode: bool


class Pending(Enum):
    """The command's end will be told by `Interpreter.finish`."""

    PENDING = 0


PENDING = Pending.PENDING

CommandOutcome = list[str] | TextPrompt | Pending
"""Information texts (done), or what is still needed."""


@dataclass(frozen=True, slots=True)
class CommandDef:
    """One command: what each of its forms does. A form that is None is an ERROR."""

    execute: Callable[[SimulatedModule, CommandParameters], CommandOutcome] | None = None
    set: Callable[[SimulatedModule, CommandParameters], CommandOutcome] | None = None
    read: Callable[[SimulatedModule], str | CommandOutcome] | None = None
    test: Callable[[SimulatedModule], str | CommandOutcome] | None = None
    """These two give what follows the name, or an outcome of their own."""
    requires: Requirement = Requirement.NOTHING


class Interpreter:
    """Runs one line at a time; the terminal is busy while a command waits."""

    def __init__(self, module: SimulatedModule, commands: Mapping[str, CommandDef]) -> None:
        self._module = module
        self._commands = commands
        self.command_names = frozenset(commands)
        self.reset()

    def reset(self) -> None:
        """Whatever was being executed is forgotten."""
        self._line = ""
        self._position = 0
        self._in_step = False
        self._early_completion: list[str] | CommandError | None = None
        self._after_result: list[Callable[[], None]] = []
        self._generation = object()

    def execute_line(self, line: str) -> None:
        """A complete line, without its `AT`."""
        self._module.command_reader.busy = True
        self._module.output.hold_urcs()
        self._module.log.command_lines.append(line)
        self._line, self._position = normalise(line), 0
        self._run_commands()

    def call_after_result(self, action: Callable[[], None]) -> None:
        """Do this when the final result of the line has been given."""
        self._after_result.append(action)

    def complete(self, outcome: list[str] | CommandError) -> None:
        """End of a command that waited."""
        if self._in_step:
            self._early_completion = outcome
        elif isinstance(outcome, CommandError):
            self._write_final_result(outcome)
        else:
            self._write_information(outcome)
            self._run_commands()

    def skip_rest(self) -> None:
        """What follows on this line is ignored (ATZ, V.250 6.1.1)."""
        self._position = len(self._line)

    def _run_commands(self) -> None:
        """Commands until one needs something, fails, or the line ends."""
        while self._position < len(self._line):
            try:
                asked, self._position = parse_next_command(self._line, self._position)
                done = self._run_step(partial(self._execute_or_fault, asked))
            except CommandError as refusal:
                self._write_final_result(refusal)
                return
            if not done:
                return
        self._write_final_result(None)

    def _resume(self, step: Callable[[], CommandOutcome]) -> None:
        """The rest of a command that could not go on at once, then the rest of the line."""
        try:
            done = self._run_step(step)
        except CommandError as refusal:
            self._write_final_result(refusal)
            return
        if done:
            self._run_commands()

    def _run_step(self, step: Callable[[], CommandOutcome]) -> bool:
        """Run a step of a command; False when it goes on later, or never because the module was restarted."""
        life = self._generation
        self._in_step, self._early_completion = True, None
        try:
            outcome = step()
            if outcome is PENDING:
                outcome = self._take_early_completion()
        except CommandError:
            if life is self._generation:
                raise
            return False
        finally:
            self._in_step = False
        if life is not self._generation:
            return False
        match outcome:
            case TextPrompt():
                self._open_text_entry(outcome)
            case Pending():
                self._module.output.release_urcs()
                self._module.mt_delivery.process_pending()
            case _:
                self._write_information(outcome)
        return isinstance(outcome, list)

    def _take_early_completion(self) -> CommandOutcome:
        """The end of a command that was told before the command could begin to wait."""
        if isinstance(self._early_completion, CommandError):
            raise self._early_completion
        return PENDING if self._early_completion is None else self._early_completion

    def _execute_or_fault(self, command: ParsedCommand) -> CommandOutcome:
        """Execute a command, unless a fault has it otherwise."""
        verdict = self._module.faults.before_command(command)
        if isinstance(verdict, float):
            self._module.power.call_later(
                verdict, lambda: self._resume(lambda: self._execute_command(command))
            )
            return PENDING
        return self._execute_command(command) if verdict is None else verdict

    def _execute_command(self, command: ParsedCommand) -> CommandOutcome:
        module = self._module
        if command.text in module.profile.answers:
            text = module.profile.answers[command.text]
            return [text] if text else []
        entry = self._commands.get(command.name)
        if entry is None:
            raise plain_error()
        if command.form is CommandForm.TEST:
            if entry.test is None:
                return []
            return _with_prefix(command.name, entry.test(module))
        module.require_ready(entry.requires)
        if command.form is CommandForm.READ:
            if entry.read is None:
                raise plain_error()
            return _with_prefix(command.name, entry.read(module))
        act = entry.execute if command.form is CommandForm.EXECUTE else entry.set
        if act is None:
            raise plain_error()
        return act(module, command.parameters)

    def _open_text_entry(self, prompt: TextPrompt) -> None:
        """Text entry: unsolicited codes stay held until it is over."""
        self._module.command_reader.busy = False
        self._module.command_reader.open_text_entry(
            lambda text: self._handle_text(prompt, text), text_mode=prompt.text_mode
        )

    def _handle_text(self, prompt: TextPrompt, text: bytes | None) -> None:
        self._module.command_reader.busy = True
        if text is None:
            self._write_final_result(None)
        else:
            self._resume(lambda: prompt.on_text(text))

    def _write_information(self, texts: list[str]) -> None:
        for text in texts:
            self._module.output.write_information(text)

    def _write_final_result(self, error: CommandError | None) -> None:
        """The one final result of the line."""
        speech = self._module.output
        if error is None:
            speech.write_ok()
        else:
            speech.write_error(error)
        self._line, self._position = "", 0
        afterwards, self._after_result = self._after_result, []
        speech.release_urcs()
        self._module.command_reader.busy = False
        for action in afterwards:
            action()
        self._module.mt_delivery.process_pending()
        self._module.command_reader.process()


def _with_prefix(name: str, value: str | CommandOutcome) -> CommandOutcome:
    """Values get the command's name in front; none are none."""
    if not isinstance(value, str):
        return value
    return [f"{name}: {value}"] if value else []
