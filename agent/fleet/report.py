"""The results of the runs as text for a terminal and as a JSON document."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

from agent.fleet.load import PERCENTILES, FleetLoad, LoadKind
from agent.fleet.options import FleetOptions

_LABEL_CHARS = 44
_COLUMN_CHARS = 22
_BOTH_DIRECTIONS = (LoadKind.DELIVERY, LoadKind.REPLY)


def format_report(options: FleetOptions, runs: Sequence[FleetLoad]) -> str:
    """Return the scenario and a table with one column for each run."""
    rows = [
        f"{label:<{_LABEL_CHARS}}" + "".join(f"{value:>{_COLUMN_CHARS}}" for value in values)
        for label, values in _table(runs)
    ]
    return "\n".join((options.describe(), "", *(row.rstrip() for row in rows), "", _explain(runs)))


def _table(runs: Sequence[FleetLoad]) -> Iterator[tuple[str, list[str]]]:
    yield "reply_spread_s", [f"{run.reply_spread_s:g}" for run in runs]
    yield "messages a second, both directions, peak", [f"{run.peak(*_BOTH_DIRECTIONS)}" for run in runs]
    yield "  to the devices, peak", [f"{run.peak(LoadKind.DELIVERY)}" for run in runs]
    yield "  replies (webhooks of the back end), peak", [f"{run.peak(LoadKind.REPLY)}" for run in runs]
    yield "re-attachments a second, peak", [f"{run.peak(LoadKind.ATTACHMENT)}" for run in runs]
    yield "Command to answer, p50 / p95 / p99, s", [_join_percentiles(run.answer_s) for run in runs]
    if any(run.answer_after_return_s for run in runs):
        yield (
            "  from the return of the coverage, s",
            [_join_percentiles(run.answer_after_return_s) for run in runs],
        )
    yield "Commands, of these repeated by the back end", [f"{run.commands} / {run.repeats}" for run in runs]
    yield "messages delivered again and recognised", [f"{run.duplicates}" for run in runs]
    if any(run.given_up for run in runs):
        yield "Commands that the network has given up", [f"{run.given_up}" for run in runs]
    yield (
        "Commands lost / doubled / unanswered",
        [f"{run.lost} / {run.doubled} / {run.unanswered}" for run in runs],
    )


def _join_percentiles(values: dict[int, float]) -> str:
    return " / ".join(f"{values[percent]:g}" for percent in PERCENTILES[:3]) if values else "-"


def _explain(runs: Sequence[FleetLoad]) -> str:
    """Return a sentence that compares the runs, or one about the single run."""
    first, last = runs[0], runs[-1]
    if not all(run.is_sound for run in runs):
        return "Commands were lost, doubled or left without an answer: this must not happen."
    kept = "Every Command ran once and was answered once."
    if any(run.given_up for run in runs):
        kept = "Every Command that reached its module ran once and was answered once."
    if len(runs) == 1 or not first.peak(LoadKind.REPLY):
        return kept
    share = last.peak(LoadKind.REPLY) / first.peak(LoadKind.REPLY)
    impatience = ""
    if last.repeats > first.repeats:
        impatience = f" The back end repeats {last.repeats} Commands: let it wait longer than the spread."
    return (
        f"{kept} With reply_spread_s {last.reply_spread_s:g} the peak of the replies is {share:.0%} of that "
        f"with {first.reply_spread_s:g}.{impatience}"
    )


def make_document(options: FleetOptions, runs: Sequence[FleetLoad]) -> dict[str, Any]:
    """Return options and results as values for JSON. Each list has one count for each second."""
    return {"options": asdict(options), "runs": [_run_document(run) for run in runs]}


def _run_document(run: FleetLoad) -> dict[str, Any]:
    peaks = {kind.value: run.peak(kind) for kind in LoadKind}
    return {
        "reply_spread_s": run.reply_spread_s,
        "peak_per_s": {"messages": run.peak(*_BOTH_DIRECTIONS), **peaks},
        "answer_s": _name_percentiles(run.answer_s),
        "answer_after_return_s": _name_percentiles(run.answer_after_return_s),
        "commands": run.commands,
        "repeats": run.repeats,
        "duplicates": run.duplicates,
        "given_up": run.given_up,
        "lost": run.lost,
        "doubled": run.doubled,
        "unanswered": run.unanswered,
        "marks_s": {name: round(at, 1) for name, at in run.marks.items()},
        "per_s": {kind.value: counts for kind, counts in run.per_second.items()},
    }


def _name_percentiles(values: dict[int, float]) -> dict[str, float]:
    return {"max" if percent == 100 else f"p{percent}": value for percent, value in values.items()}
