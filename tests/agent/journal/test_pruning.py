"""Forgetting a little at a time: what a round takes, what it leaves, and how much at once."""

import sqlite3
from itertools import pairwise

import pytest

from agent.journal import pruning
from agent.journal.journal import DAY_S
from agent.journal.models import OutgoingMessage, StoreOutcome
from agent.journal.pruning import Pruner
from pdu import UserData


def anonymous(make, number, at):
    """A Command without a SID, known by what it is."""
    return make.command(f"led {number}", sid=None, identity=bytes([number]) * 16, at=at)


@pytest.mark.parametrize("count", range(1, 11))
def test_doubles_go_in_small_steps(journal_env, factories, monkeypatch, count):
    """Whatever the number: all that is old goes, nothing young, and no step takes more than its share."""
    monkeypatch.setattr(pruning, "BATCH_ROWS", 3)
    began = journal_env.wall
    for number in range(0, 2 * count, 2):
        journal_env.store(anonymous(factories, number, began - number))
    journal_env.advance(32 * DAY_S)
    young = [anonymous(factories, number, journal_env.wall + number) for number in range(1, 2 * count, 2)]
    for each in young:
        journal_env.store(each)
    round_ = Pruner(journal_env.journal, journal_env.inbox.parts, keep_days=365, dedup_days=31)
    left = [journal_env.query_column("SELECT count(*) FROM dedup")[0]]
    while round_.prune_batch():
        left.append(journal_env.query_column("SELECT count(*) FROM dedup")[0])
    assert all(0 <= before - after <= 3 for before, after in pairwise(left))
    assert left[-1] == round_.pruned_rows == count
    assert journal_env.journal.meta.dedup_horizon == began
    assert [journal_env.store(each).outcome for each in young] == [StoreOutcome.DUPLICATE] * count


def test_the_horizon_never_goes_back(journal_env, factories):
    """What is forgotten later may have been sent earlier: the newest that ever went is the horizon."""
    journal_env.store(anonymous(factories, 1, journal_env.wall))
    newest = journal_env.wall
    journal_env.advance(32 * DAY_S)
    journal_env.prune()
    journal_env.journal.meta.dedup_horizon = newest
    late = anonymous(factories, 2, newest + 5)
    journal_env.store(late)
    journal_env.journal.meta.dedup_horizon = newest + 50
    journal_env.advance(32 * DAY_S)
    journal_env.prune()
    journal_env.restart()
    assert journal_env.journal.meta.dedup_horizon == newest + 50
    assert journal_env.store(anonymous(factories, 3, newest + 50)).outcome is StoreOutcome.EXPIRED
    assert journal_env.store(anonymous(factories, 4, newest + 51)).outcome is StoreOutcome.NEW


def test_texts_go_in_small_steps(journal_env, factories, monkeypatch):
    """Each table gives at most its share at once, and the round ends when nothing old is left."""
    monkeypatch.setattr(pruning, "BATCH_ROWS", 3)
    for number in range(8):
        kept = journal_env.store(factories.command(sid=f"DC{number:032x}"))
        journal_env.inbox.finish(kept.command_id, "done")
    journal_env.advance(32 * DAY_S)
    round_ = Pruner(journal_env.journal, journal_env.inbox.parts, keep_days=31, dedup_days=365)
    left = [8]
    while round_.prune_batch():
        left.append(journal_env.query_column("SELECT count(*) FROM commands")[0])
    assert [each for each in left if each < 8] == [5, 2, 0]
    assert round_.pruned_rows == 8


@pytest.mark.parametrize("state", ["queued", "sending", "pending", "running"])
def test_what_is_under_way_is_kept(journal_env, factories, state):
    """A Command stays as long as its answer waits to be sent, or what is to be done after it; so do they."""
    kept = journal_env.store(factories.command())
    journal_env.inbox.mark_running(kept.command_id, "led", repeatable=False)
    answer = OutgoingMessage("2936", UserData.of("on"), 1, 1)
    journal_env.inbox.finish(kept.command_id, "done", None, [answer], ("led", "then"))
    match state:
        case "sending":
            journal_env.outbox.mark_sending(1)
        case "pending" | "running":
            journal_env.outbox.mark_sending(1)
            journal_env.outbox.mark_sent(1, 7)
    if state == "running":
        journal_env.actions.mark_running(1)
    if state in ("queued", "sending"):
        journal_env.actions.finish(1, None)
    journal_env.advance(32 * DAY_S)
    journal_env.prune()
    assert journal_env.query_column("SELECT id FROM commands") == [kept.command_id]
    open_answers = journal_env.query_column("SELECT state FROM replies")
    open_actions = journal_env.query_column("SELECT state FROM actions")
    assert open_answers + open_actions == [state]
    if state in ("queued", "sending"):
        journal_env.outbox.finish(1, "failed", "refused")
    else:
        journal_env.actions.finish(1, None)
    journal_env.prune()
    assert journal_env.query_column("SELECT count(*) FROM commands") == [0]
    assert journal_env.query_column("SELECT count(*) FROM replies") == [0]
    assert journal_env.query_column("SELECT count(*) FROM actions") == [0]


