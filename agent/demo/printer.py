"""The screen: one line for each step, coloured on a terminal, plain where it is piped.

A SID is never cut or broken over two lines, whatever the width: people copy it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from rich.console import Console
from rich.text import Text

from agent.common.events import Event, Severity, escape_unprintable
from agent.demo.scenarios import ScenarioResult
from hardware.sim.network.events import NetworkEvent, NetworkEventKind

_COLOURS = {"service": "blue", "network": "cyan", "agent": "green"}
_EVENT_TEXTS = {
    NetworkEventKind.CREATED: ("service", "Command created"),
    NetworkEventKind.OFFERED: ("network", "offered to the module"),
    NetworkEventKind.ACKNOWLEDGED: ("network", "the module has stored it"),
    NetworkEventKind.REDELIVERED: ("network", "brings the same message again"),
    NetworkEventKind.ACKNOWLEDGEMENT_LOST: ("network", "acknowledgement lost"),
    NetworkEventKind.REFUSED: ("network", "refused by the module"),
    NetworkEventKind.GIVEN_UP: ("network", "given up"),
    NetworkEventKind.ORIGINATED: ("network", "message from the module"),
    NetworkEventKind.LISTED: ("service", "listed"),
    NetworkEventKind.NOT_LISTED: ("service", "in no list"),
}


MIN_WIDTH_COLUMNS = 38
"""Columns for a SID with four in front. A narrower terminal breaks the lines itself: a copy stays whole."""


class DemoPrinter:
    """Writes the demo. `clock` gives seconds; times count from the beginning of a stop."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self.console = Console(highlight=False)
        # A terminal's lines break between words, so a SID stays whole; what is piped is not broken at all.
        self.console.soft_wrap = not self.console.is_terminal
        self.console.width = max(self.console.width, MIN_WIDTH_COLUMNS)
        self._clock = clock
        self._started_at = clock()

    def print_line(self, text: str = "") -> None:
        """A line of its own, to be copied whole."""
        self.console.print(Text(text), soft_wrap=True)

    def print_scenario(self, title: str, sim: str) -> None:
        """A stop of the tour begins."""
        self._started_at = self._clock()
        self.console.print(Text.assemble("\n", (title, "bold"), f"  ({sim})"))

    def print_event(self, item: Event | NetworkEvent, sim: str | None = None) -> None:
        """Something happened; `sim` is named where several are told together."""
        if isinstance(item, Event):
            if item.severity is Severity.DEBUG:
                return
            if item.kind == "handler" and _is_traceback_body(item.message):
                return
            sid = f" {item.sid}" if item.sid and item.kind == "received" else ""
            place, content = "agent", item.content
            text = item.kind + sid + (f": {item.message}" if item.message else "")
            bad = item.severity >= Severity.WARNING
        else:
            if item.kind not in _EVENT_TEXTS:
                return
            place, what = _EVENT_TEXTS[item.kind]
            sid = f" {item.sid}" if item.sid and place == "service" else ""
            way = "to" if item.kind is NetworkEventKind.ORIGINATED else "from"
            number = f" {way} {item.number}" if item.number and place == "network" else ""
            text = what + number + sid + (f": {item.note}" if item.note else "")
            content, bad = item.body, False
        self.console.print(
            Text.assemble(
                (f"  {self._clock() - self._started_at:6.3f} s  ", "dim"),
                (f"{place:<8}", _COLOURS[place]),
                "" if sim is None else f"{sim}  ",
                (escape_unprintable(text), "yellow" if bad else ""),
                "" if content is None else (f"  {_format_content(content)}", "bold"),
            )
        )

    def print_result(self, result: ScenarioResult) -> None:
        """A stop of the tour ends."""
        mark, colour = ("ok", "green") if result.passed else ("NOT as it should be", "red")
        self.console.print(Text.assemble("  ", (mark, f"bold {colour}"), f"  {result.outcome}"))

    def print_results(self, results: Sequence[ScenarioResult]) -> None:
        """All stops; on a narrow screen each row stands on lines of its own."""
        rows = [
            ("ok" if each.passed else "NO", each.title, each.sid or "-", each.outcome) for each in results
        ]
        widths = [max(len(row[column]) for row in rows) for column in range(3)]
        wide = not self.console.is_terminal or sum(widths) + 6 + 40 <= self.console.width
        self.console.print()
        for mark, title, sid, outcome in rows:
            colour = "green" if mark == "ok" else "red"
            if wide:
                cells = f"  {title:<{widths[1]}}  {sid:<{widths[2]}}  {outcome}"
                self.console.print(Text.assemble((mark, f"bold {colour}"), cells))
            else:
                self.console.print(
                    Text.assemble((mark, f"bold {colour}"), f"  {title}\n    {sid}\n    {outcome}")
                )


def _is_traceback_body(line: str) -> bool:
    """The lines of a traceback but its last: they are for the log."""
    said = line.partition(": ")[2]
    return said.startswith((" ", "Traceback"))


def _format_content(content: str | bytes) -> str:
    if isinstance(content, bytes):
        return content.hex(" ")
    return f'"{escape_unprintable(content)}"'
