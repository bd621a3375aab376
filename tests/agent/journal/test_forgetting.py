"""Forgetting a little at a time: what a round takes, what it leaves, and how much at once."""

import sqlite3
from itertools import pairwise

import pytest

from agent.journal import forgetting
from agent.journal.forgetting import Forgetting
from agent.journal.journal import DAY_S
from agent.journal.rows import Outcome, Outgoing
from pdu import UserData


def anonymous(make, number, at):
    """A Command without a SID, known by what it is."""
    return make.command(f"led {number}", sid=None, identity=bytes([number]) * 16, at=at)


@pytest.mark.parametrize("count", range(1, 11))
def test_doubles_go_in_small_steps(desk, make, monkeypatch, count):
    """Whatever the number: all that is old goes, nothing young, and no step takes more than its share."""
    monkeypatch.setattr(forgetting, "SOME", 3)
    began = desk.wall
    for number in range(0, 2 * count, 2):
        desk.keep(anonymous(make, number, began - number))
    desk.pass_time(32 * DAY_S)
    young = [anonymous(make, number, desk.wall + number) for number in range(1, 2 * count, 2)]
    for each in young:
        desk.keep(each)
    round_ = Forgetting(desk.journal, desk.inbox.parts, keep_days=365, dedup_days=31)
    left = [desk.column("SELECT count(*) FROM seen")[0]]
    while round_.step():
        left.append(desk.column("SELECT count(*) FROM seen")[0])
    assert all(0 <= before - after <= 3 for before, after in pairwise(left))
    assert left[-1] == round_.count == count
    assert desk.journal.horizon == began
    assert [desk.keep(each).outcome for each in young] == [Outcome.DOUBLE] * count


def test_the_horizon_never_goes_back(desk, make):
    """What is forgotten later may have been sent earlier: the newest that ever went is the horizon."""
    desk.keep(anonymous(make, 1, desk.wall))
    newest = desk.wall
    desk.pass_time(32 * DAY_S)
    desk.forget()
    desk.journal.horizon = newest
    late = anonymous(make, 2, newest + 5)
    desk.keep(late)
    desk.journal.horizon = newest + 50
    desk.pass_time(32 * DAY_S)
    desk.forget()
    desk.restart()
    assert desk.journal.horizon == newest + 50
    assert desk.keep(anonymous(make, 3, newest + 50)).outcome is Outcome.EXPIRED
    assert desk.keep(anonymous(make, 4, newest + 51)).outcome is Outcome.NEW


def test_texts_go_in_small_steps(desk, make, monkeypatch):
    """Each table gives at most its share at once, and the round ends when nothing old is left."""
    monkeypatch.setattr(forgetting, "SOME", 3)
    for number in range(8):
        kept = desk.keep(make.command(sid=f"DC{number:032x}"))
        desk.inbox.finish(kept.command, "done")
    desk.pass_time(32 * DAY_S)
    round_ = Forgetting(desk.journal, desk.inbox.parts, keep_days=31, dedup_days=365)
    left = [8]
    while round_.step():
        left.append(desk.column("SELECT count(*) FROM commands")[0])
    assert [each for each in left if each < 8] == [5, 2, 0]
    assert round_.count == 8


@pytest.mark.parametrize("state", ["queued", "sending", "waiting", "acting"])
def test_what_is_under_way_is_kept(desk, make, state):
    """A Command stays as long as its answer waits to be sent, or what is to be done after it; so do they."""
    kept = desk.keep(make.command())
    desk.inbox.begin(kept.command, "led", repeatable=False)
    answer = Outgoing("2936", UserData.of("on"), 1, 1)
    desk.inbox.finish(kept.command, "done", None, [answer], ("led", "then"))
    match state:
        case "sending":
            desk.outbox.sending(1)
        case "waiting" | "acting":
            desk.outbox.sending(1)
            desk.outbox.sent(1, 7)
    if state == "acting":
        desk.actions.begin(1)
    if state in ("queued", "sending"):
        desk.actions.finish(1, None)
    desk.pass_time(32 * DAY_S)
    desk.forget()
    assert desk.column("SELECT id FROM commands") == [kept.command]
    open_answers = desk.column("SELECT state FROM replies")
    open_actions = desk.column("SELECT state FROM actions")
    assert open_answers + open_actions == [state]
    if state in ("queued", "sending"):
        desk.outbox.end(1, "failed", "refused")
    else:
        desk.actions.finish(1, None)
    desk.forget()
    assert desk.column("SELECT count(*) FROM commands") == [0]
    assert desk.column("SELECT count(*) FROM replies") == [0]
    assert desk.column("SELECT count(*) FROM actions") == [0]