def test_a_step_that_failed_comes_again(journal_env, factories, monkeypatch):
    """A full disk costs a round nothing: no row is passed over."""
    for number in range(4):
        journal_env.store(anonymous(factories, number, journal_env.wall))
    journal_env.store(factories.part(1, identity=b"p" * 16))
    journal_env.advance(32 * DAY_S)
    round_ = Pruner(journal_env.journal, journal_env.inbox.parts, keep_days=365, dedup_days=31)
    commit = journal_env.journal.commit
    failures = iter([True, False, True, False])

    def flaky(key, write):
        if next(failures, False):
            raise sqlite3.OperationalError("database or disk is full")
        return commit(key, write)

    assert journal_env.query_column("SELECT count(*) FROM dedup") == [4]
    assert journal_env.query_column("SELECT count(*) FROM parts") == [1]
    monkeypatch.setattr(journal_env.journal, "commit", flaky)
    vain = 0
    while True:
        try:
            if not round_.prune_batch():
                break
        except sqlite3.OperationalError:
            vain += 1
    assert vain == 2
    assert journal_env.query_column("SELECT count(*) FROM dedup") == [0]
    assert journal_env.query_column("SELECT count(*) FROM parts") == [0]


def test_forgetting_keeps_what_is_open_and_remembers_how_far(journal_env, factories):
    """Texts and doubles go after their days; an unknown Command not newer than those is expired, not run."""
    old = journal_env.store(factories.command(sid=None))
    still_open = journal_env.store(
        factories.command(sid="HC" + "f" * 32, at=factories.command().timestamp.timestamp() - 100)
    )
    journal_env.inbox.finish(old.command_id, "done")
    journal_env.advance(32 * DAY_S)
    assert journal_env.prune() > 0
    assert journal_env.query_column("SELECT id FROM commands") == [still_open.command_id]
    journal_env.restart()
    assert journal_env.store(factories.command(sid=None)).outcome is StoreOutcome.EXPIRED
    assert journal_env.query_column("SELECT state FROM commands ORDER BY id DESC LIMIT 1") == ["expired"]
    newer = factories.command(sid=None, identity=b"n" * 16, at=factories.command().timestamp.timestamp() + 1)
    assert journal_env.store(newer).outcome is StoreOutcome.NEW


@pytest.mark.parametrize(
    ("wall", "running"), [(400 * DAY_S, 60.0), (-400 * DAY_S, 60.0), (60.0, 400 * DAY_S)]
)
def test_a_jumping_clock_forgets_nothing(journal_env, factories, wall, running):
    """Age is the smaller difference of the two clocks: neither of them alone may age anything."""
    journal_env.store(factories.command(sid=None))
    journal_env.store(factories.part(1))
    journal_env.wall += wall
    journal_env.monotonic += running
    assert journal_env.prune() == 0
    assert journal_env.store(factories.command(sid=None)).outcome is StoreOutcome.DUPLICATE


def test_parts_that_wait_in_vain_become_strays(journal_env, factories):
    """A day after the last of them."""
    journal_env.store(factories.part(1, total=3))
    journal_env.advance(0.9 * DAY_S)
    journal_env.store(factories.part(2, total=3))
    journal_env.advance(0.9 * DAY_S)
    assert journal_env.prune() == 0
    journal_env.advance(0.2 * DAY_S)
    assert journal_env.prune() == 1
    assert journal_env.query_column("SELECT raw FROM ignored ORDER BY id") == ["01", "02"]
    assert journal_env.query_column("SELECT count(*) FROM parts") == [0]
