"""Promises 2 and 9 against a plain reckoning: whatever the clocks do, and whenever the journal forgets."""

import itertools
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from agent.journal.journal import DAY_S
from agent.journal.models import StoreOutcome

MEMORY_S = 31 * DAY_S
YEARS_S = 3_000 * DAY_S

durations = st.one_of(
    st.floats(0, 100),
    st.floats(0, 40 * DAY_S),
    st.sampled_from([MEMORY_S - 1, MEMORY_S, MEMORY_S + 1, DAY_S]),
)
steps = st.one_of(
    st.tuples(st.just("new"), st.booleans(), st.sampled_from([0.0, 60.0, DAY_S, 20 * DAY_S])),
    st.tuples(st.just("new"), st.booleans(), st.just(0.0)),
    st.tuples(st.just("rogue"), st.booleans(), st.floats(YEARS_S, 3 * YEARS_S)),
    st.tuples(st.just("again"), st.integers(0, 30), st.booleans()),
    st.tuples(st.just("again"), st.integers(0, 30), st.just(False)),
    st.tuples(st.just("passes"), durations),
    st.tuples(st.just("off"), durations),
    st.tuples(st.just("clock"), st.floats(-20_000 * DAY_S, 400 * DAY_S)),
    st.tuples(st.just("clock"), st.just(0.0)),
    st.tuples(st.just("forget")),
    st.tuples(st.just("month"), st.booleans()),
    st.tuples(st.just("month"), st.booleans()),
)


@dataclass
class SentCommand:
    """A Command that was delivered at least once."""

    number: int
    with_sid: bool
    timestamp: float
    wall: float
    uptime: float
    runs: int = 0
    may_be_forgotten: bool = False
    """The journal was told to forget when both clocks said that the memory was over for it."""


@dataclass
class DedupModel:
    """The world beside a journal: the true time, and what the promise makes of each delivery."""

    desk: object
    make: object
    true_time: float
    clock_error: float = 0.0
    uptime: float = 0.0
    sent: list[SentCommand] = field(default_factory=list)

    def __post_init__(self):
        self.numbers = itertools.count()

    def passes(self, seconds):
        self.true_time += seconds
        self.uptime += seconds
        self.desk.monotonic += seconds
        self.desk.wall = self.true_time + self.clock_error

    def off(self, seconds):
        """Without power: nothing counts that time but the network."""
        self.true_time += seconds
        self.desk.restart()
        self.uptime = self.desk.journal.now().uptime
        self.desk.wall = self.true_time + self.clock_error

    def clock(self, wrong):
        self.clock_error = wrong
        self.desk.wall = self.true_time + wrong

    def forget(self):
        self.desk.prune(keep_days=1, dedup_days=31)
        for each in self.sent:
            age = min(self.desk.wall - each.wall, self.uptime - each.uptime)
            each.may_be_forgotten = each.may_be_forgotten or age >= MEMORY_S - 1

    def month(self, jumps):
        """The memory ends; or only the device's clock says so."""
        if jumps:
            self.clock(self.clock_error + MEMORY_S + 1)
        else:
            self.passes(MEMORY_S + 1)
        self.forget()

    def rogue(self, with_sid, ahead):
        """A wrong stamp among honest ones."""
        self.new(with_sid, 0.0)
        self.new(with_sid, -ahead)
        self.new(with_sid, 0.0)

    def new(self, with_sid, late):
        """A Command that never came before, on its way for so long."""
        one = SentCommand(next(self.numbers), with_sid, self.true_time - late, self.desk.wall, self.uptime)
        outcome = self.deliver(one, one.timestamp)
        assert outcome in {StoreOutcome.NEW, StoreOutcome.EXPIRED}
        if outcome is StoreOutcome.EXPIRED:
            assert self.true_time - one.timestamp > MEMORY_S - 1, (
                "expired, and younger than the memory reaches"
            )
        self.sent.append(one)

    def again(self, which, restamped):
        """One that came before, as it was; or sent anew by the service, which only a SID shows."""
        if not self.sent:
            return
        one = self.sent[which % len(self.sent)]
        restamped = restamped and one.with_sid and one.timestamp < self.true_time
        runs = one.runs
        outcome = self.deliver(one, self.true_time if restamped else one.timestamp)
        if not one.may_be_forgotten:
            assert outcome is StoreOutcome.DUPLICATE, "forgotten too early"
        elif restamped:
            one.runs = min(one.runs, 1)  # beyond the memory that is promised
        assert one.runs == max(runs, one.runs) <= 1, "carried out twice"

    def deliver(self, one, stamp):
        kept = self.desk.store(
            self.make.command(
                f"led {one.number}",
                sid=f"DC{one.number:032x}" if one.with_sid else None,
                identity=one.number.to_bytes(16, "big"),
                at=stamp,
            )
        )
        one.runs += kept.outcome is StoreOutcome.NEW
        if kept.outcome is StoreOutcome.NEW:
            self.desk.inbox.finish(kept.command_id, "done")
        return kept.outcome


@settings(max_examples=100, deadline=None)
@given(st.lists(steps, min_size=5, max_size=40))
def test_never_twice_and_never_old_by_mistake(open_fast_journal, factories, story):
    """Carried out at most once at any age; a double within the memory; `expired` only where truly old."""
    with tempfile.TemporaryDirectory() as folder:
        desk = open_fast_journal(Path(folder) / "journal.db")
        world = DedupModel(desk, factories, desk.wall)
        try:
            for what, *values in story:
                getattr(world, what)(*values)
        finally:
            desk.journal.close()


def test_one_wrong_stamp_stops_nobody_for_ever(journal_env, factories):
    """A service centre with a wrong clock for a moment: when its message is forgotten, others still run."""
    world = DedupModel(journal_env, factories, journal_env.wall)
    world.rogue(False, YEARS_S)
    for _ in range(8):
        world.passes(10 * DAY_S)
        world.new(True, 0.0)
        world.forget()
    assert [each.runs for each in world.sent] == [1] * 11
    assert journal_env.query_column("SELECT count(*) FROM dedup WHERE timestamp > ?", world.true_time) == [1]
    world.again(1, False)


def test_a_clock_that_never_was_right_does_not_let_the_memory_grow(journal_env, factories):
    """It stands in the last century: what is old is forgotten all the same, as later messages tell."""
    world = DedupModel(journal_env, factories, journal_env.wall)
    world.clock(-20_000 * DAY_S)
    for _ in range(100):
        world.passes(DAY_S)
        world.new(True, 0.0)
        world.forget()
    assert journal_env.query_column("SELECT count(*) FROM dedup") == [32]
    assert [each.runs for each in world.sent] == [1] * 100
