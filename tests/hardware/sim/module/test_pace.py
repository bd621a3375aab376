"""A line of a certain speed."""

from __future__ import annotations

import pytest

from hardware.sim.module.pace import MAX_QUEUED_BYTES, BaudThrottle


@pytest.fixture
def throttled_bench(module_bench):
    """A line of 9600 baud, and what came out of it with its time."""
    arrived = []
    pace = BaudThrottle(
        module_bench.time, 9600, lambda data: arrived.append((round(module_bench.time.now - 1000, 6), data))
    )
    pace.time, pace.arrived = module_bench.time, arrived
    return pace


def test_bytes_take_their_time(throttled_bench):
    """Ten bits each; in portions of a UART's buffer; in order."""
    throttled_bench.send(b"x" * 40)
    throttled_bench.send(b"y")
    assert throttled_bench.arrived == []
    throttled_bench.time.advance(10)
    assert [data for _, data in throttled_bench.arrived] == [b"x" * 16, b"x" * 16, b"x" * 8 + b"y"]
    assert [time for time, _ in throttled_bench.arrived] == [
        round(count * 10 / 9600, 6) for count in (16, 32, 41)
    ]


def test_an_idle_line_saves_no_time(throttled_bench):
    """The next byte takes as long as the first."""
    throttled_bench.send(b"a")
    throttled_bench.time.advance(10)
    throttled_bench.send(b"b")
    throttled_bench.send(b"")
    throttled_bench.time.advance(10)
    assert throttled_bench.arrived == [(0.001042, b"a"), (10.001042, b"b")]


def test_a_busy_line_goes_on_where_it_was(throttled_bench):
    """What is sent while a portion is under way follows it at once."""
    throttled_bench.send(b"a")
    throttled_bench.time.advance(0.0005)
    throttled_bench.send(b"b")
    throttled_bench.time.advance(1)
    assert throttled_bench.arrived == [(0.001042, b"a"), (0.002083, b"b")]


def test_the_answer_of_a_module_at_115200_baud(make_module_bench):
    """From +CMTI to the end of a message: what the line itself needs."""
    bench = make_module_bench()
    module = bench.module
    said = BaudThrottle(bench.time, 115200, bench._write)
    heard = BaudThrottle(bench.time, 115200, module.receive)
    module.context.output_buffer.sink = said.send
    module.power_on()
    heard.send(b"ATE0+CNMI=2,1\r")
    bench.time.advance(1)
    bench.take_output()
    start = bench.time.now
    bench.deliver()
    bench.time.advance(0.01)
    assert bench.take_output() == b'\r\n+CMTI: "ME",1\r\n'
    heard.send(b"AT+CMGR=1\r")
    while not bench.output.endswith(b"OK\r\n"):
        bench.time.advance(0.0001)
    assert 0.015 < bench.time.now - start < 0.02


def test_what_finds_no_room_is_lost(throttled_bench):
    """A module that is talkative on a slow line fills no memory; what was lost is counted."""
    for _ in range(3):
        throttled_bench.send(b"x" * MAX_QUEUED_BYTES)
    assert throttled_bench.overrun_bytes == 2 * MAX_QUEUED_BYTES
    throttled_bench.time.advance(100)
    assert sum(len(data) for _, data in throttled_bench.arrived) == MAX_QUEUED_BYTES
