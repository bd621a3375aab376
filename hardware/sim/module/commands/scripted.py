"""Execution of scripted answers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hardware.sim.module.command_outcome import PENDING, CommandOutcome

if TYPE_CHECKING:
    from hardware.sim.module.parts import ModuleParts
    from hardware.sim.module.scripted_answers import ScriptedAnswer


def play_answer(module: ModuleParts, answer: ScriptedAnswer) -> CommandOutcome:
    """Write an answer, line for line. Raises CommandError if it ends with one."""
    timers, output = module.context.timers, module.context.output
    now = [line.text for line in answer.information if not line.at_s]
    for line in answer.unsolicited:
        delay_s = line.at_s - answer.final_at_s

        def write_later(text: str = line.text, delay_s: float = delay_s) -> None:
            timers.call_after(delay_s, lambda: output.write_urc(text))

        module.line.call_after_result(write_later)
    if not answer.final_at_s:
        if answer.error is None:
            return ["\r\n".join(now)] if now else []
        if now:
            output.write_information("\r\n".join(now))
        raise answer.error
    if now:
        output.write_information("\r\n".join(now))
    for line in answer.information:
        if line.at_s:
            timers.call_later(line.at_s, output.write_information, line.text)
    timers.call_later(answer.final_at_s, module.line.complete, answer.error or [])
    return PENDING
