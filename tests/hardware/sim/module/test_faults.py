"""Misfortunes by name: each does what it says, as often as it says, and nothing else."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from hardware.sim.fault_spec import FAULT_DESCRIPTIONS, Fault, parse_fault
from hardware.sim.fault_text import FaultError
from hardware.sim.sandbox_faults import SANDBOX_FAULT_DESCRIPTIONS

OK = "\r\nOK\r\n"
SEND = "AT+CMGS=15\r"
BODY = "001100048192630000A705CF25287603\x1a"
BOOT = "\r\nRDY\r\n\r\n+CPIN: READY\r\n\r\nSMS DONE\r\n"


class RecordingPort:
    """A port that only remembers."""

    def __init__(self):
        self.calls = []

    def __getattr__(self, name):
        return lambda: self.calls.append(name)


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
def test_fault_is_parsed(text, fault):
    """A fault is its name, then its keys."""
    assert parse_fault(text) == fault


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("moot", 'there is no fault "moot"; the faults are mute, late'),
        ("late:colour=1", "fault late: .*colour"),
        ("late:seconds=soon", "fault late: .*seconds"),
        ("refused:refusal=NO", "fault refused: .*ERROR, CME"),
        ("mute:for=nan", r"fault mute: for must be a number"),
        ("late:seconds=inf", "fault late: seconds must be a number"),
        ("mute:after=-1", "fault mute: after must be a number"),
    ],
)
def test_invalid_fault_is_refused(text, sentence):
    """One sentence says what is wrong."""
    with pytest.raises(FaultError, match=sentence):
        parse_fault(text)


def test_readme_lists_all_faults():
    """The table in the package's README has exactly the faults that exist."""
    readme = (Path(__file__).parents[4] / "hardware" / "README.md").read_text()
    section = readme.partition("\n## Faults\n")[2].partition("\n## ")[0]
    assert set(re.findall(r"^\| `([a-z-]+)` \|", section, re.MULTILINE)) == set(SANDBOX_FAULT_DESCRIPTIONS)


def test_no_fault_changes_nothing(module_bench):
    """Without a fault the output is unchanged, and nothing is recorded."""
    assert module_bench.at("+CSQ") == "\r\n+CSQ: 21,99\r\n" + OK
    assert module_bench.module.faults.triggered == []


def test_mute(module_bench):
    """While mute the module ignores its input and writes nothing; messages are still stored."""
    module_bench.at("+CNMI=2,1")
    module_bench.module.faults.add("mute:after=1,for=10")
    assert module_bench.at("") == OK
    module_bench.time.advance(1)
    assert module_bench.at("") == ""
    assert module_bench.deliver() == ""
    module_bench.time.advance(10)
    assert module_bench.take_output() == b""
    assert module_bench.at("+CMGL=0").startswith("\r\n+CMGL: 1,0,,17")


def test_endless_mute_ends_with_power_off(module_bench):
    """Only a restart from outside ends a mute without a time."""
    module_bench.module.faults.add("mute:for=0")
    module_bench.time.advance(10_000)
    assert module_bench.at("+CFUN=1,1") == ""
    module_bench.module.reboot()
    assert module_bench.take_output().decode() == BOOT


def test_late_command_delays_the_next(module_bench):
    """The command is executed late, and input meanwhile waits."""
    module_bench.module.faults.add("late:command=+CSQ,seconds=3")
    assert module_bench.at("+CMEE?;+CSQ;+CREG?") == "\r\n+CMEE: 1\r\n"
    assert module_bench.at("+CFUN?") == ""
    module_bench.time.advance(3)
    assert (
        module_bench.take_output().decode()
        == "\r\n+CSQ: 21,99\r\n\r\n+CREG: 0,1\r\n" + OK + "\r\n+CFUN: 1\r\n" + OK
    )
    assert module_bench.at("+CSQ") == "\r\n+CSQ: 21,99\r\n" + OK


def test_late_command_fails_late(module_bench):
    """A command that fails reports its error after the delay."""
    module_bench.module.faults.add("late:command=+CMGR")
    assert module_bench.at("+CMGR=1") == ""
    module_bench.time.advance(5)
    assert module_bench.take_output() == b"\r\n+CMS ERROR: 321\r\n"


def test_input_before_a_late_prompt_becomes_text(module_bench):
    """As on a real line, an impatient `AT` becomes part of the text."""
    module_bench.module.faults.add("prompt-late:seconds=2")
    assert module_bench.type(SEND + "AT\r") == ""
    module_bench.time.advance(2)
    assert module_bench.take_output() == b"\r\n> "
    assert module_bench.type("\x1b") == OK
    assert module_bench.type(SEND) == "\r\n> "


def test_missing_prompt_still_takes_text(module_bench):
    """The module takes the text although it gave no prompt."""
    module_bench.module.faults.add("prompt-missing")
    assert module_bench.type(SEND) == ""
    assert module_bench.type(BODY) == "\r\n+CMGS: 0\r\n" + OK
    assert module_bench.type(SEND) == "\r\n> "


