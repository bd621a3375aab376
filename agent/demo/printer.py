"""Prints the demo: one line for each event, with colours on a terminal and without in a pipe.

A SID is never truncated or wrapped, even on a narrow terminal, so that it can be copied.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from rich.console import Console
from rich.text import Text

from agent.common.events import Event, EventKind, Severity
from agent.common.printable import escape_unprintable
from agent.demo.scenarios import ScenarioResult
from hardware.sim.network.events import NetworkEvent, NetworkEventKind

_COLOURS = {"service": "blue", "network": "cyan", "agent": "green"}
_NETWORK_EVENT_TEXTS = {
    NetworkEventKind.CREATED: ("service", "Command created"),
    NetworkEventKind.OFFERED: ("network", "offered to the module"),
    NetworkEventKind.ACKNOWLEDGED: ("network", "acknowledged by the module"),
    NetworkEventKind.REDELIVERED: ("network", "delivered again"),
    NetworkEventKind.ACKNOWLEDGEMENT_LOST: ("network", "acknowledgement lost"),
    NetworkEventKind.REFUSED: ("network", "refused by the module"),
    NetworkEventKind.GIVEN_UP: ("network", "given up"),
    NetworkEventKind.ORIGINATED: ("network", "message from the module"),
    NetworkEventKind.LISTED: ("service", "listed"),
    NetworkEventKind.NOT_LISTED: ("service", "not listed"),
}
"""Source and text of each kind that is printed; other kinds are not shown."""

MIN_WIDTH_COLUMNS = 38
"""Columns of a SID with an indent of four. A narrower terminal wraps the lines itself, which a copy
undoes."""


class DemoPrinter:
    """Prints to standard output. `clock` returns seconds; times count from the start of a scenario."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self.console = Console(highlight=False)
        # On a terminal rich wraps between words, so a SID stays whole; output into a pipe is not wrapped.
        self.console.soft_wrap = not self.console.is_terminal
        self.console.width = max(self.console.width, MIN_WIDTH_COLUMNS)
        self._clock = clock
        self._started_at = clock()

    def print_line(self, text: str = "") -> None:
        """Print a line without wrapping, so that it can be copied."""
        self.console.print(Text(text), soft_wrap=True)

    def print_scenario(self, title: str, sim: str) -> None:
        """Print the heading of a scenario and start its clock."""
        self._started_at = self._clock()
        self.console.print(Text.assemble("\n", (title, "bold"), f"  ({sim})"))

    def print_event(self, event: Event | NetworkEvent, sim: str | None = None) -> None:
        """Print an event, with the name of its SIM if one is given. Debug events are not shown."""
        if isinstance(event, Event):
            if event.severity is Severity.DEBUG:
                return
            if event.kind == EventKind.HANDLER and _is_traceback_body(event.message):
                return
            sid = f" {event.sid}" if event.sid and event.kind == EventKind.RECEIVED else ""
            source, content = "agent", event.content
            text = event.kind + sid + (f": {event.message}" if event.message else "")
            is_warning = event.severity >= Severity.WARNING
        else:
            if event.kind not in _NETWORK_EVENT_TEXTS:
                return
            source, action = _NETWORK_EVENT_TEXTS[event.kind]
            sid = f" {event.sid}" if event.sid and source == "service" else ""
            preposition = "to" if event.kind is NetworkEventKind.ORIGINATED else "from"
            number = f" {preposition} {event.number}" if event.number and source == "network" else ""
            text = action + number + sid + (f": {event.note}" if event.note else "")
            content, is_warning = event.body, False
        self.console.print(
            Text.assemble(
                (f"  {self._clock() - self._started_at:6.3f} s  ", "dim"),
                (f"{source:<8}", _COLOURS[source]),
                "" if sim is None else f"{sim}  ",
                (escape_unprintable(text), "yellow" if is_warning else ""),
                "" if content is None else (f"  {_format_content(content)}", "bold"),
            )
        )

    def print_result(self, result: ScenarioResult) -> None:
        """Print the result of a scenario."""
        mark, colour = ("ok", "green") if result.passed else ("FAILED", "red")
        self.console.print(Text.assemble("  ", (mark, f"bold {colour}"), f"  {result.outcome}"))

    def print_results(self, results: Sequence[ScenarioResult]) -> None:
        """Print a table of all results; on a narrow terminal each result takes several lines."""
        rows = [
            ("ok" if result.passed else "FAILED", result.title, result.sid or "-", result.outcome)
            for result in results
        ]
        widths = [max(len(row[column]) for row in rows) for column in range(3)]
        is_wide = not self.console.is_terminal or sum(widths) + 6 + 40 <= self.console.width
        self.console.print()
        for mark, title, sid, outcome in rows:
            colour = "green" if mark == "ok" else "red"
            if is_wide:
                cells = f"  {title:<{widths[1]}}  {sid:<{widths[2]}}  {outcome}"
                self.console.print(Text.assemble((f"{mark:<{widths[0]}}", f"bold {colour}"), cells))
            else:
                self.console.print(
                    Text.assemble((mark, f"bold {colour}"), f"  {title}\n    {sid}\n    {outcome}")
                )


def _is_traceback_body(line: str) -> bool:
    """Return True for each line of a traceback but its last."""
    text = line.partition(": ")[2]
    return text.startswith((" ", "Traceback"))


def _format_content(content: str | bytes) -> str:
    if isinstance(content, bytes):
        return content.hex(" ")
    return f'"{escape_unprintable(content)}"'
