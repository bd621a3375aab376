"""Execution of a command line: from left to right, until the first failure, one final result (V.250 5.6)."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from hardware.sim.module.command_outcome import PENDING, CommandOutcome, Pending, TextPrompt
from hardware.sim.module.command_parser import ParsedCommand, normalise, parse_next_command
from hardware.sim.module.errors import CommandError

if TYPE_CHECKING:
    from collections.abc import Callable

    from hardware.sim.module.command_reader import CommandReader
    from hardware.sim.module.context import ModuleContext


@dataclass(slots=True, eq=False)
class _Line:
    """The line that is being executed. A restart replaces it, which aborts its commands."""

    text: str = ""
    position: int = 0
    """Where the next command begins."""
    in_step: bool = False
    early_completion: list[str] | CommandError | None = None
    """The result of a command that completed before it could become pending."""
    after_result: list[Callable[[], None]] = field(default_factory=list)


class Interpreter:
    """Executes one line at a time; the reader is busy while a command is pending.

    `execute` runs one command. `before_command` is the hook for faults: it returns None to execute the
    command, information texts to answer instead, or a delay in seconds; it may raise CommandError.
    `on_line_done` is called when unsolicited result codes may be written again.
    """

    def __init__(
        self,
        context: ModuleContext,
        reader: CommandReader,
        *,
        command_names: frozenset[str],
        execute: Callable[[ParsedCommand], CommandOutcome],
        before_command: Callable[[ParsedCommand], list[str] | float | None],
        on_line_done: Callable[[], None],
    ) -> None:
        self._context = context
        self._reader = reader
        self.command_names = command_names
        self._execute = execute
        self._before_command = before_command
        self._on_line_done = on_line_done
        self._current = _Line()

    def reset(self) -> None:
        """Abort the current line, as at a power-off."""
        self._current = _Line()

    def execute_line(self, line: str) -> None:
        """Execute a complete line, without its `AT`."""
        self._reader.busy = True
        self._context.output.hold_urcs()
        self._context.log.command_lines.append(line)
        self._current = _Line(normalise(line))
        self._run_commands()

    def call_after_result(self, action: Callable[[], None]) -> None:
        """Call `action` after the final result code of the current line."""
        self._current.after_result.append(action)

    def complete(self, outcome: list[str] | CommandError) -> None:
        """Finish a command that returned PENDING, then run the rest of the line."""
        if self._current.in_step:
            self._current.early_completion = outcome
        elif isinstance(outcome, CommandError):
            self._write_final_result(outcome)
        else:
            self._write_information(outcome)
            self._run_commands()

    def skip_rest(self) -> None:
        """Ignore the remaining commands of the line (ATZ, V.250 6.1.1)."""
        self._current.position = len(self._current.text)

    def _run_commands(self) -> None:
        """Run commands until one is pending or fails, or the line ends."""
        line = self._current
        while line.position < len(line.text):
            try:
                command, line.position = parse_next_command(line.text, line.position)
                done = self._run_step(partial(self._execute_or_fault, command))
            except CommandError as refusal:
                self._write_final_result(refusal)
                return
            if not done:
                return
        self._write_final_result(None)

    def _resume(self, step: Callable[[], CommandOutcome]) -> None:
        """Continue a command that was pending, then run the rest of the line."""
        try:
            done = self._run_step(step)
        except CommandError as refusal:
            self._write_final_result(refusal)
            return
        if done:
            self._run_commands()

    def _run_step(self, step: Callable[[], CommandOutcome]) -> bool:
        """Run one step of a command; returns False if it is pending or was aborted by a restart."""
        line = self._current
        line.in_step = True
        try:
            outcome = step()
            early, line.early_completion = line.early_completion, None
            if isinstance(early, CommandError):
                raise early
            if outcome is PENDING and early is not None:
                outcome = early
        except CommandError:
            if line is self._current:
                raise
            return False
        finally:
            line.in_step = False
        if line is not self._current:
            return False
        match outcome:
            case TextPrompt():
                self._open_text_entry(outcome)
            case Pending():
                self._context.output.release_urcs()
                self._on_line_done()
            case _:
                self._write_information(outcome)
        return isinstance(outcome, list)

    def _execute_or_fault(self, command: ParsedCommand) -> CommandOutcome:
        """Execute a command, unless a fault decides otherwise."""
        verdict = self._before_command(command)
        if isinstance(verdict, float):
            self._context.timers.call_after(verdict, lambda: self._resume(lambda: self._execute(command)))
            return PENDING
        return self._execute(command) if verdict is None else verdict

    def _open_text_entry(self, prompt: TextPrompt) -> None:
        """Start text entry; unsolicited result codes are held until it ends."""
        self._reader.busy = False
        self._reader.open_text_entry(lambda text: self._handle_text(prompt, text), text_mode=prompt.text_mode)

    def _handle_text(self, prompt: TextPrompt, text: bytes | None) -> None:
        self._reader.busy = True
        if text is None:
            self._write_final_result(None)
        else:
            self._resume(lambda: prompt.on_text(text))

    def _write_information(self, texts: list[str]) -> None:
        for text in texts:
            self._context.output.write_information(text)

    def _write_final_result(self, error: CommandError | None) -> None:
        """Write the one final result code of the line and run what was deferred until then."""
        output = self._context.output
        if error is None:
            output.write_ok()
        else:
            output.write_error(error)
        afterwards, self._current = self._current.after_result, _Line()
        output.release_urcs()
        self._reader.busy = False
        for action in afterwards:
            action()
        self._on_line_done()
        self._reader.process()
