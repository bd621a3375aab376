"""Signs of somebody else on the line."""

import pytest

from agent.at.event import FinalResult, LateResult, Noise, Unsolicited
from agent.at.surplus import BOOT_S, LATE_S, PIECES, TOGETHER_S, Surplus

OK = LateResult("OK", final=FinalResult("OK", ok=True))
COMMAND = Noise("a command line that is not ours", b"AT+GCAP")
LATER = 1000.0 + LATE_S + 1


@pytest.fixture
def surplus():
    """Of a session that began at 1000 and has asked for its messages since, and is idle."""
    surplus = Surplus(1000.0)
    surplus.asked("AT+CMGL=4")
    surplus.ended(1001.0)
    return surplus


@pytest.mark.parametrize(
    ("events", "words"),
    [
        ([Unsolicited("+GCAP: +CGSM")], "+GCAP"),
        ([Unsolicited('+CSCS: "GSM"')], "+CSCS"),
        ([OK, OK], "OK"),
        ([COMMAND, OK], "a command line, OK"),
        ([Unsolicited("+CMGL: 1,1,,24"), OK], "+CMGL, OK"),
    ],
)  # fmt: skip
def test_another_program(surplus, events, words):
    """What was never asked for, or twice what could be late: it is said once."""
    told = [surplus.heard(event, LATER) for event in events]
    assert told[-1] == f"it says what nobody asked for ({words})"
    assert not any(told[:-1])
    assert [surplus.heard(event, LATER + 1) for event in events] == [""] * len(events)


@pytest.mark.parametrize(
    "event",
    [
        OK,
        COMMAND,
        Unsolicited("+CMGL: 1,1,,24"),
        Unsolicited('+CMTI: "ME",3'),
        Unsolicited("+CREG: 1"),
        Unsolicited("RING"),
        Noise("octets that are no text", b"\xff"),
        LateResult("> ", prompt=True),
    ],
)
def test_what_modules_do_now_and_then(surplus, event):
    """One sign is none, and news never is."""
    for number in range(5):
        assert surplus.heard(event, LATER + number * (TOGETHER_S + 1)) == ""


def test_answers_of_our_own_that_are_late(surplus):
    """After a command was given up, at the start of a session, right after a result, and while we ask."""
    assert surplus.heard(OK, 1001.5) == ""
    assert surplus.heard(OK, 1200.0) == ""
    assert surplus.heard(Unsolicited("+CPMS: 1"), 1201.0) == ""
    surplus.incomplete(LATER)
    assert surplus.heard(OK, LATER + 10) == ""
    assert surplus.heard(OK, LATER + 11) == ""
    surplus.asked("AT+CMGL=4")
    assert surplus.heard(OK, LATER + 2 * LATE_S) == ""
    assert surplus.heard(OK, LATER + 2 * LATE_S) == ""


def test_a_module_that_starts(surplus):
    """It says anything."""
    surplus.booted(LATER)
    assert surplus.heard(Unsolicited("+GCAP: +CGSM"), LATER + 1) == ""
    assert surplus.incomplete(LATER + 1) == ""
    assert surplus.heard(Unsolicited("+GCAP: +CGSM"), LATER + BOOT_S + 1) != ""


def test_what_this_agent_never_asks_is_foreign_from_the_beginning(surplus):
    """ModemManager comes with the module itself."""
    assert surplus.heard(Unsolicited("+GCAP: +CGSM"), 1002.0) == "it says what nobody asked for (+GCAP)"


def test_answers_in_pieces(surplus):
    """Once may be chance."""
    told = [surplus.incomplete(LATER + number) for number in range(PIECES + 1)]
    assert told == [*[""] * (PIECES - 1), "octets of its answers are missing", ""]


def test_pieces_far_apart(surplus):
    """They do not add up."""
    assert [surplus.incomplete(LATER + number * 3600) for number in range(9)] == [""] * 9
