"""SIMs and PIN attempts: a PIN is tried once, and each SIM has its own data."""

import sqlite3

import pytest

from agent.journal.journal import Journal
from agent.journal.sims import SimStore

ONE, OTHER = "89440000000000000017", "89440000000000000025"
SALT = b"s" * 16


class SimStoreHarness:
    """A SIM store on a real journal with a clock that the test sets."""

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
    harness = SimStoreHarness(tmp_path / "journal.db")
    yield harness
    harness.journal.close()


def test_refused_pin_is_never_tried_again(sim_store):
    """After restarts, and whatever number of tries the SIM reports; another PIN may be tried."""
    assert sim_store.reserve_pin_attempt() == ""
    sim_store.sims.record_pin_result(ONE, refused=True)
    for no_tries_lost in (False, True):
        sim_store.restart()
        assert sim_store.reserve_pin_attempt(no_tries_lost=no_tries_lost) == "refused"
    assert sim_store.reserve_pin_attempt(pin="4321") == ""


def test_correct_pin_leaves_no_row(sim_store):
    """It may be tried at every start, and is not in the journal."""
    for _ in range(3):
        assert sim_store.reserve_pin_attempt() == ""
        sim_store.sims.record_pin_result(ONE, refused=False)
        assert sim_store.rows("SELECT * FROM pin_attempts") == []


def test_result_applies_to_its_own_attempt(sim_store):
    """A correct PIN deletes no refused one, and no attempt on another SIM."""
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


def test_interrupted_attempt_is_not_repeated(sim_store):
    """Unless the SIM has all its tries left: then the PIN never reached it."""
    assert sim_store.reserve_pin_attempt() == ""
    sim_store.restart()
    assert sim_store.reserve_pin_attempt() == "trying"
    assert sim_store.reserve_pin_attempt(no_tries_lost=True) == ""
    assert len(sim_store.rows("SELECT * FROM pin_attempts")) == 1
    sim_store.restart()
    assert sim_store.reserve_pin_attempt() == "trying"


def test_attempts_are_counted_for_each_sim(sim_store):
    """A SIM that does not report its ICCID may be any of them."""
    sim_store.reserve_pin_attempt()
    sim_store.sims.record_pin_result(ONE, refused=True)
    assert sim_store.reserve_pin_attempt(OTHER) == ""
    sim_store.sims.record_pin_result(OTHER, refused=False)
    assert sim_store.reserve_pin_attempt("") == "refused"
    sim_store.reserve_pin_attempt("", "9999")
    sim_store.sims.record_pin_result("", refused=True)
    assert sim_store.reserve_pin_attempt(OTHER, "9999") == "refused"


def test_pin_is_not_stored_in_clear(sim_store):
    """Only a salted digest is."""
    sim_store.reserve_pin_attempt(pin="73519")
    sim_store.journal.close()
    for path in sim_store.path.parent.iterdir():
        assert b"73519" not in path.read_bytes()
    sim_store.open()


def test_unlocked_sim_deletes_its_interrupted_attempt(sim_store):
    """The agent was killed between the module's OK and the result."""
    sim_store.reserve_pin_attempt("")
    sim_store.sims.record_sim_seen(ONE, "")
    assert sim_store.rows("SELECT * FROM pin_attempts") == []
    sim_store.reserve_pin_attempt()
    sim_store.sims.record_sim_seen(ONE, "")
    assert sim_store.rows("SELECT * FROM pin_attempts") == []
    sim_store.reserve_pin_attempt(OTHER)
    sim_store.sims.record_sim_seen(ONE, "")
    assert len(sim_store.rows("SELECT * FROM pin_attempts")) == 1


def test_service_centre_is_stored_for_each_sim(sim_store):
    """An empty number does not replace the last one, and none is taken from another SIM."""
    sim_store.sims.record_sim_seen(ONE, "+447700900000")
    sim_store.sims.record_sim_seen(ONE, "")
    assert sim_store.sims.service_centre(ONE) == "+447700900000"
    assert sim_store.sims.service_centre(OTHER) == ""
    sim_store.sims.record_sim_seen("", "+1")
    assert sim_store.sims.service_centre("") == ""


def test_sim_change_is_reported_once(sim_store):
    """The report has the previous ICCID, also if the clock was set back; the same SIM is not reported."""
    assert sim_store.sims.record_sim_seen(ONE, "") == ""
    assert sim_store.sims.record_sim_seen(ONE, "+1") == ""
    sim_store.wall -= 1_000_000_000
    assert sim_store.sims.record_sim_seen(OTHER, "") == ONE
    sim_store.restart()
    assert sim_store.sims.record_sim_seen(OTHER, "") == ""
    assert sim_store.sims.record_sim_seen(ONE, "") == OTHER
    assert sim_store.sims.record_sim_seen("", "") == ""


def test_same_sim_needs_no_commit(sim_store):
    """Each session reports it again."""
    sim_store.sims.record_sim_seen(ONE, "+447700900000")
    before = sim_store.journal.connection.total_changes
    sim_store.sims.record_sim_seen(ONE, "+447700900000")
    sim_store.sims.record_sim_seen(ONE, "")
    assert sim_store.journal.connection.total_changes == before


def test_sim_store_uses_the_new_connection_after_an_io_error(sim_store):
    """Attempts are reserved as before, and refused PINs are known."""
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
