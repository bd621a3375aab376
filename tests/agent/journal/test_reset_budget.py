"""Rate limit for resets: on disk, by uptime, and refilled by nothing else."""

import sqlite3

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agent.journal.journal import Journal
from agent.journal.reset_budget import HOUR_S, ResetBudget, ResetLimits
from agent.journal.timestamps import DAY_S


class FakeClocks:
    """Both clocks of a device, set by the test."""

    def __init__(self):
        self.wall, self.monotonic = 1_800_000_000.0, 50.0

    def advance(self, seconds):
        self.wall += seconds
        self.monotonic += seconds


@pytest.fixture
def clocks():
    return FakeClocks()


@pytest.fixture
def open_journal(tmp_path, clocks):
    opened = []

    def open_():
        for journal in opened:
            journal.close()
        opened.append(Journal(tmp_path / "j.db", lambda: clocks.wall, lambda: clocks.monotonic))
        return ResetBudget(opened[-1], ResetLimits())

    yield open_
    opened[-1].close()


def test_resets_per_hour_and_day_are_limited(open_journal, clocks):
    """A refusal names the setting, and is not stored."""
    resets = open_journal()
    granted = 0
    for _ in range(24 * 6 - 1):
        granted += not resets.reserve("restart", "mute")
        assert resets.usage().last_hour <= 3
        assert resets.usage().last_day <= 12
        clocks.advance(600)
    assert granted == 12
    assert "recovery.resets_per_day" in resets.reserve("power", "mute")
    clocks.advance(DAY_S)
    for _ in range(3):
        assert resets.reserve("power", "mute") == ""
    assert "recovery.resets_per_hour" in resets.reserve("power", "mute")


def test_keep_free_reserves_a_second_reset(open_journal, clocks):
    """It is refused unless both fit; limits that are too small for both do not block it."""
    resets = open_journal()
    for _ in range(2):
        assert resets.reserve("restart", "mute") == ""
    assert "2 of 3 resets an hour are used and 2 must be left" in resets.reserve("power", "mute", keep_free=1)
    assert resets.usage().last_hour == 2
    clocks.advance(HOUR_S)
    assert resets.reserve("power", "mute", keep_free=1) == ""
    resets.limits = ResetLimits(1, 1)
    assert resets.reserve("power", "mute", keep_free=1) != ""
    clocks.advance(DAY_S)
    assert resets.reserve("power", "mute", keep_free=1) == ""
    resets.limits = ResetLimits(0, 0)
    clocks.advance(DAY_S)
    assert resets.reserve("power", "mute", keep_free=1) != ""


def test_zero_allows_no_reset(tmp_path, open_journal):
    """The operator can disable resets."""
    resets = open_journal()
    resets.limits = ResetLimits(per_hour=0)
    assert resets.reserve("radio", "no network") != ""
    assert resets.usage().last_day == 0


def test_reset_is_committed_before_it_is_done(open_journal, tmp_path):
    """Another process can read action and reason."""
    open_journal().reserve("power", "the module does not answer")
    other = sqlite3.connect(f"{(tmp_path / 'j.db').as_uri()}?mode=ro", uri=True)
    rows = other.execute("SELECT action, reason FROM resets").fetchall()
    other.close()
    assert rows == [("power", "the module does not answer")]


@pytest.mark.parametrize("ahead", [-1e9, 0, 400 * DAY_S])
def test_restart_or_clock_jump_does_not_refill_the_budget(open_journal, clocks, ahead):
    """Neither a restart of the agent nor one of the device with another date."""
    for _ in range(3):
        assert open_journal().reserve("restart", "mute") == ""
        clocks.monotonic = 1.0  # the device was switched off and on
        clocks.wall += ahead
    assert open_journal().reserve("restart", "mute") != ""


def test_reset_with_a_future_date_expires_after_an_hour(open_journal, clocks):
    """A clock that was ahead and is set back must not block recovery."""
    resets = open_journal()
    clocks.wall += 40 * DAY_S
    for _ in range(3):
        assert resets.reserve("restart", "mute") == ""
    clocks.wall -= 40 * DAY_S
    assert resets.reserve("restart", "mute") != ""
    clocks.advance(HOUR_S)
    assert resets.reserve("restart", "mute") == ""


def test_one_per_hour_counts_every_reset(open_journal, clocks):
    """Whatever was reset in the last hour, for any reason."""
    resets = open_journal()
    assert resets.reserve("radio", "no network") == ""
    assert "one reset an hour" in resets.reserve("radio", "registration denied", one_per_hour=True)
    clocks.advance(HOUR_S)
    assert resets.reserve("radio", "registration denied", one_per_hour=True) == ""


def test_old_resets_are_deleted(open_journal, clocks):
    """After a month."""
    resets = open_journal()
    resets.reserve("radio", "no network")
    clocks.advance(32 * DAY_S)
    resets.reserve("radio", "no network")
    assert len(resets._execute("SELECT * FROM resets").fetchall()) == 1


@pytest.mark.long
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.tuples(st.floats(0, 8 * HOUR_S), st.sampled_from(["pass", "restart", "jump", "off"])), max_size=40
    )
)
def test_limits_hold_for_any_sequence(tmp_path_factory, sequence):
    """In each hour and each day of uptime, with any restarts and clock jumps."""
    clocks = FakeClocks()
    path = tmp_path_factory.mktemp("budget") / "j.db"
    journal = Journal(path, lambda: clocks.wall, lambda: clocks.monotonic)
    journal.connection.execute("PRAGMA synchronous = OFF")
    granted, ran = [], 0.0
    for seconds, what in sequence:
        match what:
            case "pass":
                clocks.advance(seconds)
                ran += seconds
            case "jump":
                clocks.wall += 4 * seconds
            case _:
                journal.close()
                clocks.monotonic = seconds if what == "off" else clocks.monotonic
                journal = Journal(path, lambda: clocks.wall, lambda: clocks.monotonic)
                journal.connection.execute("PRAGMA synchronous = OFF")
        resets = ResetBudget(journal, ResetLimits())
        granted += [ran for _ in range(2) if not resets.reserve("restart", "mute")]
    journal.close()
    for at in granted:
        assert sum(at - HOUR_S < other <= at for other in granted) <= 3
        assert sum(at - DAY_S < other <= at for other in granted) <= 12
