"""I/O errors: a new connection, and no commit done twice, whether the first had reached the disk or not."""

import sqlite3

import pytest

import pdu
from agent.journal.rows import Outcome, Outgoing


def io_error(code=sqlite3.SQLITE_IOERR):
    """As the driver raises it."""
    error = sqlite3.OperationalError("disk I/O error")
    error.sqlite_errorcode = code
    return error


class Flaky:
    """A connection whose next COMMIT fails: before it reaches the disk, or after."""

    def __init__(self, connection, *, landed, what="COMMIT"):
        self.real = connection
        self.landed = landed
        self.what = what

    def execute(self, query, values=()):
        if query == self.what:
            if self.landed:
                self.real.execute(query, values)
            else:
                self.real.execute("ROLLBACK")
            raise io_error()
        return self.real.execute(query, values)

    def __getattr__(self, name):
        return getattr(self.real, name)


def flaky(desk, *, landed, reopens=True, monkeypatch=None):
    """The next commit fails; `reopens`: whether a new connection can be had at once."""
    desk.journal.connection = Flaky(desk.journal.connection, landed=landed)
    if not reopens:
        desk.refuse = True
        opened = desk.journal._open

        def refused():
            if desk.refuse:
                raise io_error(sqlite3.SQLITE_CANTOPEN)
            opened()

        monkeypatch.setattr(desk.journal, "_open", refused)


@pytest.fixture(params=[True, False], ids=["landed", "not landed"])
def landed(request):
    return request.param


@pytest.fixture(params=[True, False], ids=["reopens", "reopens later"])
def reopens(request):
    return request.param


def insist(desk, function, *arguments, **named):
    """As the rooms do it: until the journal takes it; how often that was in vain."""
    for vain in range(5):
        try:
            return function(*arguments, **named), vain
        except sqlite3.Error:
            desk.refuse = vain < 1
    raise AssertionError("never taken")


def test_a_message_is_kept_once(desk, make, landed, reopens, monkeypatch):
    """It is new to whoever asks, also where the first try had reached the disk: its Command is to be run."""
    for number, slot in enumerate((None, ("ME", 4))):
        anonymous = make.command(f"led {number}", sid=None, identity=None)
        flaky(desk, landed=landed, reopens=reopens, monkeypatch=monkeypatch)
        kept, vain = insist(desk, desk.keep, anonymous, slot, f"0{number}")
        assert kept.outcome is Outcome.NEW
        assert vain == (0 if landed and reopens else 1 if reopens else 2)
    assert desk.column("SELECT body FROM commands ORDER BY id") == ["led 0", "led 1"]
    assert desk.column("SELECT slot FROM slots") == [4]


def test_an_answer_is_queued_once(desk, make, landed, reopens, monkeypatch):
    """End and answer are one commit, and that one is done once."""
    desk.keep(make.command())
    desk.inbox.begin(1, "led", repeatable=False)
    flaky(desk, landed=landed, reopens=reopens, monkeypatch=monkeypatch)
    answer = Outgoing("2936", pdu.segment("on")[0], 1, 1)
    insist(desk, desk.inbox.finish, 1, "done", None, [answer], ("led", "then"))
    assert desk.column("SELECT state FROM replies") == ["queued"]
    assert desk.column("SELECT state FROM actions") == ["waiting"]
    assert desk.column("SELECT state FROM commands") == ["done"]


def test_a_run_is_counted_once(desk, make, landed, reopens, monkeypatch):
    """Attempts are limited, so they must not be lost to the disk."""
    desk.keep(make.command())
    flaky(desk, landed=landed, reopens=reopens, monkeypatch=monkeypatch)
    insist(desk, desk.inbox.begin, 1, "led", repeatable=True)
    assert desk.column("SELECT attempt FROM commands") == [1]


def test_nothing_is_asked_of_the_old_connection(desk, make):
    """After an I/O error not even a question."""
    old = desk.journal.connection = Flaky(desk.journal.connection, landed=False)
    with pytest.raises(sqlite3.OperationalError):
        desk.keep(make.command())
    assert desk.journal.connection is not old
    with pytest.raises(sqlite3.ProgrammingError, match="closed"):
        old.real.execute("SELECT 1")
    assert desk.keep(make.command()).outcome is Outcome.NEW


def test_a_question_that_failed_leads_to_a_new_connection(desk):
    """Reading is no safer than writing."""
    old = desk.journal.connection = Flaky(
        desk.journal.connection, landed=False, what="SELECT count(*) FROM parts"
    )
    old.real.execute("BEGIN")
    with pytest.raises(sqlite3.OperationalError):
        desk.inbox.counts()
    assert desk.inbox.counts() == {"strays": 0, "parts": 0}
    assert desk.journal.connection is not old


def test_two_commits_at_one_moment_are_told_apart(desk, make):
    """Under a clock that stands still the running time grows all the same, by nearly nothing."""
    desk.keep(make.command())
    desk.journal.connection = Flaky(desk.journal.connection, landed=False)
    with pytest.raises(sqlite3.OperationalError):
        desk.inbox.begin(1, "led", repeatable=False)
    assert desk.column("SELECT state FROM commands") == ["received"]


def test_a_journal_that_is_gone_is_not_begun_anew(desk, make):
    """A disk that was taken away comes back with its file; until then nothing is committed."""
    desk.keep(make.command())
    away = desk.path.with_name("away")
    away.mkdir()
    for tail in ("", "-wal", "-shm"):
        desk.path.with_name(desk.path.name + tail).rename(away / (desk.path.name + tail))
    desk.journal._judge(io_error())
    for _ in range(2):
        with pytest.raises(sqlite3.OperationalError, match="it is gone"):
            desk.inbox.counts()
    for file in away.iterdir():
        file.rename(desk.path.parent / file.name)
    assert desk.inbox.counts()["received"] == 1
