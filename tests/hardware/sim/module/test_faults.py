"""Misfortunes by name: each does what it says, as often as it says, and nothing else."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from hardware.sim import faults
from hardware.sim.faults import Fault, FaultError, parse

OK = "\r\nOK\r\n"
SEND = "AT+CMGS=15\r"
BODY = "001100048192630000A705CF25287603\x1a"
BOOT = "\r\nRDY\r\n\r\n+CPIN: READY\r\n\r\nSMS DONE\r\n"


class Line:
    """A port that only remembers."""

    def __init__(self):
        self.log = []

    def __getattr__(self, name):
        return lambda: self.log.append(name)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("mute", Fault(name="mute")),
        ("late:command=+cmgs,seconds=7", Fault(name="late", command="+CMGS", seconds=7.0)),
        ("prompt-late", Fault(name="prompt-late", command="+CMGS")),
        ("refused:refusal=CMS 302,times=0", Fault(name="refused", refusal="CMS 302", times=0)),
        ("mute:after=1.5,for=0", Fault(name="mute", after=1.5, for_=0.0)),
        ("registration-lost:stat=3", Fault(name="registration-lost", stat=3)),
    ],
)
def test_how_faults_are_written(text, fault):
    """Name, then keys."""
    assert parse(text) == fault


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("moot", 'there is no fault "moot"; known are mute, late'),
        ("late:colour=1", "fault late: .*colour"),
        ("late:seconds=soon", "fault late: .*seconds"),
        ("refused:refusal=NO", "fault refused: .*ERROR, CME"),
    ],
)
def test_how_they_are_not(text, sentence):
    """One sentence that says what is wrong."""
    with pytest.raises(FaultError, match=sentence):
        parse(text)


def test_all_names_are_explained_in_the_readme():
    """The list of the package's README is the list there is."""
    readme = (Path(__file__).parents[4] / "hardware" / "README.md").read_text()
    assert set(re.findall(r"^\| `([a-z-]+)` \|", readme, re.MULTILINE)) == set(faults.MEANING)


def test_without_a_fault_nothing_is_different(bench):
    """And nothing is logged."""
    assert bench.at("+CSQ") == "\r\n+CSQ: 21,99\r\n" + OK
    assert bench.module.faults.log == []


def test_mute(bench):
    """No ear and no mouth for a while; messages are still stored."""
    bench.at("+CNMI=2,1")
    bench.module.faults.add("mute:after=1,for=10")
    assert bench.at("") == OK
    bench.time.pass_(1)
    assert bench.at("") == ""
    assert bench.deliver() == ""
    bench.time.pass_(10)
    assert bench.take() == b""
    assert bench.at("+CMGL=0").startswith("\r\n+CMGL: 1,0,,17")


def test_mute_for_good_ends_with_the_power(bench):
    """Only a restart from outside helps."""
    bench.module.faults.add("mute:for=0")
    bench.time.pass_(10_000)
    assert bench.at("+CFUN=1,1") == ""
    bench.module.reboot()
    assert bench.take().decode() == BOOT


def test_late(bench):
    """The command is executed late, what is typed meanwhile waits its turn."""
    bench.module.faults.add("late:command=+CSQ,seconds=3")
    assert bench.at("+CMEE?;+CSQ;+CREG?") == "\r\n+CMEE: 1\r\n"
    assert bench.at("+CFUN?") == ""
    bench.time.pass_(3)
    assert bench.take().decode() == "\r\n+CSQ: 21,99\r\n\r\n+CREG: 0,1\r\n" + OK + "\r\n+CFUN: 1\r\n" + OK
    assert bench.at("+CSQ") == "\r\n+CSQ: 21,99\r\n" + OK


def test_a_late_refusal(bench):
    """A command that fails does so late."""
    bench.module.faults.add("late:command=+CMGR")
    assert bench.at("+CMGR=1") == ""
    bench.time.pass_(5)
    assert bench.take() == b"\r\n+CMS ERROR: 321\r\n"


def test_a_late_prompt_swallows_what_was_typed(bench):
    """As on a real line: an impatient `AT` becomes text."""
    bench.module.faults.add("prompt-late:seconds=2")
    assert bench.type(SEND + "AT\r") == ""
    bench.time.pass_(2)
    assert bench.take() == b"\r\n> "
    assert bench.type("\x1b") == OK
    assert bench.type(SEND) == "\r\n> "


def test_a_missing_prompt(bench):
    """The module takes text all the same."""
    bench.module.faults.add("prompt-missing")
    assert bench.type(SEND) == ""
    assert bench.type(BODY) == "\r\n+CMGS: 0\r\n" + OK
    assert bench.type(SEND) == "\r\n> "


def test_refused(bench):
    """So many times, with the refusal ordered."""
    bench.module.faults.add("refused:command=+CNMI,refusal=CMS 303,times=2")
    assert bench.at("+CSQ") == "\r\n+CSQ: 21,99\r\n" + OK
    assert [bench.at("+CNMI=2,1") for _ in range(3)] == ["\r\n+CMS ERROR: 303\r\n"] * 2 + [OK]
    assert bench.module.faults.log == ["refused", "refused"]


def test_ignored(bench):
    """OK, and nothing done."""
    bench.module.faults.add("ignored:command=+CNMI,times=0")
    assert bench.at("+CNMI=2,1") == OK
    assert bench.deliver() == ""
    bench.module.faults.clear()
    assert bench.at("+CNMI?") == "\r\n+CNMI: 0,0,0,0,0\r\n" + OK


