"""Order of Commands, and a slot that is used again after an uncertain commit."""

import sqlite3

from agent.journal.models import StoreOutcome


class CommitsThenFails:
    """A connection whose next COMMIT reaches the disk and raises an error all the same."""

    def __init__(self, connection):
        self.real = connection
        self.failed = False

    def execute(self, query, values=()):
        done = self.real.execute(query, values)
        if query == "COMMIT" and not self.failed:
            self.failed = True
            error = sqlite3.OperationalError("disk I/O error")
            error.sqlite_errorcode = sqlite3.SQLITE_IOERR
            raise error
        return done

    def __getattr__(self, name):
        return getattr(self.real, name)


def test_commands_are_listed_in_order_of_arrival(journal_env, factories):
    """Their time stamps do not matter: a sweep sorts messages before it stores them."""
    first = journal_env.store(factories.command("one", "DC" + "1" * 32, at=2_000_000_000))
    second = journal_env.store(factories.command("two", "DC" + "2" * 32, at=1_000_000_000))
    third = journal_env.store(factories.command("three", "DC" + "3" * 32, at=None))
    order = [first.command_id, second.command_id, third.command_id]
    assert [row.id for row in journal_env.inbox.list_pending()] == order
    assert [row.id for row in journal_env.inbox.list_pending(after_id=order[0])] == order[1:]
    assert [row.id for row in journal_env.inbox.list_pending(limit=1)] == order[:1]


def test_reused_slot_is_recognised_after_an_uncertain_commit(journal_env, factories):
    """The next commit must not treat it as freed: its message would be stored twice."""
    slot = ("ME", 3)
    journal_env.store(factories.ignored(), slot, "01")
    journal_env.inbox.mark_slot_free(slot)
    journal_env.journal.connection = CommitsThenFails(journal_env.journal.connection)
    assert journal_env.store(factories.ignored(), slot, "02").outcome is StoreOutcome.IGNORED
    journal_env.store(factories.ignored(), None, "03")
    journal_env.restart()
    assert journal_env.store(factories.ignored(), slot, "02").outcome is StoreOutcome.ALREADY_STORED
    assert journal_env.query_column("SELECT raw FROM ignored ORDER BY id") == ["01", "02", "03"]
