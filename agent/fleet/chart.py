"""The picture of the load over time: SVG without outside resources, readable on light and dark pages."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape

from agent.fleet.load import FleetLoad, LoadKind
from agent.fleet.options import FleetOptions

WIDTH, MARGIN_LEFT, MARGIN_RIGHT = 760, 52, 14
PLOT_WIDTH = WIDTH - MARGIN_LEFT - MARGIN_RIGHT
TITLE_HEIGHT, PANEL_TITLE_HEIGHT, PLOT_HEIGHT, PANEL_HEIGHT, FOOTER_HEIGHT = 50, 26, 104, 150, 34
PIXELS_PER_STEP = 2
"""Width of a step of a curve. A step shows the highest of its seconds."""
MAX_TICKS = 8
CURVES = 4
"""Curves that have a colour of their own; further ones repeat them."""
STYLE = """
svg{--paper:#fff;--ink:#1f2328;--faint:#656d76;--grid:#d0d7de;--c0:#0a5bd3;--c1:#bc4c00;--c2:#1a7f37;--c3:#8250df}
@media(prefers-color-scheme:dark){svg{--paper:#0d1117;--ink:#e6edf3;--faint:#9198a1;--grid:#30363d;\
--c0:#58a6ff;--c1:#ffa657;--c2:#56d364;--c3:#d2a8ff}}
text{font:12px system-ui,sans-serif;fill:var(--ink)}
.title{font-size:15px;font-weight:600}.faint{fill:var(--faint)}
.grid{stroke:var(--grid);stroke-width:1}.mark{stroke:var(--faint);stroke-dasharray:4 3}
.curve{fill-opacity:.18;stroke-width:1.5;stroke-linejoin:round}
.c0{stroke:var(--c0);fill:var(--c0)}.c1{stroke:var(--c1);fill:var(--c1)}
.halo{paint-order:stroke;stroke:var(--paper);stroke-width:4px}
.c2{stroke:var(--c2);fill:var(--c2)}.c3{stroke:var(--c3);fill:var(--c3)}
"""


@dataclass(frozen=True, slots=True)
class Panel:
    """One diagram of the picture, with its own vertical axis and the common time axis."""

    title: str
    curves: Sequence[tuple[str, Sequence[int]]]
    """Label and counts of each second."""


def draw_chart(options: FleetOptions, runs: Sequence[FleetLoad]) -> str:
    """Return the picture of the runs: replies of each, then deliveries and re-attachments of each."""
    panels = [
        _make_panel(title, kind, runs)
        for title, kind in (
            ("Replies per second (webhooks at the back end)", LoadKind.REPLY),
            ("Messages to devices per second", LoadKind.DELIVERY),
            ("Re-attachments per second", LoadKind.ATTACHMENT),
        )
        if any(run.peak(kind) for run in runs)
    ]
    seconds = max((len(counts) for panel in panels for _, counts in panel.curves), default=0)
    height = TITLE_HEIGHT + PANEL_HEIGHT * len(panels) + FOOTER_HEIGHT
    title = f"Load of {options.sims:,} SIMs, scenario {options.scenario}"
    time_axis = _TimeAxis(max(seconds, 2))
    size = f'viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}"'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img" aria-labelledby="title description">',
        f'<title id="title">{escape(title)}</title>',
        f'<desc id="description">{escape(_describe(options, panels))}</desc>',
        f"<style>{STYLE}</style>",
        f'<rect width="{WIDTH}" height="{height}" fill="var(--paper)"/>',
        f'<text class="title" x="{MARGIN_LEFT}" y="20">{escape(title)}</text>',
        *_legend(runs),
    ]
    for number, panel in enumerate(panels):
        top = TITLE_HEIGHT + number * PANEL_HEIGHT
        parts += _draw_panel(panel, top, time_axis, runs[0].marks, show_marks=number == 0)
    parts += time_axis.draw_labels(
        TITLE_HEIGHT + (len(panels) - 1) * PANEL_HEIGHT + PANEL_TITLE_HEIGHT + PLOT_HEIGHT
    )
    return "\n".join((*parts, "</svg>", ""))


def _make_panel(title: str, kind: LoadKind, runs: Sequence[FleetLoad]) -> Panel:
    """Return the panel of one kind of load. Curves that are equal are drawn once."""
    curves = [(f"reply_spread_s {run.reply_spread_s:g}", run.per_second[kind]) for run in runs]
    if len(runs) > 1 and len({_without_end(counts) for _, counts in curves}) == 1:
        return Panel(f"{title}, the same in all runs", curves[:1])
    return Panel(title, curves)


def _without_end(counts: Sequence[int]) -> tuple[int, ...]:
    """Return the counts without the zeros at the end."""
    last = max((second for second, count in enumerate(counts) if count), default=-1)
    return tuple(counts[: last + 1])


class _TimeAxis:
    """The horizontal axis: seconds since the start, labelled in seconds or minutes."""

    def __init__(self, seconds: int) -> None:
        self._seconds = seconds
        self.step_s = math.ceil(seconds * PIXELS_PER_STEP / PLOT_WIDTH)
        self._in_minutes = seconds > 180
        unit = 60 if self._in_minutes else 1
        self.ticks = [tick * unit for tick in _ticks(seconds / unit) if tick * unit <= seconds]

    def position(self, second: float) -> float:
        """Return the horizontal position of a time."""
        return round(MARGIN_LEFT + second / self._seconds * PLOT_WIDTH, 1)

    def draw_labels(self, baseline: float) -> Iterator[str]:
        """Yield the numbers below the lowest plot, and the unit."""
        for tick in self.ticks:
            label = tick // 60 if self._in_minutes else tick
            yield (
                f'<text class="faint" x="{self.position(tick)}" y="{baseline + 16}" text-anchor="middle">'
                f"{label:g}</text>"
            )
        unit = "minutes" if self._in_minutes else "seconds"
        note = "" if self.step_s == 1 else f"; each step shows the highest of {self.step_s} seconds"
        middle = MARGIN_LEFT + PLOT_WIDTH / 2
        yield (
            f'<text class="faint" x="{middle}" y="{baseline + 34}" text-anchor="middle">'
            f"{unit} since the start{note}</text>"
        )


def _draw_panel(
    panel: Panel, top: float, axis: _TimeAxis, marks: dict[str, float], *, show_marks: bool
) -> Iterator[str]:
    floor, ceiling = top + PANEL_TITLE_HEIGHT + PLOT_HEIGHT, top + PANEL_TITLE_HEIGHT
    ticks = _ticks(max(max(counts, default=0) for _, counts in panel.curves), 5)
    highest = ticks[-1]
    yield f'<text x="{MARGIN_LEFT}" y="{top + 16}">{escape(panel.title)}</text>'
    for tick in ticks:
        y = round(floor - tick / highest * PLOT_HEIGHT, 1)
        yield f'<path class="grid" d="M{MARGIN_LEFT} {y}h{PLOT_WIDTH}"/>'
        yield f'<text class="faint" x="{MARGIN_LEFT - 8}" y="{y + 4}" text-anchor="end">{tick:g}</text>'
    for tick in axis.ticks:
        yield f'<path class="grid" d="M{axis.position(tick)} {floor}v4"/>'
    for second in marks.values():
        x = axis.position(second)
        yield f'<path class="mark" d="M{x} {ceiling}V{floor}"/>'
    for number, (_, counts) in enumerate(panel.curves):
        path = _draw_steps(counts, axis, floor, PLOT_HEIGHT / highest)
        yield f'<path class="curve c{number % CURVES}" d="{path}"/>'
    for name, second in marks.items() if show_marks else ():
        x = axis.position(second) + 4
        yield f'<text class="faint halo" x="{x}" y="{ceiling + 12}">{escape(name)}</text>'


def _draw_steps(counts: Sequence[int], axis: _TimeAxis, floor: float, scale: float) -> str:
    """Return a path along the highest count of each step, closed along the axis. Equal steps are joined."""
    path, last = f"M{axis.position(0)} {floor:g}", 0
    for start in range(0, len(counts), axis.step_s):
        count = max(counts[start : start + axis.step_s])
        if count != last:
            path += f"H{axis.position(start):g}V{round(floor - count * scale, 1):g}"
            last = count
    return f"{path}H{axis.position(len(counts)):g}V{floor:g}Z"


def _legend(runs: Sequence[FleetLoad]) -> Iterator[str]:
    for number, run in enumerate(runs):
        x = MARGIN_LEFT + number * 160
        yield f'<rect class="curve c{number % CURVES}" x="{x}" y="30" width="14" height="10"/>'
        yield f'<text x="{x + 20}" y="39">reply_spread_s {run.reply_spread_s:g}</text>'


def _ticks(highest: float, most: int = MAX_TICKS) -> list[int]:
    """Return about `most` multiples of 1, 2 or 5 times a power of ten, from 0 to one not below `highest`."""
    step = 1
    while highest / step > most:
        step = step * 5 // 2 if str(step).startswith("2") else step * 2
    return [step * number for number in range(max(1, math.ceil(highest / step)) + 1)]


def _describe(options: FleetOptions, panels: Sequence[Panel]) -> str:
    peaks = "; ".join(
        f"{panel.title}: "
        + ", ".join(f"{label} peaks at {max(counts, default=0)}" for label, counts in panel.curves)
        for panel in panels
    )
    return f"{options.describe()} {peaks}."
