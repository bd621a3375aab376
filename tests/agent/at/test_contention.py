"""Signs of another program on the port."""

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
    """The detector of an idle session that began at 1000 and has listed its messages since."""
    detector = ContentionDetector(1000.0)
    detector.on_command_sent("+CMGL")
    detector.on_command_finished(1001.0)
    return detector


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
def test_foreign_answers_are_reported_once(detector, events, words):
    """The answer to a command that was never sent, or two results that could be late, are reported once."""
    evidence = [detector.on_event(event, AFTER_STALE_GRACE) for event in events]
    assert evidence[-1] == f"the module sends what this agent did not ask for ({words})"
    assert not any(evidence[:-1])
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
def test_single_signs_are_not_reported(detector, event):
    """One sign is not enough, and URCs are never signs."""
    for number in range(5):
        assert detector.on_event(event, AFTER_STALE_GRACE + number * (EVIDENCE_WINDOW_S + 1)) == ""


def test_own_late_answers_are_not_signs(detector):
    """Nothing counts early in a session, soon after a result or timeout, or with a pending command."""
    assert detector.on_event(STALE_OK, 1001.5) == ""
    assert detector.on_event(STALE_OK, 1200.0) == ""
    assert detector.on_event(Unsolicited("+CPMS: 1"), 1201.0) == ""
    detector.on_incomplete_answer(AFTER_STALE_GRACE)
    assert detector.on_event(STALE_OK, AFTER_STALE_GRACE + 10) == ""
    assert detector.on_event(STALE_OK, AFTER_STALE_GRACE + 11) == ""
    detector.on_command_sent("+CMGL")
    assert detector.on_event(STALE_OK, AFTER_STALE_GRACE + 2 * STALE_ANSWER_GRACE_S) == ""
    assert detector.on_event(STALE_OK, AFTER_STALE_GRACE + 2 * STALE_ANSWER_GRACE_S) == ""


def test_starting_module_is_ignored(detector):
    """Nothing counts for a while after a boot URC."""
    detector.on_boot(AFTER_STALE_GRACE)
    assert detector.on_event(Unsolicited("+GCAP: +CGSM"), AFTER_STALE_GRACE + 1) == ""
    assert detector.on_incomplete_answer(AFTER_STALE_GRACE + 1) == ""
    assert detector.on_event(Unsolicited("+GCAP: +CGSM"), AFTER_STALE_GRACE + BOOT_IGNORE_S + 1) != ""


def test_commands_the_agent_never_sends_count_at_once(detector):
    """ModemManager probes a port when the module appears."""
    assert (
        detector.on_event(Unsolicited("+GCAP: +CGSM"), 1002.0)
        == "the module sends what this agent did not ask for (+GCAP)"
    )


def test_repeated_incomplete_answers_are_reported(detector):
    """One incomplete answer may be chance; more are reported once."""
    evidence = [
        detector.on_incomplete_answer(AFTER_STALE_GRACE + number)
        for number in range(MIN_INCOMPLETE_ANSWERS + 1)
    ]
    assert evidence == [*[""] * (MIN_INCOMPLETE_ANSWERS - 1), "octets of its answers are missing", ""]


def test_rare_incomplete_answers_are_not_reported(detector):
    """Incomplete answers that are far apart do not add up."""
    assert [detector.on_incomplete_answer(AFTER_STALE_GRACE + number * 3600) for number in range(9)] == [
        ""
    ] * 9
