"""Which Command comes first, and what is known of a slot that is used again at a bad moment."""

import sqlite3

from agent.journal.rows import Outcome


class Landing:
    """A connection whose next COMMIT reaches the disk and says that it did not."""

    def __init__(self, connection):
        self.real = connection
        self.struck = False

    def execute(self, query, values=()):
        done = self.real.execute(query, values)
        if query == "COMMIT" and not self.struck:
            self.struck = True
            error = sqlite3.OperationalError("disk I/O error")
            error.sqlite_errorcode = sqlite3.SQLITE_IOERR
            raise error
        return done

    def __getattr__(self, name):
        return getattr(self.real, name)


def test_commands_wait_in_order_of_arrival(desk, make):
    """Whatever their time stamps say: a sweep has sorted before it commits."""
    first = desk.keep(make.command("one", "DC" + "1" * 32, at=2_000_000_000))
    second = desk.keep(make.command("two", "DC" + "2" * 32, at=1_000_000_000))
    third = desk.keep(make.command("three", "DC" + "3" * 32, at=None))
    order = [first.command, second.command, third.command]
    assert [row.id for row in desk.inbox.waiting()] == order
    assert [row.id for row in desk.inbox.waiting(above=order[0])] == order[1:]
    assert [row.id for row in desk.inbox.waiting(limit=1)] == order[:1]


def test_a_slot_that_was_freed_and_used_again_is_known_after_a_commit_in_doubt(desk, make):
    """The next commit must not take it for free: what lies there would be kept twice."""
    slot = ("ME", 3)
    desk.keep(make.stray(), slot, "01")
    desk.inbox.free(slot)
    desk.journal.connection = Landing(desk.journal.connection)
    assert desk.keep(make.stray(), slot, "02").outcome is Outcome.STRAY
    desk.keep(make.stray(), None, "03")
    desk.restart()
    assert desk.keep(make.stray(), slot, "02").outcome is Outcome.KNOWN
    assert desk.column("SELECT raw FROM strays ORDER BY id") == ["01", "02", "03"]
