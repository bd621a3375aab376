"""Counts what the fleet puts on the network in each second, and follows each Command to its answer."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from agent.common.events import Event, EventKind
from agent.fleet.numbered import commanded_number, replied_number
from agent.handlers.api import Command
from hardware.sim.network.events import NetworkEvent, NetworkEventKind

PERCENTILES = (50, 95, 99, 100)


class LoadKind(StrEnum):
    """What is counted."""

    DELIVERY = "deliveries"
    """Messages that the network sends to modules, each attempt."""
    REPLY = "replies"
    """Messages that modules send; the back end gets each as a webhook."""
    ATTACHMENT = "attachments"
    """Modules that register on the network."""


_COUNTED = {
    NetworkEventKind.OFFERED: LoadKind.DELIVERY,
    NetworkEventKind.ORIGINATED: LoadKind.REPLY,
    NetworkEventKind.ATTACHED: LoadKind.ATTACHMENT,
}


@dataclass(slots=True)
class TrackedCommand:
    """One Command of the back end. Times are seconds since the start of the recording."""

    created_s: float
    repeats: int | None
    """Number of the Command that it repeats."""
    is_given_up: bool = False
    """True if the network has given it up."""
    runs: int = 0
    """How often its handler has run."""
    answers: int = 0
    answered_s: float = math.inf
    """Time of the first answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetLoad:
    """The result of one run."""

    reply_spread_s: float
    per_second: dict[LoadKind, list[int]]
    """Counts of each second since the start of the recording; all lists have the same length."""
    marks: dict[str, float]
    """What happened when, in seconds since the start."""
    commands: int
    repeats: int
    """Commands that the back end has repeated; they are part of `commands`."""
    duplicates: int
    """Messages that the network delivered again, and that the agents recognised."""
    given_up: int
    """Commands that the network has given up, as the service does not store them or they were too old."""
    lost: int
    """Other Commands that no handler has run."""
    doubled: int
    """Commands whose handler ran more than once, or that were answered more than once."""
    unanswered: int
    """Commands that ran without an answer until the end."""
    answer_s: dict[int, float] = field(default_factory=dict)
    """Percentiles of the seconds from the creation of a Command to its answer; 100 is the longest."""
    answer_after_return_s: dict[int, float] = field(default_factory=dict)
    """The same from the return of the coverage; empty if it was never lost."""

    @property
    def is_sound(self) -> bool:
        """True if no Command was lost or doubled."""
        return not (self.lost or self.doubled or self.unanswered)

    def peak(self, *kinds: LoadKind) -> int:
        """Return the highest number in a second, of these kinds together."""
        return max(map(sum, zip(*(self.per_second[kind] for kind in kinds), strict=True)), default=0)


class LoadRecorder:
    """Records one run. Nothing is counted before `start`."""

    def __init__(self, time: Callable[[], float]) -> None:
        """`time` returns monotonic seconds."""
        self._time = time
        self._started_at: float | None = None
        self._counts: dict[LoadKind, Counter[int]] = {kind: Counter() for kind in LoadKind}
        self._commands: dict[int, TrackedCommand] = {}
        self._duplicates = 0
        self.unanswered: set[int] = set()
        """Numbers of the Commands that have no answer yet."""
        self.marks: dict[str, float] = {}
        """What happened when, in seconds since the start."""

    def start(self) -> None:
        """Begin to count."""
        self._started_at = self._time()

    def mark(self, name: str) -> None:
        """Note that something begins now."""
        self.marks[name] = self._now()

    def add_command(self, repeats: int | None = None) -> int:
        """Record a Command that is created now, perhaps again; return its number."""
        number = len(self._commands) + 1
        self._commands[number] = TrackedCommand(self._now(), repeats)
        self.unanswered.add(number)
        return number

    def on_run(self, command: Command) -> None:
        """Record the run of a handler."""
        self._commands[int(command.words[1])].runs += 1

    def on_agent_event(self, event: Event) -> None:
        """Record an event of an agent."""
        if event.kind in (EventKind.DUPLICATE, EventKind.ALREADY_STORED):
            self._duplicates += 1

    def on_network_event(self, event: NetworkEvent) -> None:
        """Record an event of the network."""
        if self._started_at is None:
            return
        kind = _COUNTED.get(event.kind)
        if kind is not None and not event.note:  # with a note: radio coverage, which attaches no module yet
            self._counts[kind][int(self._now())] += 1
        elif event.kind in (NetworkEventKind.LISTED, NetworkEventKind.NOT_LISTED):
            self._record_answer(replied_number(event.body))
        elif event.kind is NetworkEventKind.GIVEN_UP:
            number = commanded_number(event.body)
            if number in self._commands:
                self._commands[number].is_given_up = True
                self.unanswered.discard(number)

    def _record_answer(self, number: int | None) -> None:
        if number in self._commands:
            command = self._commands[number]
            command.answers += 1
            command.answered_s = min(command.answered_s, self._now())
            self.unanswered.discard(number)

    def _now(self) -> float:
        return self._time() - (self._started_at or 0.0)

    def make_result(self, reply_spread_s: float, returned: str) -> FleetLoad:
        """Return the result; `returned` is the mark of the return of the coverage."""
        seconds = max((max(counts, default=0) for counts in self._counts.values()), default=0) + 1
        commands = self._commands.values()
        answered = [command for command in commands if command.answers]
        waits = [command.answered_s - command.created_s for command in answered]
        returned_s = self.marks.get(returned, math.inf)
        after_return = [
            command.answered_s - max(command.created_s, returned_s)
            for command in answered
            if command.answered_s > returned_s
        ]
        return FleetLoad(
            reply_spread_s=reply_spread_s,
            per_second={
                kind: [counts[second] for second in range(seconds)] for kind, counts in self._counts.items()
            },
            marks=dict(self.marks),
            commands=len(commands),
            repeats=sum(command.repeats is not None for command in commands),
            duplicates=self._duplicates,
            given_up=sum(command.is_given_up for command in commands),
            lost=sum(command.runs == 0 and not command.is_given_up for command in commands),
            doubled=sum(command.runs > 1 or command.answers > 1 for command in commands),
            unanswered=sum(command.runs > 0 and not command.answers for command in commands),
            answer_s=find_percentiles(waits),
            answer_after_return_s=find_percentiles(after_return),
        )


def find_percentiles(values: Sequence[float]) -> dict[int, float]:
    """Return the values of `PERCENTILES` by nearest rank, rounded to 0.1; empty without values."""
    ordered = sorted(values)
    return {
        percent: round(ordered[math.ceil(percent / 100 * len(ordered)) - 1], 1)
        for percent in PERCENTILES
        if ordered
    }