def test_a_step_that_failed_comes_again(desk, make, monkeypatch):
    """A full disk costs a round nothing: no row is passed over."""
    for number in range(4):
        desk.keep(anonymous(make, number, desk.wall))
    desk.keep(make.part(1, identity=b"p" * 16))
    desk.pass_time(32 * DAY_S)
    round_ = Forgetting(desk.journal, desk.inbox.parts, keep_days=365, dedup_days=31)
    commit = desk.journal.commit
    failures = iter([True, False, True, False])

    def flaky(key, write):
        if next(failures, False):
            raise sqlite3.OperationalError("database or disk is full")
        return commit(key, write)

    assert desk.column("SELECT count(*) FROM seen") == [4]
    assert desk.column("SELECT count(*) FROM parts") == [1]
    monkeypatch.setattr(desk.journal, "commit", flaky)
    vain = 0
    while True:
        try:
            if not round_.step():
                break
        except sqlite3.OperationalError:
            vain += 1
    assert vain == 2
    assert desk.column("SELECT count(*) FROM seen") == [0]
    assert desk.column("SELECT count(*) FROM parts") == [0]


def test_forgetting_keeps_what_is_open_and_remembers_how_far(desk, make):
    """Texts and doubles go after their days; an unknown Command not newer than those is expired, not run."""
    old = desk.keep(make.command(sid=None))
    still_open = desk.keep(make.command(sid="HC" + "f" * 32, at=make.command().timestamp.timestamp() - 100))
    desk.inbox.finish(old.command, "done")
    desk.pass_time(32 * DAY_S)
    assert desk.forget() > 0
    assert desk.column("SELECT id FROM commands") == [still_open.command]
    desk.restart()
    assert desk.keep(make.command(sid=None)).outcome is Outcome.EXPIRED
    assert desk.column("SELECT state FROM commands ORDER BY id DESC LIMIT 1") == ["expired"]
    newer = make.command(sid=None, identity=b"n" * 16, at=make.command().timestamp.timestamp() + 1)
    assert desk.keep(newer).outcome is Outcome.NEW


@pytest.mark.parametrize(
    ("wall", "running"), [(400 * DAY_S, 60.0), (-400 * DAY_S, 60.0), (60.0, 400 * DAY_S)]
)
def test_a_jumping_clock_forgets_nothing(desk, make, wall, running):
    """Age is the smaller difference of the two clocks: neither of them alone may age anything."""
    desk.keep(make.command(sid=None))
    desk.keep(make.part(1))
    desk.wall += wall
    desk.monotonic += running
    assert desk.forget() == 0
    assert desk.keep(make.command(sid=None)).outcome is Outcome.DOUBLE


def test_parts_that_wait_in_vain_become_strays(desk, make):
    """A day after the last of them."""
    desk.keep(make.part(1, total=3))
    desk.pass_time(0.9 * DAY_S)
    desk.keep(make.part(2, total=3))
    desk.pass_time(0.9 * DAY_S)
    assert desk.forget() == 0
    desk.pass_time(0.2 * DAY_S)
    assert desk.forget() == 1
    assert desk.column("SELECT raw FROM strays ORDER BY id") == ["01", "02"]
    assert desk.column("SELECT count(*) FROM parts") == [0]
