"""The trace shows every octet on one line."""

from agent.at.trace import Trace, visible


def test_octets_are_visible():
    """Line ends and controls are written out, a backslash stays one."""
    assert visible(b'\r\n+CMTI: "ME",3\r\n') == r'\r\n+CMTI: "ME",3\r\n'
    assert visible(b"0011\x1a\x1b\x00\xff\t\\n") == r"0011\x1a\x1b\x00\xff\x09\\n"


def test_lines_have_time_and_direction():
    """Seconds, then < for the module and > for us."""
    lines = []
    trace = Trace(lines.append)
    trace.sent(b"AT\r", 12.5)
    trace.received(b"\r\nOK\r\n", 12.50025)
    assert lines == [r"12.500000 > AT\r", r"12.500250 < \r\nOK\r\n"]
