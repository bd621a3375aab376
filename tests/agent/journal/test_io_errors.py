"""After an I/O error there is a new connection, and no commit is done twice."""

import sqlite3

import pytest

import pdu
from agent.journal.ignored import IgnoredMessages
from agent.journal.models import OutgoingMessage, StoreOutcome


def io_error(code=sqlite3.SQLITE_IOERR):
    """The error that sqlite3 raises."""
    error = sqlite3.OperationalError("disk I/O error")
    error.sqlite_errorcode = code
    return error


class FailingConnection:
    """A connection whose next COMMIT fails: before it reaches the disk, or after."""

    def __init__(self, connection, *, committed, failing_statement="COMMIT"):
        self.real = connection
        self.committed = committed
        self.failing_statement = failing_statement

    def execute(self, query, values=()):
        if query == self.failing_statement:
            if self.committed:
                self.real.execute(query, values)
            else:
                self.real.execute("ROLLBACK")
            raise io_error()
        return self.real.execute(query, values)

    def __getattr__(self, name):
        return getattr(self.real, name)


def fail_next_commit(env, *, committed, reopens=True):
    """Let the next commit fail; `reopens`: the file can be opened again at once."""
    env.journal.connection = FailingConnection(env.journal.connection, committed=committed)
    if not reopens:
        env.open_error = io_error(sqlite3.SQLITE_CANTOPEN)


@pytest.fixture(params=[True, False], ids=["committed", "not committed"])
def committed(request):
    return request.param


@pytest.fixture(params=[True, False], ids=["reopens", "reopens later"])
def reopens(request):
    return request.param


def retry(env, function, *arguments, **named):
    """Repeat the call until it succeeds; return its result and the number of failures."""
    for failures in range(5):
        try:
            return function(*arguments, **named), failures
        except sqlite3.Error:
            if failures >= 1:
                env.open_error = None
    raise AssertionError("never taken")


def test_message_is_stored_once_after_an_io_error(journal_env, factories, committed, reopens):
    """The caller gets NEW even if the first commit had reached the disk, so its Command is run."""
    for number, slot in enumerate((None, ("ME", 4))):
        anonymous = factories.command(f"led {number}", sid=None, identity=None)
        fail_next_commit(journal_env, committed=committed, reopens=reopens)
        kept, failures = retry(journal_env, journal_env.store, anonymous, slot, f"0{number}")
        assert kept.outcome is StoreOutcome.NEW
        assert failures == (0 if committed and reopens else 1 if reopens else 2)
    assert journal_env.query_column("SELECT body FROM commands ORDER BY id") == ["led 0", "led 1"]
    assert journal_env.query_column("SELECT slot FROM slots") == [4]


def test_reply_is_queued_once_after_an_io_error(journal_env, factories, committed, reopens):
    """End and reply are one commit, and it is done once."""
    journal_env.store(factories.command())
    journal_env.inbox.mark_running(1, "led", repeatable=False)
    fail_next_commit(journal_env, committed=committed, reopens=reopens)
    answer = OutgoingMessage("2936", pdu.segment("on")[0], 1, 1)
    retry(journal_env, journal_env.inbox.finish, 1, "done", None, [answer], ("led", "then"))
    assert journal_env.query_column("SELECT state FROM replies") == ["queued"]
    assert journal_env.query_column("SELECT state FROM actions") == ["pending"]
    assert journal_env.query_column("SELECT state FROM commands") == ["done"]


def test_attempt_is_counted_once_after_an_io_error(journal_env, factories, committed, reopens):
    """Attempts are limited, so a disk error must not use them up."""
    journal_env.store(factories.command())
    fail_next_commit(journal_env, committed=committed, reopens=reopens)
    retry(journal_env, journal_env.inbox.mark_running, 1, "led", repeatable=True)
    assert journal_env.query_column("SELECT attempts FROM commands") == [1]


def test_ignored_message_goes_to_its_handler_after_an_io_error(journal_env, factories, committed, reopens):
    """The handler gets the message whose start was committed, and none is passed over."""
    ignored = IgnoredMessages(journal_env.journal, lambda: True)
    for raw in ("01", "02"):
        journal_env.journal.commit(None, lambda now, raw=raw: ignored.store(factories.ignored(), raw, now))
    fail_next_commit(journal_env, committed=committed, reopens=reopens)
    row, _ = retry(journal_env, ignored.start_next)
    assert row.raw == "01"
    assert ignored.start_next().raw == "02"
    assert ignored.start_next() is None


def test_failed_connection_is_not_used_again(journal_env, factories):
    """After an I/O error it is not even read."""
    old = journal_env.journal.connection = FailingConnection(journal_env.journal.connection, committed=False)
    with pytest.raises(sqlite3.OperationalError):
        journal_env.store(factories.command())
    assert journal_env.journal.connection is not old
    with pytest.raises(sqlite3.ProgrammingError, match="closed"):
        old.real.execute("SELECT 1")
    assert journal_env.store(factories.command()).outcome is StoreOutcome.NEW


def test_failed_read_leads_to_a_new_connection(journal_env):
    """An error of a read also shows that the connection is broken."""
    old = journal_env.journal.connection = FailingConnection(
        journal_env.journal.connection, committed=False, failing_statement="SELECT count(*) FROM parts"
    )
    old.real.execute("BEGIN")
    with pytest.raises(sqlite3.OperationalError):
        journal_env.inbox.count_by_state()
    assert journal_env.inbox.count_by_state() == {"ignored": 0, "parts": 0}
    assert journal_env.journal.connection is not old


def test_two_commits_at_the_same_time_are_distinguished(journal_env, factories):
    """The uptime grows with every commit, even if the clock does not."""
    journal_env.store(factories.command())
    journal_env.journal.connection = FailingConnection(journal_env.journal.connection, committed=False)
    with pytest.raises(sqlite3.OperationalError):
        journal_env.inbox.mark_running(1, "led", repeatable=False)
    assert journal_env.query_column("SELECT state FROM commands") == ["received"]


def test_missing_file_is_not_created_again(journal_env, factories):
    """A disk that was removed may come back with its file; until then nothing is committed."""
    journal_env.store(factories.command())
    away = journal_env.path.with_name("away")
    away.mkdir()
    for tail in ("", "-wal", "-shm"):
        journal_env.path.with_name(journal_env.path.name + tail).rename(away / (journal_env.path.name + tail))
    journal_env.journal._record_failure(io_error())
    for _ in range(2):
        with pytest.raises(sqlite3.OperationalError, match="it is gone"):
            journal_env.inbox.count_by_state()
    for file in away.iterdir():
        file.rename(journal_env.path.parent / file.name)
    assert journal_env.inbox.count_by_state()["received"] == 1
