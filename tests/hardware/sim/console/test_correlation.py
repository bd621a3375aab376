"""Which Command an agent has received, and which one a message from the SIM answers."""

from __future__ import annotations

from hardware.sim.console.correlation import SimCorrelation

ONE, TWO = f"HC{1:032x}", f"HC{2:032x}"


def test_received_command_without_a_sid_is_the_oldest_with_that_content():
    """Two equal Commands are told apart by their order; each is claimed once."""
    correlation = SimCorrelation()
    for sid in (ONE, TWO):
        correlation.add_offered(sid, "ping")
    assert correlation.claim_received(None, "pong") is None
    assert [correlation.claim_received(None, "ping") for _ in range(3)] == [ONE, TWO, None]


def test_received_command_with_a_sid_needs_no_content():
    """A SID in the message decides."""
    correlation = SimCorrelation()
    correlation.add_offered(ONE, "ping")
    correlation.add_offered(TWO, "ping")
    assert correlation.claim_received(TWO, "ping") == TWO
    assert correlation.claim_received(None, "ping") == ONE


def test_announced_reply_is_found_by_its_content():
    """It may be to another Command than the last one, and is found once."""
    correlation = SimCorrelation()
    correlation.add_acknowledged(ONE)
    correlation.add_acknowledged(TWO)
    correlation.announce_reply(ONE, "pong")
    assert correlation.find_answered("pong").sid == ONE
    assert correlation.find_answered("pong") is None


def test_sid_in_the_message_decides():
    correlation = SimCorrelation()
    correlation.add_acknowledged(TWO)
    assert correlation.find_answered(f"{ONE} pong").sid == ONE


def test_first_message_after_a_command_is_taken_for_its_reply():
    """Only the first one, and the evidence says so."""
    correlation = SimCorrelation()
    assert correlation.find_answered("before") is None
    correlation.add_acknowledged(ONE)
    sid, evidence = correlation.find_answered(b"\x01")
    assert (sid, "first message" in evidence) == (ONE, True)
    assert correlation.find_answered("another") is None
