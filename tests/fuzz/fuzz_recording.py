"""Fuzzes recordings: any file is refused with the number of a line, or it can be replayed to any host.

The input up to the first NUL is the file; the rest is what the host sends to the replayed module.
"""

from manual_scheduler import ManualScheduler

from hardware.recording import RecordingError, escape_bytes, parse_recording, redact_pins, unescape_bytes
from hardware.sim.replay import ReplayedModule

RECORDING = rb"""# modem-agent recording 1, 2026-11-22T01:02:03+00:00, agent 0.1.0, masked
0.000000 < \r\nRDY\r\n
0.004112 > AT+CMGR=3\r
0.004200 < \r\n+CMGR: 0,,17\r\n079144770009000004038100F000006290124131020002E834\r\n\r\nOK\r\n
0.100000 > AT+CMGS=15\r
0.110000 < \r\n>\x20
0.120000 > 001100048192630000A705CF25287603\x1a
0.130000 < \r\n+CMGS: 2\r\n
0.140000 < \r\nOK\r\n
0.200000 > AT+CPIN="****"\r
0.300000 < \r\n+CMTI: "ME",1\r\n
12.500000 ! session ended
"""
SEEDS = (
    RECORDING + b"\0AT\rAT+CMGR=3\rAT+CMGS=16\r00\x1aAT+CPIN=1234\r",
    RECORDING.replace(b", masked", b"") + b"\0AT+CMGR=3\rAT+CMGR=3\r\x1b",
    RECORDING + RECORDING + b"\0AT+CMGR=3\rAT+CMGR=3\r",
    b'# modem-agent recording 1\n\n# words\n0 > AT+CLCK="SC",1,"1234"\\r\n1.5 < \\\\\\x00\\r\\nOK\n2 ! gone',
)


def run(data):
    """Only RecordingError is raised, escaped octets can be read again, and the host always gets an answer."""
    file, _, host = data.partition(b"\0")
    assert unescape_bytes(escape_bytes(host)) == host
    redact_pins(host.decode("latin-1"))
    try:
        recording = parse_recording(file.decode("utf-8", "replace"))
    except RecordingError as error:
        assert str(error).startswith("line ")  # noqa: PT017  (most inputs are not recordings)
        return
    for delays in (False, True):
        time, output = ManualScheduler(), []
        module = ReplayedModule(time, recording, output.append, delays=delays)
        module.start()
        for start in range(0, len(host), 7):
            module.receive(host[start : start + 7])
            time.advance(0.05)
        time.advance(1e10)  # later than any line of a recording
        del output[:]
        module.receive(b"\x1b\x1a\rAT+FUZZ=1\r")
        time.advance(1e10)
        assert output, "a replayed module answers every command"
        assert len(module.divergences) <= len(host) + 10
