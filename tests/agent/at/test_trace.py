"""The trace: every octet with its time, and never a PIN."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.at.trace import MAX_HELD_BYTES, Trace, escape_bytes
from hardware.recording import format_header, parse_recording


class CaseRedactor:
    """A redactor whose effect is visible."""

    def __init__(self):
        self.lines = []

    def redact_sent(self, text):
        return text.lower()

    def redact_received(self, line):
        self.lines = [*self.lines, line]
        return line.upper()


@pytest.fixture
def lines():
    return []


def test_octets_are_escaped():
    """Line ends, controls, backslashes and a trailing blank are visible."""
    assert escape_bytes(b'\r\n+CMTI: "ME",3\r\n') == r'\r\n+CMTI: "ME",3\r\n'
    assert escape_bytes(b"0011\x1a\x1b\x00\xff\t\\n") == r"0011\x1a\x1b\x00\xff\x09\\n"
    assert escape_bytes(b"\r\n> ") == r"\r\n>\x20"


def test_lines_have_time_and_direction(lines):
    """Seconds, then < for received and > for sent."""
    trace = Trace(lines.append)
    trace.log_sent(b"AT\r", 12.5)
    trace.log_received(b"\r\nOK\r\n", 12.50025)
    assert lines == [r"12.500000 > AT\r", r"12.500250 < \r\nOK\r\n"]


def test_relative_times_begin_at_zero(lines):
    """The first traced line has the time 0."""
    trace = Trace(lines.append, relative_times=True)
    trace.log_sent(b"AT\r", 1000.5)
    trace.log_event("session ended", 1002.5)
    assert lines == [r"0.000000 > AT\r", "2.000000 ! session ended"]


def test_pieces_of_a_line_keep_their_times(lines):
    """The beginning of a line is held until its end, a write, an event, or the close."""
    trace = Trace(lines.append)
    trace.log_received(b"\r\nO", 1.0)
    trace.log_received(b"K\r\n", 1.25)
    assert lines == [r"1.000000 < \r\n", r"1.000000 < O", r"1.250000 < K\r\n"]
    lines.clear()
    trace.log_received(b"\r\n> ", 2.0)
    trace.log_sent(b"0011\x1a", 3.0)
    trace.log_received(b"half", 4.0)
    trace.log_event("port", 5.0)
    trace.log_received(b"rest", 6.0)
    trace.close()
    assert lines[1:] == [
        r"2.000000 < >\x20",
        r"3.000000 > 0011\x1a",
        "4.000000 < half",
        "5.000000 ! port",
        "6.000000 < rest",
    ]


def test_unterminated_line_is_written_in_bounded_memory(lines):
    """Noise at a wrong baud rate is traced too."""
    trace = Trace(lines.append)
    for _ in range(MAX_HELD_BYTES + 1):
        trace.log_received(b"x", 1.0)
    assert len(lines) == MAX_HELD_BYTES + 1


@given(st.lists(st.tuples(st.booleans(), st.binary(max_size=12)), max_size=12))
def test_every_octet_is_traced(pieces):
    """However the bytes are cut, both directions can be restored from the trace."""
    lines = []
    trace = Trace(lines.append)
    for number, (ours, data) in enumerate(pieces):
        (trace.log_sent if ours else trace.log_received)(data, float(number))
    trace.close()
    runs = parse_recording("\n".join([format_header(), *lines])).chunks
    for ours, direction in ((True, ">"), (False, "<")):
        octets = b"".join(data for mine, data in pieces if mine is ours)
        assert b"".join(run.octets for run in runs if run.direction == direction) == octets
    assert [run.time_s for run in runs] == sorted(run.time_s for run in runs)


PIN = "1234"


@pytest.mark.parametrize("size", range(1, 20))
def test_pin_is_never_traced(lines, size):
    """Neither in the command, nor in an echo in pieces or around a write."""
    trace = Trace(lines.append)
    line = f'AT+CPIN="{PIN}"\r'.encode()
    trace.log_sent(line, 0.0)
    for start in range(0, len(line), size):
        trace.log_received(line[start : start + size], 1.0)
    trace.log_received(line[:size], 2.0)
    trace.log_sent(b"\x1b", 3.0)
    trace.log_received(line[size:] + b"\r\nOK\r\n", 4.0)
    traced = "".join(each.split(" ", 2)[2] for each in lines)
    assert not any(digits in traced for digits in ("12", "23", "34"))
    assert traced.count("****") == 3
    assert traced.endswith(r"OK\r\n")


def test_redactor_gets_whole_lines(lines):
    """It gets each line once, without its end; the result is written in the original pieces."""
    mask = CaseRedactor()
    trace = Trace(lines.append, mask)
    trace.log_sent(b"AT\r", 0.0)
    trace.log_received(b"ab", 1.0)
    trace.log_received(b"cd\r\ne", 2.0)
    trace.log_sent(b"X", 3.0)
    trace.log_received(b"f\r", 4.0)
    assert lines == [
        r"0.000000 > at\x0d".replace(r"\x0d", r"\r"),
        "1.000000 < AB",
        r"2.000000 < CD\r\n",
        "2.000000 < E",
        "3.000000 > x",
        r"4.000000 < F\r",
    ]
    assert mask.lines == ["abcd", "", "ef"]


def test_tee_gets_the_same_octets(lines):
    """The second trace is not redacted by the redactor of the first."""
    others = []
    trace = Trace(lines.append, CaseRedactor(), tee=Trace(others.append))
    trace.log_sent(b"AT\r", 0.0)
    trace.log_received(b"ok", 1.0)
    trace.close()
    assert [each[-2:] for each in lines] == [r"\r", "OK"]
    assert others == [r"0.000000 > AT\r", "1.000000 < ok"]
