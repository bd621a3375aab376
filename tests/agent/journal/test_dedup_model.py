"""Deduplication compared with a model, with any clocks and any time of pruning."""

import itertools
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.journal.models import StoreOutcome
from agent.journal.timestamps import DAY_S

MEMORY_S = 31 * DAY_S
YEARS_S = 3_000 * DAY_S

durations = st.one_of(
    st.floats(0, 100),
    st.floats(0, 40 * DAY_S),
    st.sampled_from([MEMORY_S - 1, MEMORY_S, MEMORY_S + 1, DAY_S]),
)
steps = st.one_of(
    st.tuples(st.just("deliver_new"), st.booleans(), st.sampled_from([0.0, 60.0, DAY_S, 20 * DAY_S])),
    st.tuples(st.just("deliver_new"), st.booleans(), st.just(0.0)),
    st.tuples(st.just("deliver_wrong_timestamp"), st.booleans(), st.floats(YEARS_S, 3 * YEARS_S)),
    st.tuples(st.just("deliver_again"), st.integers(0, 30), st.booleans()),
    st.tuples(st.just("deliver_again"), st.integers(0, 30), st.just(False)),
    st.tuples(st.just("advance"), durations),
    st.tuples(st.just("switch_off"), durations),
    st.tuples(st.just("set_clock_error"), st.floats(-20_000 * DAY_S, 400 * DAY_S)),
    st.tuples(st.just("set_clock_error"), st.just(0.0)),
    st.tuples(st.just("prune")),
    st.tuples(st.just("pass_retention"), st.booleans()),
    st.tuples(st.just("pass_retention"), st.booleans()),
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
    """The journal was pruned when it was older than the retention by both clocks."""


@dataclass
class DedupModel:
    """The true time beside a journal, and the promised outcome of each delivery."""

    env: object
    factories: object
    true_time: float
    clock_error: float = 0.0
    uptime: float = 0.0
    sent: list[SentCommand] = field(default_factory=list)

    def __post_init__(self):
        self.numbers = itertools.count()

    def advance(self, seconds):
        self.true_time += seconds
        self.uptime += seconds
        self.env.monotonic += seconds
        self.env.wall = self.true_time + self.clock_error

    def switch_off(self, seconds):
        """Switch the device off: only the network counts that time."""
        self.true_time += seconds
        self.env.restart()
        self.uptime = self.env.journal.now().uptime
        self.env.wall = self.true_time + self.clock_error

    def set_clock_error(self, wrong):
        self.clock_error = wrong
        self.env.wall = self.true_time + wrong

    def prune(self):
        self.env.prune(keep_days=1, dedup_days=31)
        for each in self.sent:
            age = min(self.env.wall - each.wall, self.uptime - each.uptime)
            each.may_be_forgotten = each.may_be_forgotten or age >= MEMORY_S - 1

    def pass_retention(self, jumps):
        """Let the retention pass; or let only the device's clock jump by it."""
        if jumps:
            self.set_clock_error(self.clock_error + MEMORY_S + 1)
        else:
            self.advance(MEMORY_S + 1)
        self.prune()

    def deliver_wrong_timestamp(self, with_sid, ahead):
        """Deliver a Command with a wrong time stamp among correct ones."""
        self.deliver_new(with_sid, 0.0)
        self.deliver_new(with_sid, -ahead)
        self.deliver_new(with_sid, 0.0)

    def deliver_new(self, with_sid, late):
        """Deliver a new Command that was on its way for so long."""
        one = SentCommand(next(self.numbers), with_sid, self.true_time - late, self.env.wall, self.uptime)
        outcome = self.deliver(one, one.timestamp)
        assert outcome in {StoreOutcome.NEW, StoreOutcome.EXPIRED}
        if outcome is StoreOutcome.EXPIRED:
            assert self.true_time - one.timestamp > MEMORY_S - 1, "expired, and younger than the retention"
        self.sent.append(one)

    def deliver_again(self, which, restamped):
        """Deliver a Command again, unchanged; or sent again by the service, which only a SID shows."""
        if not self.sent:
            return
        one = self.sent[which % len(self.sent)]
        restamped = restamped and one.with_sid and one.timestamp < self.true_time
        runs = one.runs
        outcome = self.deliver(one, self.true_time if restamped else one.timestamp)
        if not one.may_be_forgotten:
            assert outcome is StoreOutcome.DUPLICATE, "pruned too early"
        elif restamped:
            one.runs = min(one.runs, 1)  # beyond the memory that is promised
        assert one.runs == max(runs, one.runs) <= 1, "run twice"

    def deliver(self, one, stamp):
        kept = self.env.store(
            self.factories.command(
                f"led {one.number}",
                sid=f"DC{one.number:032x}" if one.with_sid else None,
                identity=one.number.to_bytes(16, "big"),
                at=stamp,
            )
        )
        one.runs += kept.outcome is StoreOutcome.NEW
        if kept.outcome is StoreOutcome.NEW:
            self.env.inbox.finish(kept.command_id, "done")
        return kept.outcome


@pytest.mark.long
@settings(max_examples=100, deadline=None)
@given(st.lists(steps, min_size=5, max_size=40))
def test_no_command_runs_twice_or_expires_wrongly(open_fast_journal, factories, sequence):
    """Each is run at most once, is a duplicate within the retention, and expires only if it is older."""
    with tempfile.TemporaryDirectory() as folder:
        env = open_fast_journal(Path(folder) / "journal.db")
        model = DedupModel(env, factories, env.wall)
        try:
            for step, *values in sequence:
                getattr(model, step)(*values)
        finally:
            env.journal.close()


def test_wrong_timestamp_does_not_expire_later_commands(journal_env, factories):
    """A service centre had a wrong clock for a moment: when its message is pruned, others are still run."""
    model = DedupModel(journal_env, factories, journal_env.wall)
    model.deliver_wrong_timestamp(False, YEARS_S)
    for _ in range(8):
        model.advance(10 * DAY_S)
        model.deliver_new(True, 0.0)
        model.prune()
    assert [each.runs for each in model.sent] == [1] * 11
    assert journal_env.query_column("SELECT count(*) FROM dedup WHERE timestamp > ?", model.true_time) == [1]
    model.deliver_again(1, False)


def test_wrong_device_clock_does_not_stop_pruning(journal_env, factories):
    """It shows the last century: old entries are pruned, as later messages show the time."""
    model = DedupModel(journal_env, factories, journal_env.wall)
    model.set_clock_error(-20_000 * DAY_S)
    for _ in range(100):
        model.advance(DAY_S)
        model.deliver_new(True, 0.0)
        model.prune()
    assert journal_env.query_column("SELECT count(*) FROM dedup") == [32]
    assert [each.runs for each in model.sent] == [1] * 100
