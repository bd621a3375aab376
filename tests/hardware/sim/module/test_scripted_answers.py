"""Scripted answers of a module."""

from __future__ import annotations

import pytest

from hardware.sim.module.scripted_answers import AnswerError, parse_answer

OK, ERROR = "\r\nOK\r\n", "\r\nERROR\r\n"


@pytest.mark.parametrize(
    ("answer", "command", "output"),
    [
        ("+CGPSINFO=+CGPSINFO: 4807.038,N", "+CGPSINFO", "\r\n+CGPSINFO: 4807.038,N\r\n" + OK),
        ("+cgpsinfo=free text", "+CGPSINFO", "\r\nfree text\r\n" + OK),
        ("+CGPS?=+CGPS: 1,1", "+CGPS?", "\r\n+CGPS: 1,1\r\n" + OK),
        ("+CGPS=?=+CGPS: (0,1)", "+CGPS=?", "\r\n+CGPS: (0,1)\r\n" + OK),
        ("+CGPS=1=>OK", "+CGPS=1", OK),
        ("+CGPS=1=>OK", "+CGPS=2", ERROR),
        ("+CGPS=*=>OK", '+CGPS=2,"x"', OK),
        ('+QCFG="band"=>+QCFG: "band",0x0', '+qcfg="band"', '\r\n+QCFG: "band",0x0\r\n' + OK),
        ("+X=", "+X", OK),
        (r"+X=one\ntwo", "+X", "\r\none\r\ntwo\r\n" + OK),
        (r"+X=one\r\nERROR", "+X", "\r\none\r\n" + ERROR),
        ("+X=+CME ERROR: 50", "+X", "\r\n+CME ERROR: 50\r\n"),
        ("+X=+CMS ERROR: 500", "+X", "\r\n+CMS ERROR: 500\r\n"),
        ("D123;=BUSY", "D123;", "\r\nBUSY\r\n"),
        ("DT*99#=CONNECT 115200", "DT*99#", "\r\nCONNECT 115200\r\n"),
        (r"+X=a\x40b\\c", "+X", "\r\na@b\\c\r\n" + OK),
        (r"+X=OK\n+XURC: 1", "+X", OK + "\r\n+XURC: 1\r\n"),
        ("+CSQ=+CSQ: 5,99", "+CSQ", "\r\n+CSQ: 5,99\r\n" + OK),
        ("I=My module", "I", "\r\nMy module\r\n" + OK),
        ("+X=1", "+X=?", OK),
        ("+X=one", "+X;+CGMM", "\r\none\r\n\r\nGeneric\r\n" + OK),
        ("+X=BUSY", "+X;+CGMM", "\r\nBUSY\r\n"),
    ],
)
def test_command_gets_its_answer(module_bench, answer, command, output):
    """Information texts, the final result code, and codes that follow; in place of what is simulated."""
    module_bench.module.context.answers.add(answer)
    assert module_bench.at(command) == output


def test_answer_with_pauses(module_bench):
    """Each line comes in its time; a command that is sent meanwhile waits."""
    module_bench.module.context.answers.add(r"+X=one\nwait 2\ntwo\nwait 0.5\nERROR\nwait 3\n+XURC: 1")
    assert module_bench.at("+X") == "\r\none\r\n"
    assert module_bench.at("+CGMM") == ""
    module_bench.time.advance(2)
    assert module_bench.take_output() == b"\r\ntwo\r\n"
    module_bench.time.advance(0.5)
    assert module_bench.take_output().decode() == f"{ERROR}\r\nGeneric\r\n{OK}"
    module_bench.time.advance(3)
    assert module_bench.take_output() == b"\r\n+XURC: 1\r\n"


def test_restart_ends_an_answer(module_bench):
    """What would follow is gone with the power."""
    module_bench.module.context.answers.add(r"+X=one\nwait 2\nOK\nwait 1\n+XURC: 1")
    module_bench.at("+X")
    module_bench.module.reboot(print_boot_lines=False)
    module_bench.time.advance(10)
    assert module_bench.take_output() == b""


def test_answers_are_replaced_and_removed(make_running_bench):
    """The values that are named come before any values; what is removed is answered as before."""
    bench = make_running_bench(answers={"+QTEMP": "+QTEMP: 30"})
    answers = bench.module.context.answers
    for text in ("+CGPS=*=>ERROR", "+CGPS=1=>OK", "+CGPS=1=>BUSY", "+QTEMP=+QTEMP: 99"):
        answers.add(text)
    assert answers.describe() == ["+CGPS=*=>ERROR", "+CGPS=1=>BUSY", "+QTEMP=+QTEMP: 99"]
    assert bench.at("+CGPS=1") == "\r\nBUSY\r\n"
    assert answers.remove("+cgps=1")
    assert not answers.remove("+CGPS=1")
    assert bench.at("+CGPS=1") == ERROR
    assert "99" in bench.at("+QTEMP")
    answers.clear()
    assert "30" in bench.at("+QTEMP")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", " is not COMMAND=ANSWER, for example"),
        ("+X", r"\+X is not COMMAND=ANSWER"),
        ("+X=1=OK", r"\+X=1=OK: a command with values is written NAME=VALUES=>ANSWER"),
        ("=OK", "is not COMMAND=ANSWER"),
        ("=>OK", "nothing is not a single command; write it as it is sent, without AT"),
        ("AT+X=OK", r"AT\+X is not a single command; write it as it is sent, without AT"),
        ("+X;+Y=OK", r"\+X;\+Y is not a single command"),
        (r"+X=wait long\nOK", "wait long is not wait SECONDS, from 0 to 3600"),
        ("+X=wait 3601", "wait 3601 is not wait SECONDS"),
        (r"+X=OK\nERROR", "there is more than one final result code"),
        (r"+X=a\tb", "a backslash is followed by n, x and two digits, or a backslash"),
        ("+X=ä", "an answer is printable ASCII"),
    ],
)
def test_wrong_answer_is_refused(text, sentence):
    """One sentence with the answer and what to write."""
    with pytest.raises(AnswerError, match=sentence):
        parse_answer(text)
