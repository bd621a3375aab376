"""Pruning: what a run deletes, what it keeps, and the size of its batches."""

import sqlite3
from itertools import pairwise

import pytest

from agent.journal.models import OutgoingMessage, StoreOutcome
from agent.journal.pruning import Pruner
from agent.journal.timestamps import DAY_S
from pdu import UserData


def without_sid(factories, number, at):
    """A Command without a SID, with an identity of its own."""
    return factories.command(f"led {number}", sid=None, identity=bytes([number]) * 16, at=at)


def make_pruner(env, *, keep_days=31, dedup_days=31, **options):
    return Pruner(env.journal, env.inbox.parts, keep_days, dedup_days, **options)


@pytest.mark.parametrize("count", range(1, 11))
def test_dedup_entries_are_pruned_in_batches(journal_env, factories, count):
    """All old entries are deleted, no young one, and no batch is larger than its limit."""
    began = journal_env.wall
    for number in range(0, 2 * count, 2):
        journal_env.store(without_sid(factories, number, began - number))
    journal_env.advance(32 * DAY_S)
    young = [without_sid(factories, number, journal_env.wall + number) for number in range(1, 2 * count, 2)]
    for each in young:
        journal_env.store(each)
    pruner = make_pruner(journal_env, keep_days=365, batch_rows=3)
    left = [journal_env.query_column("SELECT count(*) FROM dedup")[0]]
    while pruner.prune_batch():
        left.append(journal_env.query_column("SELECT count(*) FROM dedup")[0])
    assert all(0 <= before - after <= 3 for before, after in pairwise(left))
    assert left[-1] == pruner.pruned_rows == count
    assert journal_env.journal.meta.dedup_horizon == began
    assert [journal_env.store(each).outcome for each in young] == [StoreOutcome.DUPLICATE] * count


def test_dedup_horizon_never_decreases(journal_env, factories):
    """Entries that are pruned later may be of messages that were sent earlier."""
    journal_env.store(without_sid(factories, 1, journal_env.wall))
    newest = journal_env.wall
    journal_env.advance(32 * DAY_S)
    journal_env.prune()
    journal_env.journal.meta.dedup_horizon = newest
    late = without_sid(factories, 2, newest + 5)
    journal_env.store(late)
    journal_env.journal.meta.dedup_horizon = newest + 50
    journal_env.advance(32 * DAY_S)
    journal_env.prune()
    journal_env.restart()
    assert journal_env.journal.meta.dedup_horizon == newest + 50
    assert journal_env.store(without_sid(factories, 3, newest + 50)).outcome is StoreOutcome.EXPIRED
    assert journal_env.store(without_sid(factories, 4, newest + 51)).outcome is StoreOutcome.NEW


def test_records_are_pruned_in_batches(journal_env, factories):
    """Each batch is limited, and the run ends when no old row is left."""
    for number in range(8):
        kept = journal_env.store(factories.command(sid=f"DC{number:032x}"))
        journal_env.inbox.finish(kept.command_id, "done")
    journal_env.advance(32 * DAY_S)
    pruner = make_pruner(journal_env, dedup_days=365, batch_rows=3)
    left = [8]
    while pruner.prune_batch():
        left.append(journal_env.query_column("SELECT count(*) FROM commands")[0])
    assert [each for each in left if each < 8] == [5, 2, 0]
    assert pruner.pruned_rows == 8


@pytest.mark.parametrize("state", ["queued", "sending", "pending", "running"])
def test_open_rows_are_not_pruned(journal_env, factories, state):
    """A Command stays as long as its answer or its action is open, and so do they."""
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


def test_failed_batch_is_repeated(journal_env, factories):
    """After an error of the disk no row is skipped."""
    for number in range(4):
        journal_env.store(without_sid(factories, number, journal_env.wall))
    journal_env.store(factories.part(1, identity=b"p" * 16))
    journal_env.advance(32 * DAY_S)
    pruner = make_pruner(journal_env, keep_days=365, batch_rows=2)
    failures = 0
    for _ in range(9):
        rows = journal_env.query_column("SELECT count(*) FROM dedup")
        journal_env.journal.connection.execute("PRAGMA query_only = ON")  # as a disk that is read-only
        try:
            pruner.prune_batch()
        except sqlite3.OperationalError:
            failures += 1
        assert journal_env.query_column("SELECT count(*) FROM dedup") == rows
        journal_env.journal.connection.execute("PRAGMA query_only = OFF")
        pruner.prune_batch()
    assert failures >= 2
    assert journal_env.query_column("SELECT count(*) FROM dedup") == [0]
    assert journal_env.query_column("SELECT count(*) FROM parts") == [0]


def test_unknown_command_before_the_horizon_is_expired(journal_env, factories):
    """Old messages and entries are pruned; an unknown Command that is not newer than those is not run."""
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
def test_clock_jump_prunes_nothing(journal_env, factories, wall, running):
    """An age is the smaller difference of two clocks: one of them alone ages nothing."""
    journal_env.store(factories.command(sid=None))
    journal_env.store(factories.part(1))
    journal_env.wall += wall
    journal_env.monotonic += running
    assert journal_env.prune() == 0
    assert journal_env.store(factories.command(sid=None)).outcome is StoreOutcome.DUPLICATE


def test_parts_of_incomplete_messages_become_ignored(journal_env, factories):
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
