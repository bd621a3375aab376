"""The screen: one line for each step, coloured on a terminal, plain where it is piped.

A SID is never cut or broken over two lines, whatever the width: people copy it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from rich.console import Console
from rich.text import Text

from agent.cli.show.tour import Result
from agent.story import Step, Weight, visible
from hardware.sim.network.events import Event, EventKind

_PLACES = {"service": "blue", "network": "cyan", "agent": "green"}
_EVENTS = {
    EventKind.CREATED: ("service", "Command created"),
    EventKind.OFFERED: ("network", "offered to the module"),
    EventKind.ACKNOWLEDGED: ("network", "the module has stored it"),
    EventKind.REDELIVERED: ("network", "brings the same message again"),
    EventKind.ACKNOWLEDGEMENT_LOST: ("network", "acknowledgement lost"),
    EventKind.REFUSED: ("network", "refused by the module"),
    EventKind.GIVEN_UP: ("network", "given up"),
    EventKind.ORIGINATED: ("network", "message from the module"),
    EventKind.LISTED: ("service", "listed"),
    EventKind.NOT_LISTED: ("service", "in no list"),
}


SID_WIDTH = 38
"""Columns for a SID with four in front. A narrower terminal breaks the lines itself: a copy stays whole."""


class Screen:
    """Writes the demo. `clock` gives seconds; times count from the beginning of a stop."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self.console = Console(highlight=False)
        # A terminal's lines break between words, so a SID stays whole; what is piped is not broken at all.
        self.console.soft_wrap = not self.console.is_terminal
        self.console.width = max(self.console.width, SID_WIDTH)
        self._clock = clock
        self._began = clock()

    def say(self, text: str = "") -> None:
        """A line of its own, to be copied whole."""
        self.console.print(Text(text), soft_wrap=True)

    def begin(self, title: str, sim: str) -> None:
        """A stop of the tour begins."""
        self._began = self._clock()
        self.console.print(Text.assemble("\n", (title, "bold"), f"  ({sim})"))

    def step(self, item: Step | Event, sim: str | None = None) -> None:
        """Something happened; `sim` is named where several are told together."""
        if isinstance(item, Step):
            if item.weight is Weight.DETAIL:
                return
            if item.what == "handler" and _inner(item.detail):
                return
            sid = f" {item.sid}" if item.sid and item.what == "received" else ""
            place, content = "agent", item.content
            text = item.what + sid + (f": {item.detail}" if item.detail else "")
            bad = item.weight >= Weight.WARNING
        else:
            if item.kind not in _EVENTS:
                return
            place, what = _EVENTS[item.kind]
            sid = f" {item.sid}" if item.sid and place == "service" else ""
            way = "to" if item.kind is EventKind.ORIGINATED else "from"
            number = f" {way} {item.number}" if item.number and place == "network" else ""
            text = what + number + sid + (f": {item.note}" if item.note else "")
            content, bad = item.body, False
        self.console.print(
            Text.assemble(
                (f"  {self._clock() - self._began:6.3f} s  ", "dim"),
                (f"{place:<8}", _PLACES[place]),
                "" if sim is None else f"{sim}  ",
                (visible(text), "yellow" if bad else ""),
                "" if content is None else (f"  {_shown(content)}", "bold"),
            )
        )

    def end(self, result: Result) -> None:
        """A stop of the tour ends."""
        mark, colour = ("ok", "green") if result.good else ("NOT as it should be", "red")
        self.console.print(Text.assemble("  ", (mark, f"bold {colour}"), f"  {result.outcome}"))

    def table(self, results: Sequence[Result]) -> None:
        """All stops; on a narrow screen each row stands on lines of its own."""
        rows = [("ok" if each.good else "NO", each.title, each.sid or "-", each.outcome) for each in results]
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


def _inner(line: str) -> bool:
    """The lines of a traceback but its last: they are for the log."""
    said = line.partition(": ")[2]
    return said.startswith((" ", "Traceback"))


def _shown(content: str | bytes) -> str:
    if isinstance(content, bytes):
        return content.hex(" ")
    return f'"{visible(content)}"'
