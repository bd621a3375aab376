"""A line of a certain speed."""

from __future__ import annotations

import pytest

from hardware.sim.module.pace import LONGEST, Pace


@pytest.fixture
def line(bench):
    """A line of 9600 baud, and what came out of it with its time."""
    arrived = []
    pace = Pace(bench.time, 9600, lambda data: arrived.append((round(bench.time.now - 1000, 6), data)))
    pace.time, pace.arrived = bench.time, arrived
    return pace


def test_bytes_take_their_time(line):
    """Ten bits each; in portions of a UART's buffer; in order."""
    line.send(b"x" * 40)
    line.send(b"y")
    assert line.arrived == []
    line.time.pass_(10)
    assert [data for _, data in line.arrived] == [b"x" * 16, b"x" * 16, b"x" * 8 + b"y"]
    assert [time for time, _ in line.arrived] == [round(count * 10 / 9600, 6) for count in (16, 32, 41)]


def test_an_idle_line_saves_no_time(line):
    """The next byte takes as long as the first."""
    line.send(b"a")
    line.time.pass_(10)
    line.send(b"b")
    line.send(b"")
    line.time.pass_(10)
    assert line.arrived == [(0.001042, b"a"), (10.001042, b"b")]


def test_a_busy_line_goes_on_where_it_was(line):
    """What is sent while a portion is under way follows it at once."""
    line.send(b"a")
    line.time.pass_(0.0005)
    line.send(b"b")
    line.time.pass_(1)
    assert line.arrived == [(0.001042, b"a"), (0.002083, b"b")]


def test_the_answer_of_a_module_at_115200_baud(fresh):
    """From +CMTI to the end of a message: what the line itself needs."""
    bench = fresh()
    module = bench.module
    said = Pace(bench.time, 115200, bench._hear)
    heard = Pace(bench.time, 115200, module.receive)
    module._write = said.send
    module.power_on()
    heard.send(b"ATE0+CNMI=2,1\r")
    bench.time.pass_(1)
    bench.take()
    start = bench.time.now
    bench.deliver()
    bench.time.pass_(0.01)
    assert bench.take() == b'\r\n+CMTI: "ME",1\r\n'
    heard.send(b"AT+CMGR=1\r")
    while not bench.heard.endswith(b"OK\r\n"):
        bench.time.pass_(0.0001)
    assert 0.015 < bench.time.now - start < 0.02


def test_what_finds_no_room_is_lost(line):
    """A module that is talkative on a slow line fills no memory; what was lost is counted."""
    for _ in range(3):
        line.send(b"x" * LONGEST)
    assert line.overrun == 2 * LONGEST
    line.time.pass_(100)
    assert sum(len(data) for _, data in line.arrived) == LONGEST
