"""Signs of somebody else on the line."""

import pytest

from agent.at.contention import (
    BOOT_IGNORE_S,
    EVIDENCE_WINDOW_S,
    MIN_INCOMPLETE_ANSWERS,
    STALE_ANSWER_GRACE_S,
    ContentionDetector,
)
from agent.at.events import FinalResult, Noise, NoiseKind, StaleResult, Unsolicited

STALE_OK = StaleResult("OK", final=FinalResult("OK", ok=True))
FOREIGN_COMMAND = Noise(NoiseKind.FOREIGN_COMMAND, b"AT+GCAP")
AFTER_STALE_GRACE = 1000.0 + STALE_ANSWER_GRACE_S + 1


@pytest.fixture
def detector():
    """Of a session that began at 1000 and has asked for its messages since, and is idle."""
    surplus = ContentionDetector(1000.0)
    surplus.on_command_sent("+CMGL")
    surplus.on_command_finished(1001.0)
    return surplus


@pytest.mark.parametrize(
    ("events", "words"),
    [
        ([Unsolicited("+GCAP: +CGSM")], "+GCAP"),
        ([Unsolicited('+CSCS: "GSM"')], "+CSCS"),
        ([STALE_OK, STALE_OK], "OK"),
        ([FOREIGN_COMMAND, STALE_OK], "a command line, OK"),
        ([Unsolicited("+CMGL: 1,1,,24"), STALE_OK], "+CMGL, OK"),
    ],
)  # fmt: skip
def test_another_program(detector, events, words):
    """What was never asked for, or twice what could be late: it is said once."""
    told = [detector.on_event(event, AFTER_STALE_GRACE) for event in events]
    assert told[-1] == f"the module sends what this agent did not ask for ({words})"
    assert not any(told[:-1])
    assert [detector.on_event(event, AFTER_STALE_GRACE + 1) for event in events] == [""] * len(events)


@pytest.mark.parametrize(
    "event",
    [
        STALE_OK,
        FOREIGN_COMMAND,
        Unsolicited("+CMGL: 1,1,,24"),
        Unsolicited('+CMTI: "ME",3'),
        Unsolicited("+CREG: 1"),
        Unsolicited("RING"),
        Noise(NoiseKind.NON_TEXT, b"\xff"),
        StaleResult("> ", is_prompt=True),
    ],
)
def test_what_modules_do_now_and_then(detector, event):
    """One sign is none, and news never is."""
    for number in range(5):
        assert detector.on_event(event, AFTER_STALE_GRACE + number * (EVIDENCE_WINDOW_S + 1)) == ""


def test_answers_of_our_own_that_are_late(detector):
    """After a command was given up, at the start of a session, right after a result, and while we ask."""
    assert detector.on_event(STALE_OK, 1001.5) == ""
    assert detector.on_event(STALE_OK, 1200.0) == ""
    assert detector.on_event(Unsolicited("+CPMS: 1"), 1201.0) == ""
    detector.on_incomplete_answer(AFTER_STALE_GRACE)
    assert detector.on_event(STALE_OK, AFTER_STALE_GRACE + 10) == ""
    assert detector.on_event(STALE_OK, AFTER_STALE_GRACE + 11) == ""
    detector.on_command_sent("+CMGL")
    assert detector.on_event(STALE_OK, AFTER_STALE_GRACE + 2 * STALE_ANSWER_GRACE_S) == ""
    assert detector.on_event(STALE_OK, AFTER_STALE_GRACE + 2 * STALE_ANSWER_GRACE_S) == ""


def test_a_module_that_starts(detector):
    """It says anything."""
    detector.on_boot(AFTER_STALE_GRACE)
    assert detector.on_event(Unsolicited("+GCAP: +CGSM"), AFTER_STALE_GRACE + 1) == ""
    assert detector.on_incomplete_answer(AFTER_STALE_GRACE + 1) == ""
    assert detector.on_event(Unsolicited("+GCAP: +CGSM"), AFTER_STALE_GRACE + BOOT_IGNORE_S + 1) != ""


def test_what_this_agent_never_asks_is_foreign_from_the_beginning(detector):
    """ModemManager comes with the module itself."""
    assert (
        detector.on_event(Unsolicited("+GCAP: +CGSM"), 1002.0)
        == "the module sends what this agent did not ask for (+GCAP)"
    )


def test_answers_in_pieces(detector):
    """Once may be chance."""
    told = [
        detector.on_incomplete_answer(AFTER_STALE_GRACE + number)
        for number in range(MIN_INCOMPLETE_ANSWERS + 1)
    ]
    assert told == [*[""] * (MIN_INCOMPLETE_ANSWERS - 1), "octets of its answers are missing", ""]


def test_pieces_far_apart(detector):
    """They do not add up."""
    assert [detector.on_incomplete_answer(AFTER_STALE_GRACE + number * 3600) for number in range(9)] == [
        ""
    ] * 9