def test_refused_gives_the_error(module_bench):
    """The command fails as often as requested, with the requested error."""
    module_bench.module.faults.add("refused:command=+CNMI,refusal=CMS 303,times=2")
    assert module_bench.at("+CSQ") == "\r\n+CSQ: 21,99\r\n" + OK
    assert [module_bench.at("+CNMI=2,1") for _ in range(3)] == ["\r\n+CMS ERROR: 303\r\n"] * 2 + [OK]
    assert module_bench.module.faults.triggered == ["refused", "refused"]


def test_ignored_command_has_no_effect(module_bench):
    """The module answers OK and does nothing."""
    module_bench.module.faults.add("ignored:command=+CNMI,times=0")
    assert module_bench.at("+CNMI=2,1") == OK
    assert module_bench.deliver() == ""
    module_bench.module.faults.clear()
    assert module_bench.at("+CNMI?") == "\r\n+CNMI: 0,0,0,0,0\r\n" + OK


def test_echo_stuck_survives_ate0(module_bench):
    """ATE0 is answered with OK and the echo continues until the time is over."""
    module_bench.module.faults.add("echo-stuck:for=60")
    assert module_bench.at("E0") == "ATE0\r" + OK
    assert module_bench.at("") == "AT\r" + OK
    module_bench.time.advance(60)
    assert module_bench.at("E0") == "ATE0\r" + OK
    assert module_bench.at("") == OK


@pytest.mark.parametrize(
    ("name", "expected"),
    [("information-lost", OK), ("final-lost", "\r\n+CMGS: 0\r\n"), ("answer-lost", "")],
)
def test_lost_answer_does_not_stop_the_message(module_bench, name, expected):
    """The message has been sent all the same; the next answer is complete."""
    module_bench.module.faults.add(f"{name}:command=+CMGS")
    assert module_bench.type(SEND) == "\r\n> "
    assert module_bench.type(BODY) == expected
    assert len(module_bench.module.log.submitted_tpdus) == 1
    assert module_bench.at("+CSQ") == "\r\n+CSQ: 21,99\r\n" + OK
    assert module_bench.type(SEND + BODY) == "\r\n> \r\n+CMGS: 1\r\n" + OK


def test_code_lost_drops_one_urc(module_bench):
    """One +CMTI is lost, the next one and other URCs are not."""
    module_bench.at("+CNMI=2,1;+CREG=1")
    module_bench.module.faults.add("code-lost:command=+CMTI")
    module_bench.module.set_registration(5)
    assert module_bench.take_output() == b"\r\n+CREG: 5\r\n"
    assert module_bench.deliver() == ""
    assert module_bench.deliver() == '\r\n+CMTI: "ME",2\r\n'


def test_rubbish_is_not_text(module_bench):
    """The burst contains no text."""
    module_bench.module.faults.add("rubbish:after=1")
    module_bench.time.advance(1)
    assert module_bench.take_output() == bytes.fromhex("00FFF8E68098FE00")


@pytest.mark.parametrize(("name", "expected"), [("reboot-loud", BOOT), ("reboot-silent", "")])
def test_reboot_aborts_the_command(module_bench, name, expected):
    """A restart happens at once or at a command, which is never answered."""
    module_bench.module.faults.add(f"{name}:after=1")
    module_bench.time.advance(1)
    assert module_bench.take_output().decode() == expected
    module_bench.at("E0")
    module_bench.module.faults.add(f"{name}:command=+CMGL")
    assert module_bench.at("+CSQ;+CMGL;+CSQ") == "\r\n+CSQ: 21,99\r\n" + expected
    assert module_bench.at("+CMEE?") == "AT+CMEE?\r\r\n+CMEE: 0\r\n" + OK
    assert module_bench.module.log.boot_count == 3


def test_reboot_while_a_message_is_being_sent(module_bench):
    """The message has been sent, and its result is never reported."""
    module_bench.network.answers = False
    module_bench.module.faults.add("reboot-silent:after=1")
    module_bench.type(SEND + BODY)
    module_bench.time.advance(1)
    module_bench.module.submitted(module_bench.network.token, None)
    assert module_bench.take_output() == b""
    assert module_bench.at("E0") == "ATE0\r" + OK
    assert len(module_bench.module.log.submitted_tpdus) == 1


def test_settings_lost_keeps_the_store(module_bench):
    """The settings are reset without a restart; the store is unchanged."""
    module_bench.at("+CNMI=2,1")
    module_bench.deliver()
    module_bench.module.faults.add("settings-lost")
    assert module_bench.at("E0+CNMI?") == "ATE0+CNMI?\r\r\n+CNMI: 0,0,0,0,0\r\n" + OK
    assert module_bench.module.log.boot_count == 1


def test_store_full_makes_the_network_wait(module_bench):
    """The network keeps the next message until one of the foreign messages is deleted."""
    module_bench.at("+CNMI=2,1")
    module_bench.module.faults.add("store-full")
    assert module_bench.at("+CPMS?").startswith('\r\n+CPMS: "ME",20,20')
    assert module_bench.deliver() == ""
    assert module_bench.delivery_causes() == [22]
    module_bench.at("+CMGD=7")
    assert "memory available" in module_bench.network.log
    assert module_bench.deliver() == '\r\n+CMTI: "ME",7\r\n'


