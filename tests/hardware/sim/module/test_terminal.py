"""The line layer: prefix, echo, repetition, editing, type-ahead, text entry."""

from __future__ import annotations

import random

import pytest

from pdu import UserData

PDU = "001100048192630000A705CF25287603\x1a"


@pytest.mark.parametrize(
    "line", ["AT\r", "at\r", "AT\n\r", "A T\r".replace(" ", ""), "xyzAT\r", "AAT\r", "\x1bAT\r"]
)
def test_the_prefix_begins_a_line(bench, line):
    """AT or at, whatever stood before it."""
    assert bench.type(line) == "\r\nOK\r\n"


@pytest.mark.parametrize("line", ["\r", "hello\r", "At\r", "aT\r", "A\r", "+++", "\x1a", "\x00\xff\r"])
def test_what_is_no_line_is_ignored(bench, line):
    """No answer, and the next line is understood."""
    assert bench.type(line) == ""
    assert bench.at("") == "\r\nOK\r\n"


def test_echo_is_byte_for_byte(fresh):
    """Also of what is not understood; nothing is added."""
    bench = fresh()
    bench.module.power_on()
    bench.take()
    assert bench.type("AT\r") == "AT\r\r\nOK\r\n"
    assert bench.type("xy\n\r") == "xy\n\r"
    assert bench.type("ATE0\r") == "ATE0\r\r\nOK\r\n"
    assert bench.type("ATE\r") == "\r\nOK\r\n"


def test_repetition(bench):
    """A/ executes the previous body at once, without a terminator; nothing before it is OK."""
    assert bench.at("+CMEE?") == "\r\n+CMEE: 1\r\n\r\nOK\r\n"
    assert bench.type("A/") == "\r\n+CMEE: 1\r\n\r\nOK\r\n"
    assert bench.type("a/a/") == "\r\n+CMEE: 1\r\n\r\nOK\r\n" * 2
    bench.module.reboot(loud=False)
    bench.at("E0")
    bench.module.terminal.reset()
    assert bench.type("A/") == "\r\nOK\r\n"


def test_editing(bench):
    """S5 deletes the last character, S3 ends the line; both can be changed."""
    assert bench.type("AT+CMEF\b\bEE?\r") == "\r\n+CMEE: 1\r\n\r\nOK\r\n"
    assert bench.type("AT\b\b\b\r") == "\r\nOK\r\n"
    assert bench.at("S5=127") == "\r\nOK\r\n"
    assert bench.type("AT+CMEX\x7fE?\r") == "\r\n+CMEE: 1\r\n\r\nOK\r\n"
    assert bench.at("S3=59") == ";\nOK;\n"
    assert bench.type("ATS3?;") == ";\n059;\n;\nOK;\n"


def test_the_eighth_bit_does_not_count(bench):
    """V.250 5.1."""
    assert bench.type(bytes(byte | 0x80 for byte in b"AT\r")) == "\r\nOK\r\n"


def test_long_lines(bench):
    """Several hundred characters are taken; a line without end costs no memory and gets its ERROR."""
    assert bench.at("+CSCB=0," + '"' + "1," * 200 + '"') == "\r\nOK\r\n"
    assert bench.at("+" + "x" * 100_000) == "\r\nERROR\r\n"
    assert bench.type("A/") == "\r\nERROR\r\n"
    assert bench.at("") == "\r\nOK\r\n"


def test_commands_wait_for_the_one_before(bench):
    """What is typed while a message is on its way is looked at when its outcome is there, in order."""
    bench.air.answers = False
    assert bench.type(f"AT+CMGS=15\r{PDU}AT+CSQ\rAT+CMEE?\r") == "\r\n> "
    bench.module.submitted(bench.air.token, None)
    assert bench.take() == (
        b"\r\n+CMGS: 0\r\n\r\nOK\r\n\r\n+CSQ: 21,99\r\n\r\nOK\r\n\r\n+CMEE: 1\r\n\r\nOK\r\n"
    )


def test_the_receive_buffer_is_bounded(bench):
    """What does not fit while a command is being executed is lost and counted."""
    bench.air.answers = False
    bench.type(f"AT+CMGS=15\r{PDU}")
    bench.type("AT\r" + " " * 10_000)
    assert bench.module.terminal.overrun == 10_003 - 4096
    bench.module.submitted(bench.air.token, None)
    assert bench.take() == b"\r\n+CMGS: 0\r\n\r\nOK\r\n\r\nOK\r\n"


CONVERSATION = (
    'AT+CPMS="ME","ME","ME"\rAT+CMGF=0\rAT+CMGS=15\r'
    + PDU
    + 'AT+CMGF=1\rAT+CMGS="2936"\rl1\rl3\b2\x1aAT+CMGS="2936"\rno\x1b'
    + 'at+cmgl="all"\rA/ATE1\rAT+CMGS="1"\ryes\x1a'
)


@pytest.mark.parametrize("seed", [None, 0, *range(1, 30)])
def test_the_way_of_cutting_changes_nothing(running, seed):
    """Whole, byte by byte, or at random: the same bytes come back."""
    whole = running()
    whole.deliver()
    expected = whole.type(CONVERSATION)
    bench = running()
    bench.deliver()
    said, place, dice = "", 0, random.Random(seed)
    while place < len(CONVERSATION):
        size = len(CONVERSATION) if seed is None else 1 if seed == 0 else dice.randrange(1, 12)
        said += bench.type(CONVERSATION[place : place + size])
        place += size
    assert said == expected
    assert bench.air.log == whole.air.log


def test_text_entry_in_text_mode(bench):
    """A carriage return draws another prompt, a backspace deletes, a line feed belongs to the text."""
    bench.at("+CMGF=1")
    assert bench.type('AT+CMGS="2936"\r') == "\r\n> "
    assert bench.type("\nab\rcx\bd\x1a") == "\r\n> \r\n+CMGS: 0\r\n\r\nOK\r\n"
    assert bench.air.log[-1][1].endswith("06" + packed("\nab\rcd"))


def packed(text):
    return UserData.of(text).octets.hex().upper()


def test_escape_without_a_prompt_gets_no_answer(bench):
    """To clear an unknown state: ESC, then AT."""
    assert bench.type("\x1b") == ""
    assert bench.type("AT\r") == "\r\nOK\r\n"
    bench.at("+CMGS=15")
    assert bench.type("\x1b") == "\r\nOK\r\n"
    assert bench.type("AT\r") == "\r\nOK\r\n"


def test_endless_text_costs_no_memory(bench):
    """What is beyond the longest text is not kept; the command fails at its end."""
    bench.at("+CMGS=15")
    bench.type("0" * 1_000_000)
    assert len(bench.module.terminal._entry.text) < 5000
    assert bench.type("\x1a") == "\r\n+CMS ERROR: 304\r\n"
