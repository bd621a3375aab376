"""Hold a line that has the name of an answer and not its form, until the result code shows what it is.

`+CREG: 5` is a URC, and `+CREG: 1,5` the answer to +CREG?. But some modules write the answer in a form that
no pattern covers. If the command ends with OK and nothing else was its answer, the held line was the answer;
otherwise it was a URC.
"""

from __future__ import annotations

from agent.at.command import AtCommand
from agent.at.events import AtEvent, Information, Unsolicited
from agent.at.payload import has_response_name


class OddAnswer:
    """The held line of the pending command."""

    def __init__(self) -> None:
        self._command: AtCommand | None = None
        self._line = ""

    def hold(self, command: AtCommand | None, line: str, events: list[AtEvent]) -> bool:
        """Hold a line if it may be the answer to this command. The line held before was a URC then."""
        if (
            command is None
            or not command.requires_information
            or not any(
                each.value_pattern and has_response_name(each, line) for each in command.response_patterns
            )
        ):
            return False
        self.release(events)
        self._command, self._line = command, line
        return True

    def accept(self, events: list[AtEvent]) -> bool:
        """Report the held line as the answer. Return False if there is none."""
        line, self._line = self._line, ""
        if line:
            events.append(Information(line))
        return bool(line)

    def release(self, events: list[AtEvent], pending: AtCommand | None = None) -> None:
        """Report the held line as a URC, unless it may be the answer to the command that is pending."""
        if self._line and self._command is not pending:
            events.append(Unsolicited(self._line))
            self._line = ""
