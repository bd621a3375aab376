"""The line layer: prefix, echo, repetition, editing, type-ahead, text entry."""

from __future__ import annotations

import random

import pytest

from pdu import UserData

PDU = "001100048192630000A705CF25287603\x1a"


@pytest.mark.parametrize(
    "line", ["AT\r", "at\r", "AT\n\r", "A T\r".replace(" ", ""), "xyzAT\r", "AAT\r", "\x1bAT\r"]
)
def test_prefix_begins_a_line(module_bench, line):
    """AT or at begins a line, whatever was before it."""
    assert module_bench.type(line) == "\r\nOK\r\n"


@pytest.mark.parametrize("line", ["\r", "hello\r", "At\r", "aT\r", "A\r", "+++", "\x1a", "\x00\xff\r"])
def test_input_without_prefix_is_ignored(module_bench, line):
    """It gets no answer, and the next line is understood."""
    assert module_bench.type(line) == ""
    assert module_bench.at("") == "\r\nOK\r\n"


def test_echo_repeats_every_byte(make_module_bench):
    """Input that is not understood is echoed too, and nothing is added."""
    bench = make_module_bench()
    bench.module.power_on()
    bench.take_output()
    assert bench.type("AT\r") == "AT\r\r\nOK\r\n"
    assert bench.type("xy\n\r") == "xy\n\r"
    assert bench.type("ATE0\r") == "ATE0\r\r\nOK\r\n"
    assert bench.type("ATE\r") == "\r\nOK\r\n"


def test_repeat_last_line(module_bench):
    """A/ executes the previous line at once, without a terminator; before the first line it gives OK."""
    assert module_bench.at("+CMEE?") == "\r\n+CMEE: 1\r\n\r\nOK\r\n"
    assert module_bench.type("A/") == "\r\n+CMEE: 1\r\n\r\nOK\r\n"
    assert module_bench.type("a/a/") == "\r\n+CMEE: 1\r\n\r\nOK\r\n" * 2
    module_bench.module.reboot(print_boot_lines=False)
    module_bench.at("E0")
    module_bench.module.command_reader.reset()
    assert module_bench.type("A/") == "\r\nOK\r\n"


def test_line_editing(module_bench):
    """S5 deletes the last character, S3 ends the line; both can be changed."""
    assert module_bench.type("AT+CMEF\b\bEE?\r") == "\r\n+CMEE: 1\r\n\r\nOK\r\n"
    assert module_bench.type("AT\b\b\b\r") == "\r\nOK\r\n"
    assert module_bench.at("S5=127") == "\r\nOK\r\n"
    assert module_bench.type("AT+CMEX\x7fE?\r") == "\r\n+CMEE: 1\r\n\r\nOK\r\n"
    assert module_bench.at("S3=59") == ";\nOK;\n"
    assert module_bench.type("ATS3?;") == ";\n059;\n;\nOK;\n"


def test_eighth_bit_is_ignored(module_bench):
    """V.250 5.1."""
    assert module_bench.type(bytes(byte | 0x80 for byte in b"AT\r")) == "\r\nOK\r\n"


def test_line_length_is_bounded(module_bench):
    """Several hundred characters are accepted; an endless line uses no memory and gets ERROR."""
    assert module_bench.at("+CSCB=0," + '"' + "1," * 200 + '"') == "\r\nOK\r\n"
    assert module_bench.at("+" + "x" * 100_000) == "\r\nERROR\r\n"
    assert module_bench.type("A/") == "\r\nERROR\r\n"
    assert module_bench.at("") == "\r\nOK\r\n"


def test_commands_are_executed_in_order(module_bench):
    """Input while a message is being sent is processed after its result, in order."""
    module_bench.network.answers = False
    assert module_bench.type(f"AT+CMGS=15\r{PDU}AT+CSQ\rAT+CMEE?\r") == "\r\n> "
    module_bench.module.submitted(module_bench.network.token, None)
    assert module_bench.take_output() == (
        b"\r\n+CMGS: 0\r\n\r\nOK\r\n\r\n+CSQ: 21,99\r\n\r\nOK\r\n\r\n+CMEE: 1\r\n\r\nOK\r\n"
    )


def test_receive_buffer_is_bounded(module_bench):
    """Bytes that exceed the buffer while a command is executed are lost and counted."""
    module_bench.network.answers = False
    module_bench.type(f"AT+CMGS=15\r{PDU}")
    module_bench.type("AT\r" + " " * 10_000)
    assert module_bench.module.command_reader.overrun_bytes == 10_003 - 4096
    module_bench.module.submitted(module_bench.network.token, None)
    assert module_bench.take_output() == b"\r\n+CMGS: 0\r\n\r\nOK\r\n\r\nOK\r\n"


CONVERSATION = (
    'AT+CPMS="ME","ME","ME"\rAT+CMGF=0\rAT+CMGS=15\r'
    + PDU
    + 'AT+CMGF=1\rAT+CMGS="2936"\rl1\rl3\b2\x1aAT+CMGS="2936"\rno\x1b'
    + 'at+cmgl="all"\rA/ATE1\rAT+CMGS="1"\ryes\x1a'
)


@pytest.mark.parametrize("seed", [None, 0, *range(1, 30)])
def test_output_does_not_depend_on_chunks(make_running_bench, seed):
    """Whole, byte by byte or in random pieces, the same input gives the same output."""
    whole = make_running_bench()
    whole.deliver()
    expected = whole.type(CONVERSATION)
    bench = make_running_bench()
    bench.deliver()
    output, place, dice = "", 0, random.Random(seed)
    while place < len(CONVERSATION):
        size = len(CONVERSATION) if seed is None else 1 if seed == 0 else dice.randrange(1, 12)
        output += bench.type(CONVERSATION[place : place + size])
        place += size
    assert output == expected
    assert bench.network.log == whole.network.log


def test_text_entry_in_text_mode(module_bench):
    """A carriage return gives another prompt, a backspace deletes, a line feed belongs to the text."""
    module_bench.at("+CMGF=1")
    assert module_bench.type('AT+CMGS="2936"\r') == "\r\n> "
    assert module_bench.type("\nab\rcx\bd\x1a") == "\r\n> \r\n+CMGS: 0\r\n\r\nOK\r\n"
    assert module_bench.network.log[-1][1].endswith("06" + packed("\nab\rcd"))


def packed(text):
    return UserData.of(text).octets.hex().upper()


def test_escape_without_a_prompt_gets_no_answer(module_bench):
    """ESC then AT clears an unknown state."""
    assert module_bench.type("\x1b") == ""
    assert module_bench.type("AT\r") == "\r\nOK\r\n"
    module_bench.at("+CMGS=15")
    assert module_bench.type("\x1b") == "\r\nOK\r\n"
    assert module_bench.type("AT\r") == "\r\nOK\r\n"


def test_text_entry_is_bounded(module_bench):
    """What exceeds the longest text is dropped; the command fails at its end."""
    module_bench.at("+CMGS=15")
    module_bench.type("0" * 1_000_000)
    assert len(module_bench.module.command_reader._text_entry.text) < 5000
    assert module_bench.type("\x1a") == "\r\n+CMS ERROR: 304\r\n"
