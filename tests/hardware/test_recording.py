"""The form of recordings: octets as text and back, and what must never stand in one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hardware.recording import (
    RESUMED_NOTE,
    RecordedChunk,
    RecordingError,
    escape_bytes,
    format_chunk,
    format_header,
    parse_recording,
    redact_pins,
    unescape_bytes,
)


@given(st.binary())
def test_octets_survive_escaping(data):
    """Any octets become one line of ASCII without a blank at its end, and can be read again."""
    shown = escape_bytes(data)
    assert shown.isascii()
    assert shown.isprintable()
    assert shown == shown.strip() or shown.startswith(" ")
    assert unescape_bytes(shown) == data
    (run,) = parse_recording(f"{format_header()}\n{format_chunk(1.5, '<', shown)}\n").chunks
    assert run == RecordedChunk(2, 1.5, "<", data)


def test_comments_and_resumed_recordings_are_parsed():
    """Comments and empty lines are skipped; another header line means that the recording was resumed."""
    text = r"""# modem-agent recording 1, 2026-11-22T01:02:03+00:00, agent 0.1.0, masked

# a remark
0.5 > AT\r
12 ! session ended
# modem-agent recording 1, later
0.25 < \r\nOK\r\n
"""
    recording = parse_recording(text)
    assert recording.is_masked
    assert recording.details == "2026-11-22T01:02:03+00:00, agent 0.1.0, masked"
    assert recording.chunks == (
        RecordedChunk(4, 0.5, ">", b"AT\r"),
        RecordedChunk(5, 12.0, "!", note="session ended"),
        RecordedChunk(6, 0.0, "!", note=RESUMED_NOTE),
        RecordedChunk(7, 0.25, "<", b"\r\nOK\r\n"),
    )


def test_masked_is_a_separate_word():
    """A module called masked-1 does not make a recording masked."""
    assert not parse_recording(format_header("module masked-1")).is_masked
    assert parse_recording(format_header("agent 1", "", "masked")).is_masked


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "line 1: a recording begins with # modem-agent recording 1"),
        ("0.1 > AT", "line 1: a recording begins with"),
        ("# modem-agent recording 2", "line 1: version 2 is not supported, only 1"),
        ("# modem-agent recording 1\nAT", "line 2: not of the form SECONDS <"),
        ("# modem-agent recording 1\nnan < x", "line 2: not of the form SECONDS <"),
        ("# modem-agent recording 1\n-1 < x", "line 2: not of the form SECONDS <"),
        ("# modem-agent recording 1\n\n1 < \\q", r"line 3: \\q is not a valid escape"),
        ("# modem-agent recording 1\n1 < \\x1", r"line 2: \\x is not a valid escape"),
        ("# modem-agent recording 1\n1 < end\\", r"line 2: \\ is not a valid escape"),
        ("# modem-agent recording 1\n1 < é", "line 2: octets beyond ASCII"),
    ],
)
def test_invalid_recording_is_reported(text, sentence):
    """One sentence with the number of the line."""
    with pytest.raises(RecordingError, match=sentence):
        parse_recording(text)


@pytest.mark.parametrize(
    ("sent", "shown"),
    [
        ('AT+CPIN="1234"\r', 'AT+CPIN="****"\r'),
        ("AT+CPIN=1234\r", "AT+CPIN=****\r"),
        ("at+cpin = 12345678\r", "at+cpin=****\r"),
        ('AT+CPIN="12345678","1234"', 'AT+CPIN="****","****"'),
        ('AT+CPIN="12', 'AT+CPIN="****'),
        ('AT+CMEE=1;+CPIN="1234";+CREG=1', 'AT+CMEE=1;+CPIN="****";+CREG=1'),
        ('AT^CPIN2="1234"', 'AT^CPIN2="****"'),
        ('AT+CLCK="SC",2', 'AT+CLCK="SC",2'),
        ('AT+CLCK="SC",1,"1234"', 'AT+CLCK="SC",1,"****"'),
        ('AT+CPWD="SC","1234","4321"', 'AT+CPWD="SC","****","****"'),
        ("ATD**04*1234*4321*4321#;", "ATD**0****#;"),
        ("ATD**05*12345678*4321*4321#", "ATD**0****#"),
        ('AT+CSIM=26,"002000010831323334FFFFFFFF"', 'AT+CSIM=26,"0020000108****"'),
        ("AT+CPIN?", "AT+CPIN?"),
        ("AT+CPIN=?", "AT+CPIN=?"),
        ("+CPIN: SIM PIN", "+CPIN: SIM PIN"),
        ('AT+CMGL="ALL"', 'AT+CMGL="ALL"'),
    ],
)
def test_pins_are_redacted(sent, shown):
    """In every form in which a module receives them; their length is hidden too, and nothing else."""
    assert redact_pins(sent) == shown
    assert redact_pins(shown) == shown
