"""Framing of response lines: V.250 5.7 and 6.2, errors by +CMEE."""

from __future__ import annotations

import pytest

from hardware.sim.module.response_writer import restyle_numbers


def test_numeric_results(module_bench):
    """The answer to V0 already uses the new format; information text loses its leading line end."""
    assert module_bench.at("V0") == "0\r"
    assert module_bench.at("+CSQ") == "+CSQ: 21,99\r\n0\r"
    assert module_bench.at("+XX") == "4\r"
    assert module_bench.at("V1") == "\r\nOK\r\n"


def test_quiet_mode(module_bench):
    """Q1 suppresses result codes and URCs; information text is still written."""
    module_bench.at("+CNMI=2,1")
    assert module_bench.at("Q1") == ""
    assert module_bench.at("+CSQ") == "\r\n+CSQ: 21,99\r\n"
    assert module_bench.at("+XX") == ""
    assert module_bench.deliver() == ""
    assert module_bench.at("Q0") == "\r\nOK\r\n"
    assert module_bench.deliver() == '\r\n+CMTI: "ME",2\r\n'


@pytest.mark.parametrize(
    ("level", "cme", "cms"),
    [
        (0, "ERROR", "ERROR"),
        (1, "+CME ERROR: 3", "+CMS ERROR: 321"),
        (2, "+CME ERROR: operation not allowed", "+CMS ERROR: invalid memory index"),
    ],
)
def test_error_format_by_cmee(make_running_bench, level, cme, cms):
    """On modules where +CMEE applies to both kinds; syntax errors are ERROR at every level."""
    bench = make_running_bench(cmee_rules_cms=True)
    bench.at(f"+CMEE={level}")
    assert bench.at('+CPIN="1234"') == f"\r\n{cme}\r\n"
    assert bench.at("+CMGR=1") == f"\r\n{cms}\r\n"
    assert bench.at("+CMGR=x") == "\r\nERROR\r\n"


def test_cms_errors_are_numeric_by_the_standard(module_bench):
    """27.005 knows only numbers."""
    for level in (0, 1, 2):
        module_bench.at(f"+CMEE={level}")
        assert module_bench.at("+CMGR=1") == "\r\n+CMS ERROR: 321\r\n"


def test_failure_ends_the_line(module_bench):
    """Commands before it are executed and answered, those after it are not; there is one final result."""
    assert module_bench.at("+CSQ;+XX;+CMEE=0") == "\r\n+CSQ: 21,99\r\n\r\nERROR\r\n"
    assert module_bench.at("+CMEE?") == "\r\n+CMEE: 1\r\n\r\nOK\r\n"


def test_response_is_one_write(module_bench):
    """A response is never split over several writes."""
    module_bench.writes.clear()
    module_bench.at("E1+CSQ;+CMEE?")
    assert module_bench.writes == [b"\r\n+CSQ: 21,99\r\n\r\n+CMEE: 1\r\n\r\nOK\r\n"]


def test_urcs_wait_during_text_entry(module_bench):
    """No URC interrupts a text entry; all follow in order before the result."""
    module_bench.at("+CNMI=2,1;+CREG=1")
    module_bench.type("AT+CMGS=15\r")
    assert module_bench.deliver() == ""
    module_bench.module.set_registration(5)
    module_bench.network.answers = False
    assert module_bench.take_output() == b""
    assert (
        module_bench.type("001100048192630000A705CF25287603\x1a") == '\r\n+CMTI: "ME",1\r\n\r\n+CREG: 5\r\n'
    )
    module_bench.module.submitted(module_bench.network.token, None)
    assert module_bench.take_output() == b"\r\n+CMGS: 0\r\n\r\nOK\r\n"


def test_held_urcs_are_bounded(module_bench):
    """Behind a prompt that stays open the oldest URCs are lost."""
    module_bench.at("+CREG=1")
    module_bench.at("+CMGS=15")
    for _ in range(100):
        module_bench.module.set_registration(5)
        module_bench.module.set_registration(1)
    assert module_bench.type("\x1b").count("+CREG") == 100


def test_urcs_are_written_while_a_message_is_being_sent(module_bench):
    """Between the text and its result URCs are allowed."""
    module_bench.at("+CNMI=2,1")
    module_bench.network.answers = False
    module_bench.type("AT+CMGS=15\r001100048192630000A705CF25287603\x1a")
    assert module_bench.deliver() == '\r\n+CMTI: "ME",1\r\n'
    module_bench.module.submitted(module_bench.network.token, None)
    assert module_bench.take_output() == b"\r\n+CMGS: 0\r\n\r\nOK\r\n"


@pytest.mark.parametrize(
    ("style", "line"),
    [
        ("plain", '+CREG: 2,5,"1A2B","0012C0DE",7'),
        ("padded", '+CREG: 002,005,"1A2B","0012C0DE",007'),
        ("spaced", '+CREG:  2 , 5 ,"1A2B","0012C0DE", 7 '),
        ("quoted", '+CREG: "2","5","1A2B","0012C0DE","7"'),
    ],
)
def test_numbers_are_restyled_and_strings_are_not(style, line):
    """Only numbers of at most three digits are written in another way."""
    assert restyle_numbers('+CREG: 2,5,"1A2B","0012C0DE",7', style) == line


@pytest.mark.parametrize("line", ["RDY", "359990000000008", "+CCID: 89440000000000000017", "OK"])
def test_lines_without_short_numbers_stay(line):
    """Names, words and long numbers are no numbers of a setting."""
    assert restyle_numbers(line, "padded") == line
