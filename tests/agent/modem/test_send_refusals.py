"""Whose fault a permanent refusal is."""

import pytest

from agent.at.error_codes import ErrorKind
from agent.at.errors import CommandRefused
from agent.at.events import FinalResult
from agent.modem.send_refusals import BELIEVED_FOR_S, FAILING_BEFORE_RESTART_S, SendRefusals


def refused(code):
    final = FinalResult(f"+CMS ERROR: {code}", ok=False, kind=ErrorKind.CMS, code=code)
    return CommandRefused("AT+CMGS", final, body_sent=True)


@pytest.fixture
def refusals():
    return SendRefusals()


def test_error_of_a_number_that_never_accepted_is_believed(refusals):
    """It says nothing about the module."""
    assert not refusals.on_refused(refused(1), 0, accepted_before=False)
    assert refusals.restart_reason == ""


def test_second_refusal_in_a_row_asks_for_a_restart(refusals):
    """The first is only repeated. An accepted message between them shows that the module works."""
    assert refusals.on_refused(refused(1), 0, accepted_before=True)
    assert refusals.restart_reason == ""
    refusals.on_accepted()
    assert refusals.on_refused(refused(1), 1, accepted_before=True)
    assert refusals.restart_reason == ""
    assert refusals.on_refused(refused(30), 2, accepted_before=True)
    assert "30" in refusals.restart_reason


def test_other_numbers_are_not_believed_while_the_module_is_suspected(refusals):
    """A sick module refuses them, too."""
    refusals.on_refused(refused(1), 0, accepted_before=True)
    assert refusals.on_refused(refused(1), 0, accepted_before=False)


def test_refusals_after_the_restart_are_believed_for_a_day(refusals):
    """The restart is not repeated for the same error, but for another one."""
    for _ in range(2):
        refusals.on_refused(refused(1), 0, accepted_before=True)
    refusals.on_module_reset()
    assert refusals.was_reset
    assert refusals.restart_reason == ""
    assert refusals.on_refused(refused(1), 10, accepted_before=True)
    assert not refusals.on_refused(refused(1), 20, accepted_before=True)
    assert not refusals.was_reset
    assert not refusals.on_refused(refused(1), 10 + BELIEVED_FOR_S, accepted_before=True)
    assert refusals.on_refused(refused(69), 30, accepted_before=True)
    assert refusals.on_refused(refused(1), 30 + BELIEVED_FOR_S, accepted_before=True)


def test_restart_without_refusals_changes_nothing(refusals):
    """The module is restarted for other reasons as well."""
    refusals.on_module_reset()
    assert not refusals.was_reset
    assert not refusals.on_refused(refused(1), 0, accepted_before=False)


def fail_for(refusals, seconds, start=0.0):
    """Record temporary errors for a time."""
    for now in (start, start + seconds / 2, start + seconds):
        refusals.on_failed("+CMS ERROR: 41", now)


def test_nothing_but_temporary_errors_asks_for_a_restart(refusals):
    """They ask for it after some minutes; an accepted message ends that."""
    fail_for(refusals, FAILING_BEFORE_RESTART_S - 1)
    assert refusals.restart_reason == ""
    refusals.on_accepted()
    fail_for(refusals, FAILING_BEFORE_RESTART_S)
    assert "41" in refusals.restart_reason
    refusals.on_accepted()
    assert refusals.restart_reason == ""


def test_temporary_errors_ask_for_one_restart_a_day(refusals):
    """If they go on after the restart, the network is at fault, whatever the code is."""
    fail_for(refusals, FAILING_BEFORE_RESTART_S)
    refusals.on_module_reset()
    assert (refusals.restart_reason, refusals.was_reset) == ("", True)
    fail_for(refusals, FAILING_BEFORE_RESTART_S, 1000)
    assert not refusals.was_reset
    fail_for(refusals, BELIEVED_FOR_S - 1000, 3000)
    assert refusals.restart_reason == ""
    fail_for(refusals, FAILING_BEFORE_RESTART_S, 2000 + BELIEVED_FOR_S)
    assert refusals.restart_reason
