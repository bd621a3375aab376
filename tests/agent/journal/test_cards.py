"""What is kept of SIMs: a PIN is tried once, and what belongs to a card stays with it."""

import sqlite3

import pytest

from agent.journal.cards import Cards
from agent.journal.journal import Journal

ONE, OTHER = "89440000000000000017", "89440000000000000025"
SALT = b"s" * 16


class Shelf:
    """Cards on a real journal whose clock is turned by hand."""

    def __init__(self, path):
        self.path = path
        self.wall = 1_700_000_000.0
        self.open()

    def open(self):
        self.journal = Journal(self.path, lambda: self.wall, lambda: 0.0)
        self.cards = Cards(self.journal)

    def restart(self):
        self.journal.close()
        self.open()

    def attempt(self, iccid=ONE, pin="1234", *, untouched=False):
        return self.cards.attempt(iccid, pin, SALT, untouched=untouched)

    def rows(self, query):
        return self.journal.connection.execute(query).fetchall()


@pytest.fixture
def shelf(tmp_path):
    shelf = Shelf(tmp_path / "journal.db")
    yield shelf
    shelf.journal.close()


def test_a_refused_pin_is_never_tried_again(shelf):
    """Across restarts, and whatever the tries of the card say; another value is another PIN."""
    assert shelf.attempt() == ""
    shelf.cards.settle(ONE, refused=True)
    for untouched in (False, True):
        shelf.restart()
        assert shelf.attempt(untouched=untouched) == "refused"
    assert shelf.attempt(pin="4321") == ""


def test_a_right_pin_leaves_no_trace(shelf):
    """It may be tried at every start, and nobody finds it in the journal."""
    for _ in range(3):
        assert shelf.attempt() == ""
        shelf.cards.settle(ONE, refused=False)
        assert shelf.rows("SELECT * FROM pins") == []


def test_what_became_of_one_attempt_says_nothing_of_others(shelf):
    """A right PIN forgets no wrong one, and neither settles what is under way on another card."""
    shelf.attempt(ONE, "9999")
    shelf.cards.settle(ONE, refused=True)
    shelf.attempt(OTHER, "1234")
    shelf.attempt(ONE, "1234")
    shelf.cards.settle(ONE, refused=False)
    shelf.restart()
    assert shelf.attempt(ONE, "9999") == "refused"
    assert shelf.attempt(OTHER, "1234") == "trying"
    shelf.attempt(ONE, "5555")
    shelf.cards.settle(ONE, refused=True)
    assert shelf.attempt(OTHER, "1234") == "trying"
    assert shelf.attempt(OTHER, "9999") == ""


def test_an_attempt_that_was_cut_off(shelf):
    """It is not repeated, unless the card shows that no try was lost: then it never got there."""
    assert shelf.attempt() == ""
    shelf.restart()
    assert shelf.attempt() == "trying"
    assert shelf.attempt(untouched=True) == ""
    assert len(shelf.rows("SELECT * FROM pins")) == 1
    shelf.restart()
    assert shelf.attempt() == "trying"


def test_tries_belong_to_the_card(shelf):
    """Another SIM has tries of its own; one that does not tell its number may be any of them."""
    shelf.attempt()
    shelf.cards.settle(ONE, refused=True)
    assert shelf.attempt(OTHER) == ""
    shelf.cards.settle(OTHER, refused=False)
    assert shelf.attempt("") == "refused"
    shelf.attempt("", "9999")
    shelf.cards.settle("", refused=True)
    assert shelf.attempt(OTHER, "9999") == "refused"


def test_the_pin_is_not_in_the_file(shelf):
    """Neither it nor a digest without salt and rounds."""
    shelf.attempt(pin="73519")
    shelf.journal.close()
    for path in shelf.path.parent.iterdir():
        assert b"73519" not in path.read_bytes()
    shelf.open()


def test_a_card_that_is_open_ends_the_doubt(shelf):
    """Killed between the right PIN's OK and its note, the agent finds the card open: nothing is left."""
    shelf.attempt("")
    shelf.cards.met(ONE, "")
    assert shelf.rows("SELECT * FROM pins") == []
    shelf.attempt()
    shelf.cards.met(ONE, "")
    assert shelf.rows("SELECT * FROM pins") == []
    shelf.attempt(OTHER)
    shelf.cards.met(ONE, "")
    assert len(shelf.rows("SELECT * FROM pins")) == 1


def test_the_service_centre_is_that_of_the_card(shelf):
    """The last one is known; an empty one does not replace it; none is taken from another card."""
    shelf.cards.met(ONE, "+447700900000")
    shelf.cards.met(ONE, "")
    assert shelf.cards.service_centre(ONE) == "+447700900000"
    assert shelf.cards.service_centre(OTHER) == ""
    shelf.cards.met("", "+1")
    assert shelf.cards.service_centre("") == ""


def test_another_card_is_told_once(shelf):
    """By its number, also when the clock was set back in between; the same card again is no news."""
    assert shelf.cards.met(ONE, "") == ""
    assert shelf.cards.met(ONE, "+1") == ""
    shelf.wall -= 1_000_000_000
    assert shelf.cards.met(OTHER, "") == ONE
    shelf.restart()
    assert shelf.cards.met(OTHER, "") == ""
    assert shelf.cards.met(ONE, "") == OTHER
    assert shelf.cards.met("", "") == ""


def test_the_same_card_costs_no_commit(shelf):
    """Each session meets it again."""
    shelf.cards.met(ONE, "+447700900000")
    before = shelf.journal.connection.total_changes
    shelf.cards.met(ONE, "+447700900000")
    shelf.cards.met(ONE, "")
    assert shelf.journal.connection.total_changes == before


def test_after_an_io_error_the_new_connection_is_asked(shelf):
    """The journal opens its file again; a PIN is tried then as before, and what was refused is known."""
    assert shelf.attempt() == ""
    shelf.cards.settle(ONE, refused=True)
    old = shelf.journal.connection
    error = sqlite3.OperationalError("disk I/O error")
    error.sqlite_errorcode = sqlite3.SQLITE_IOERR
    shelf.journal._judge(error)
    assert shelf.attempt(pin="4321") == ""
    assert shelf.journal.connection is not old
    assert shelf.attempt() == "refused"
    assert shelf.cards.met(ONE, "+447700900000") == ""
    assert shelf.cards.service_centre(ONE) == "+447700900000"
