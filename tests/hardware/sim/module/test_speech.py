"""Frames of what is said: V.250 5.7, 6.2; errors by +CMEE."""

from __future__ import annotations

import pytest


def test_numeric_results(bench):
    """V0: the answer already uses the new format; information text loses its leading line end."""
    assert bench.at("V0") == "0\r"
    assert bench.at("+CSQ") == "+CSQ: 21,99\r\n0\r"
    assert bench.at("+XX") == "4\r"
    assert bench.at("V1") == "\r\nOK\r\n"


def test_silence(bench):
    """Q1: no result codes, no unsolicited codes; information text still comes."""
    bench.at("+CNMI=2,1")
    assert bench.at("Q1") == ""
    assert bench.at("+CSQ") == "\r\n+CSQ: 21,99\r\n"
    assert bench.at("+XX") == ""
    assert bench.deliver() == ""
    assert bench.at("Q0") == "\r\nOK\r\n"
    assert bench.deliver() == '\r\n+CMTI: "ME",2\r\n'


@pytest.mark.parametrize(
    ("level", "cme", "cms"),
    [
        (0, "ERROR", "ERROR"),
        (1, "+CME ERROR: 3", "+CMS ERROR: 321"),
        (2, "+CME ERROR: operation not allowed", "+CMS ERROR: invalid memory index"),
    ],
)
def test_errors_by_level(running, level, cme, cms):
    """On modules where +CMEE rules both kinds; syntax errors are ERROR at every level."""
    bench = running(cmee_rules_cms=True)
    bench.at(f"+CMEE={level}")
    assert bench.at('+CPIN="1234"') == f"\r\n{cme}\r\n"
    assert bench.at("+CMGR=1") == f"\r\n{cms}\r\n"
    assert bench.at("+CMGR=x") == "\r\nERROR\r\n"


def test_message_errors_have_no_switch_by_the_standard(bench):
    """27.005 knows numbers only."""
    for level in (0, 1, 2):
        bench.at(f"+CMEE={level}")
        assert bench.at("+CMGR=1") == "\r\n+CMS ERROR: 321\r\n"


def test_a_failure_ends_the_line(bench):
    """What was before it has been done and told, what is behind it is not executed, one final result only."""
    assert bench.at("+CSQ;+XX;+CMEE=0") == "\r\n+CSQ: 21,99\r\n\r\nERROR\r\n"
    assert bench.at("+CMEE?") == "\r\n+CMEE: 1\r\n\r\nOK\r\n"


def test_one_write_for_one_response(bench):
    """No response is torn."""
    bench.writes.clear()
    bench.at("E1+CSQ;+CMEE?")
    assert bench.writes == [b"\r\n+CSQ: 21,99\r\n\r\n+CMEE: 1\r\n\r\nOK\r\n"]


def test_codes_wait_while_text_is_entered(bench):
    """At the prompt nothing comes in between; afterwards everything, in order, before the result."""
    bench.at("+CNMI=2,1;+CREG=1")
    bench.type("AT+CMGS=15\r")
    assert bench.deliver() == ""
    bench.module.registration(5)
    bench.air.answers = False
    assert bench.take() == b""
    assert bench.type("001100048192630000A705CF25287603\x1a") == '\r\n+CMTI: "ME",1\r\n\r\n+CREG: 5\r\n'
    bench.module.submitted(bench.air.token, None)
    assert bench.take() == b"\r\n+CMGS: 0\r\n\r\nOK\r\n"


def test_codes_do_not_wait_without_end(bench):
    """Behind a prompt that stays open the oldest are lost."""
    bench.at("+CREG=1")
    bench.at("+CMGS=15")
    for _ in range(100):
        bench.module.registration(5)
        bench.module.registration(1)
    assert bench.type("\x1b").count("+CREG") == 100


def test_codes_come_while_a_message_is_on_its_way(bench):
    """Between the text and its result nothing forbids them."""
    bench.at("+CNMI=2,1")
    bench.air.answers = False
    bench.type("AT+CMGS=15\r001100048192630000A705CF25287603\x1a")
    assert bench.deliver() == '\r\n+CMTI: "ME",1\r\n'
    bench.module.submitted(bench.air.token, None)
    assert bench.take() == b"\r\n+CMGS: 0\r\n\r\nOK\r\n"