def test_echo_stuck(bench):
    """ATE0 is answered by OK and the echo goes on, until the time is over."""
    bench.module.faults.add("echo-stuck:for=60")
    assert bench.at("E0") == "ATE0\r" + OK
    assert bench.at("") == "AT\r" + OK
    bench.time.pass_(60)
    assert bench.at("E0") == "ATE0\r" + OK
    assert bench.at("") == OK


@pytest.mark.parametrize(
    ("name", "said"),
    [("information-lost", OK), ("final-lost", "\r\n+CMGS: 0\r\n"), ("answer-lost", "")],
)
def test_lost_answers(bench, name, said):
    """The message has left all the same; the next answer is whole."""
    bench.module.faults.add(f"{name}:command=+CMGS")
    assert bench.type(SEND) == "\r\n> "
    assert bench.type(BODY) == said
    assert len(bench.module.ledger.submits) == 1
    assert bench.at("+CSQ") == "\r\n+CSQ: 21,99\r\n" + OK
    assert bench.type(SEND + BODY) == "\r\n> \r\n+CMGS: 1\r\n" + OK


def test_lost_codes(bench):
    """One +CMTI does not come, the next does; other codes are not concerned."""
    bench.at("+CNMI=2,1;+CREG=1")
    bench.module.faults.add("code-lost:command=+CMTI")
    bench.module.registration(5)
    assert bench.take() == b"\r\n+CREG: 5\r\n"
    assert bench.deliver() == ""
    assert bench.deliver() == '\r\n+CMTI: "ME",2\r\n'


def test_rubbish(bench):
    """A burst of bytes that are no text."""
    bench.module.faults.add("rubbish:after=1")
    bench.time.pass_(1)
    assert bench.take() == bytes.fromhex("00FFF8E68098FE00")


@pytest.mark.parametrize(("name", "said"), [("reboot-loud", BOOT), ("reboot-silent", "")])
def test_restarts(bench, name, said):
    """At a moment, or at a command: that one is never answered."""
    bench.module.faults.add(f"{name}:after=1")
    bench.time.pass_(1)
    assert bench.take().decode() == said
    bench.at("E0")
    bench.module.faults.add(f"{name}:command=+CMGL")
    assert bench.at("+CSQ;+CMGL;+CSQ") == "\r\n+CSQ: 21,99\r\n" + said
    assert bench.at("+CMEE?") == "AT+CMEE?\r\r\n+CMEE: 0\r\n" + OK
    assert bench.module.ledger.boots == 3


def test_a_restart_while_a_message_is_on_its_way(bench):
    """It has left; nobody hears of it."""
    bench.air.answers = False
    bench.module.faults.add("reboot-silent:after=1")
    bench.type(SEND + BODY)
    bench.time.pass_(1)
    bench.module.submitted(bench.air.token, None)
    assert bench.take() == b""
    assert bench.at("E0") == "ATE0\r" + OK
    assert len(bench.module.ledger.submits) == 1


def test_lost_settings(bench):
    """Without a restart; the store is as it was."""
    bench.at("+CNMI=2,1")
    bench.deliver()
    bench.module.faults.add("settings-lost")
    assert bench.at("E0+CNMI?") == "ATE0+CNMI?\r\r\n+CNMI: 0,0,0,0,0\r\n" + OK
    assert bench.module.ledger.boots == 1


def test_a_full_store(bench):
    """A stranger's messages; the network keeps the next one until one of them is deleted."""
    bench.at("+CNMI=2,1")
    bench.module.faults.add("store-full")
    assert bench.at("+CPMS?").startswith('\r\n+CPMS: "ME",20,20')
    assert bench.deliver() == ""
    assert bench.answered() == [22]
    bench.at("+CMGD=7")
    assert "memory available" in bench.air.log
    assert bench.deliver() == '\r\n+CMTI: "ME",7\r\n'


def test_lost_registration(bench):
    """For a while, in the state ordered."""
    bench.at("+CREG=1")
    bench.module.faults.add("registration-lost:for=60,stat=3")
    assert bench.take() == b"\r\n+CREG: 3\r\n"
    bench.time.pass_(60)
    assert bench.take() == b"\r\n+CREG: 1\r\n"


def test_a_removed_card(bench):
    """Back again it is read when the radio has been switched off and on."""
    bench.module.faults.add("sim-removed:for=10")
    assert bench.take() == b"\r\n+CPIN: NOT INSERTED\r\n"
    assert not bench.module.attached
    assert bench.at("+CPMS?") == "\r\n+CMS ERROR: 310\r\n"
    bench.time.pass_(10)
    assert bench.at("+CPIN?") == "\r\n+CME ERROR: 14\r\n"
    bench.at("+CFUN=0")
    assert "+CPIN: READY" in bench.at("+CFUN=1")
    assert bench.module.attached


def test_faults_of_the_line(bench):
    """They need a port, and give it back after a while."""
    with pytest.raises(FaultError, match="needs a port"):
        bench.module.faults.add("port-gone")
    line = bench.module.faults.port = Line()
    bench.module.faults.add("port-gone:for=5")
    bench.time.pass_(5)
    bench.module.faults.add("write-blocked:for=5")
    bench.time.pass_(5)
    assert line.log == ["unplug", "plug", "pause", "resume"]


def test_faults_of_every_name_can_be_ordered(bench):
    """And the module lives on afterwards."""
    bench.module.faults.port = Line()
    for name in faults.MEANING:
        bench.module.faults.add(f"{name}:for=1")
    bench.time.pass_(2)
    bench.module.faults.clear()
    bench.module.reboot(loud=False)
    bench.take()
    assert bench.at("") == "AT\r" + OK
