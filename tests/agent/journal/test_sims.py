"""What is kept of SIMs: a PIN is tried once, and what belongs to a card stays with it."""

import sqlite3

import pytest

from agent.journal.journal import Journal
from agent.journal.sims import SimStore

ONE, OTHER = "89440000000000000017", "89440000000000000025"
SALT = b"s" * 16


class SimStoreHarness:
    """Cards on a real journal whose clock is turned by hand."""

    def __init__(self, path):
        self.path = path
        self.wall = 1_700_000_000.0
        self.open()

    def open(self):
        self.journal = Journal(self.path, lambda: self.wall, lambda: 0.0)
        self.sims = SimStore(self.journal)

    def restart(self):
        self.journal.close()
        self.open()

    def reserve_pin_attempt(self, iccid=ONE, pin="1234", *, no_tries_lost=False):
        return self.sims.reserve_pin_attempt(iccid, pin, SALT, no_tries_lost=no_tries_lost)

    def rows(self, query):
        return self.journal.connection.execute(query).fetchall()


@pytest.fixture
def sim_store(tmp_path):
    shelf = SimStoreHarness(tmp_path / "journal.db")
    yield shelf
    shelf.journal.close()


def test_a_refused_pin_is_never_tried_again(sim_store):
    """Across restarts, and whatever the tries of the card say; another value is another PIN."""
    assert sim_store.reserve_pin_attempt() == ""
    sim_store.sims.record_pin_result(ONE, refused=True)
    for no_tries_lost in (False, True):
        sim_store.restart()
        assert sim_store.reserve_pin_attempt(no_tries_lost=no_tries_lost) == "refused"
    assert sim_store.reserve_pin_attempt(pin="4321") == ""


def test_a_right_pin_leaves_no_trace(sim_store):
    """It may be tried at every start, and nobody finds it in the journal."""
    for _ in range(3):
        assert sim_store.reserve_pin_attempt() == ""
        sim_store.sims.record_pin_result(ONE, refused=False)
        assert sim_store.rows("SELECT * FROM pin_attempts") == []


def test_what_became_of_one_attempt_says_nothing_of_others(sim_store):
    """A right PIN forgets no wrong one, and neither settles what is under way on another card."""
    sim_store.reserve_pin_attempt(ONE, "9999")
    sim_store.sims.record_pin_result(ONE, refused=True)
    sim_store.reserve_pin_attempt(OTHER, "1234")
    sim_store.reserve_pin_attempt(ONE, "1234")
    sim_store.sims.record_pin_result(ONE, refused=False)
    sim_store.restart()
    assert sim_store.reserve_pin_attempt(ONE, "9999") == "refused"
    assert sim_store.reserve_pin_attempt(OTHER, "1234") == "trying"
    sim_store.reserve_pin_attempt(ONE, "5555")
    sim_store.sims.record_pin_result(ONE, refused=True)
    assert sim_store.reserve_pin_attempt(OTHER, "1234") == "trying"
    assert sim_store.reserve_pin_attempt(OTHER, "9999") == ""


def test_an_attempt_that_was_cut_off(sim_store):
    """It is not repeated, unless the card shows that no try was lost: then it never got there."""
    assert sim_store.reserve_pin_attempt() == ""
    sim_store.restart()
    assert sim_store.reserve_pin_attempt() == "trying"
    assert sim_store.reserve_pin_attempt(no_tries_lost=True) == ""
    assert len(sim_store.rows("SELECT * FROM pin_attempts")) == 1
    sim_store.restart()
    assert sim_store.reserve_pin_attempt() == "trying"


def test_tries_belong_to_the_card(sim_store):
    """Another SIM has tries of its own; one that does not tell its number may be any of them."""
    sim_store.reserve_pin_attempt()
    sim_store.sims.record_pin_result(ONE, refused=True)
    assert sim_store.reserve_pin_attempt(OTHER) == ""
    sim_store.sims.record_pin_result(OTHER, refused=False)
    assert sim_store.reserve_pin_attempt("") == "refused"
    sim_store.reserve_pin_attempt("", "9999")
    sim_store.sims.record_pin_result("", refused=True)
    assert sim_store.reserve_pin_attempt(OTHER, "9999") == "refused"


def test_the_pin_is_not_in_the_file(sim_store):
    """Neither it nor a digest without salt and rounds."""
    sim_store.reserve_pin_attempt(pin="73519")
    sim_store.journal.close()
    for path in sim_store.path.parent.iterdir():
        assert b"73519" not in path.read_bytes()
    sim_store.open()


def test_a_card_that_is_open_ends_the_doubt(sim_store):
    """Killed between the right PIN's OK and its note, the agent finds the card open: nothing is left."""
    sim_store.reserve_pin_attempt("")
    sim_store.sims.record_sim_seen(ONE, "")
    assert sim_store.rows("SELECT * FROM pin_attempts") == []
    sim_store.reserve_pin_attempt()
    sim_store.sims.record_sim_seen(ONE, "")
    assert sim_store.rows("SELECT * FROM pin_attempts") == []
    sim_store.reserve_pin_attempt(OTHER)
    sim_store.sims.record_sim_seen(ONE, "")
    assert len(sim_store.rows("SELECT * FROM pin_attempts")) == 1


def test_the_service_centre_is_that_of_the_card(sim_store):
    """The last one is known; an empty one does not replace it; none is taken from another card."""
    sim_store.sims.record_sim_seen(ONE, "+447700900000")
    sim_store.sims.record_sim_seen(ONE, "")
    assert sim_store.sims.service_centre(ONE) == "+447700900000"
    assert sim_store.sims.service_centre(OTHER) == ""
    sim_store.sims.record_sim_seen("", "+1")
    assert sim_store.sims.service_centre("") == ""


def test_another_card_is_told_once(sim_store):
    """By its number, also when the clock was set back in between; the same card again is no news."""
    assert sim_store.sims.record_sim_seen(ONE, "") == ""
    assert sim_store.sims.record_sim_seen(ONE, "+1") == ""
    sim_store.wall -= 1_000_000_000
    assert sim_store.sims.record_sim_seen(OTHER, "") == ONE
    sim_store.restart()
    assert sim_store.sims.record_sim_seen(OTHER, "") == ""
    assert sim_store.sims.record_sim_seen(ONE, "") == OTHER
    assert sim_store.sims.record_sim_seen("", "") == ""


def test_the_same_card_costs_no_commit(sim_store):
    """Each session meets it again."""
    sim_store.sims.record_sim_seen(ONE, "+447700900000")
    before = sim_store.journal.connection.total_changes
    sim_store.sims.record_sim_seen(ONE, "+447700900000")
    sim_store.sims.record_sim_seen(ONE, "")
    assert sim_store.journal.connection.total_changes == before


def test_after_an_io_error_the_new_connection_is_asked(sim_store):
    """The journal opens its file again; a PIN is tried then as before, and what was refused is known."""
    assert sim_store.reserve_pin_attempt() == ""
    sim_store.sims.record_pin_result(ONE, refused=True)
    old = sim_store.journal.connection
    error = sqlite3.OperationalError("disk I/O error")
    error.sqlite_errorcode = sqlite3.SQLITE_IOERR
    sim_store.journal._record_failure(error)
    assert sim_store.reserve_pin_attempt(pin="4321") == ""
    assert sim_store.journal.connection is not old
    assert sim_store.reserve_pin_attempt() == "refused"
    assert sim_store.sims.record_sim_seen(ONE, "+447700900000") == ""
    assert sim_store.sims.service_centre(ONE) == "+447700900000"