def test_registration_lost_for_a_time(module_bench):
    """The module is in the requested state for the requested time."""
    module_bench.at("+CREG=1")
    module_bench.module.faults.add("registration-lost:for=60,stat=3")
    assert module_bench.take_output() == b"\r\n+CREG: 3\r\n"
    module_bench.time.advance(60)
    assert module_bench.take_output() == b"\r\n+CREG: 2\r\n\r\n+CREG: 1\r\n"


def test_removed_sim_is_read_again_after_cfun(module_bench):
    """When the SIM is back, it is read after the radio was switched off and on."""
    module_bench.module.faults.add("sim-removed:for=10")
    assert module_bench.take_output() == b"\r\n+CPIN: NOT INSERTED\r\n"
    assert not module_bench.module.attached
    assert module_bench.at("+CPMS?") == "\r\n+CMS ERROR: 310\r\n"
    module_bench.time.advance(10)
    assert module_bench.at("+CPIN?") == "\r\n+CME ERROR: 14\r\n"
    module_bench.at("+CFUN=0")
    assert "+CPIN: READY" in module_bench.at("+CFUN=1")
    assert module_bench.module.attached


def test_switched_off_module_is_silent_until_its_key_is_pressed(module_bench):
    """It boots then, by itself only after the given time."""
    module_bench.module.faults.add("switched-off:for=30")
    module_bench.time.advance(29)
    assert module_bench.at("") == ""
    module_bench.time.advance(1 + module_bench.module.profile.boot_s)
    module_bench.take_output()
    assert module_bench.at("") == "AT\r" + OK
    module_bench.module.faults.add("switched-off:for=0")
    module_bench.time.advance(1000)
    assert module_bench.at("") == ""
    module_bench.module.power_on()
    module_bench.time.advance(module_bench.module.profile.boot_s)
    assert BOOT in module_bench.take_output().decode()


def test_port_faults_need_a_port(module_bench):
    """Faults of the line need a port, and release it after their time."""
    with pytest.raises(FaultError, match="needs a port"):
        module_bench.module.faults.add("port-gone")
    line = module_bench.module.faults.port = RecordingPort()
    module_bench.module.faults.add("port-gone:for=5")
    module_bench.time.advance(5)
    module_bench.module.faults.add("write-blocked:for=5")
    module_bench.time.advance(5)
    assert line.calls == ["unplug", "plug", "pause", "resume"]


def test_silent_slot(module_bench):
    """Reading or listing the slot silences the module each time, while it holds a message."""
    module_bench.module.faults.add("slot-silent:index=1,seconds=10")
    assert module_bench.at("+CMGL=4") == OK
    for _ in range(2):
        module_bench.deliver()
    module_bench.take_output()
    for command in ("+CMGR=1", "+CMGL=4"):
        module_bench.at(command)
        assert module_bench.at("") == ""
        module_bench.time.advance(10)
        assert module_bench.at("").endswith(OK)
    assert "+CMGR: 1,,17" in module_bench.at("+CMGR=2")  # listed before
    assert module_bench.at("+CMGD=1").endswith(OK)
    assert "+CMGL: 2,1,,17" in module_bench.at("+CMGL=4")
    assert module_bench.module.faults.triggered == ["slot-silent"] * 2


def test_kept_slot(module_bench):
    """Its delete is answered by OK, and the message stays; other slots can be deleted."""
    module_bench.module.faults.add("slot-kept:index=2")
    for _ in range(2):
        module_bench.deliver()
    for index in (1, 2, 2):
        assert module_bench.at(f"+CMGD={index}").endswith(OK)
    assert [slot for slot, _ in module_bench.module.stores["ME"]] == [1]


def test_fault_that_is_over_leaves_the_list(module_bench):
    """Used up, ended by time or by a restart: a module with many faults over the weeks keeps none of them."""
    faults = module_bench.module.faults
    for text in (
        "refused:command=+CSQ,times=2",
        "settings-lost",
        "mute:for=1",
        "sim-removed:for=1",
        "body-refused",
    ):
        faults.add(text)
    assert [each["fault"] for each in faults.describe()["faults"]] == [
        "refused:command=+CSQ,times=2", "mute:for=1", "sim-removed:for=1", "body-refused",
    ]  # fmt: skip
    module_bench.time.advance(2)
    for _ in range(2):
        module_bench.at("+CSQ")
    assert [each["fault"] for each in faults.describe()["faults"]] == ["body-refused"]
    faults.add("mute:for=0,after=5")
    module_bench.module.reboot()
    assert [each["fault"] for each in faults.describe()["faults"]] == ["mute:for=0,after=5"]


def test_module_survives_every_fault(module_bench):
    """Every fault can be added, and the module still works afterwards."""
    module_bench.module.faults.port = RecordingPort()
    for name in FAULT_DESCRIPTIONS:
        module_bench.module.faults.add(f"{name}:for=1")
    module_bench.time.advance(2)
    module_bench.module.faults.clear()
    module_bench.module.reboot(print_boot_lines=False)
    module_bench.take_output()
    assert module_bench.at("") == "AT\r" + OK
