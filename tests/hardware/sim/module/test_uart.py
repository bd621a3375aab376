"""A line at a baud rate: time per byte, garbage at different rates, detection of the rate."""

from __future__ import annotations

import os
import termios

import pytest

from hardware.profile import SimulatorProfile
from hardware.sim.module.module import SimulatedModule
from hardware.sim.module.pty import Pty
from hardware.sim.module.sim_card import SimCard
from hardware.sim.module.uart import MAX_QUEUED_BYTES, BaudThrottle, UartLink, garble
from pdu import Address


class UartBench:
    """A module at the end of a line; `client_baud` is the rate at the other bench."""

    def __init__(self, bench, baud, client_baud=115200):
        self.time, self.client_baud, self.output = bench.time, client_baud, bytearray()
        self.uart = UartLink(bench.time, baud, lambda: self.client_baud, self.output.extend)
        self.module = SimulatedModule(
            scheduler=bench.time,
            wall_clock=lambda: bench.wall_clock,
            network=bench.network,
            profile=SimulatorProfile(baud=baud),
            sim=SimCard(),
            write=self.uart.write_to_client,
        )
        self.module.context.on_baud_change = self.uart.set_baud
        self.uart.start(self.module.receive)
        self.module.power_on()

    def type(self, text):
        """Send text; return what arrives within ten seconds."""
        self.uart.receive_from_client(text.encode())
        self.time.advance(10)
        data, self.output[:] = bytes(self.output), b""
        return data

    def flush_line(self):
        """End a line that may be half typed."""
        self.type("\r")


@pytest.fixture
def make_uart_bench(module_bench):
    return lambda *arguments: UartBench(module_bench, *arguments)


class ThrottledLine:
    """One direction of a line of 9600 baud, and what arrives with its time."""

    def __init__(self, time):
        self.time = time
        self.arrived = []
        self._start = time.now
        self.throttle = BaudThrottle(time, 9600, self._on_data)

    def _on_data(self, data):
        self.arrived.append((round(self.time.now - self._start, 6), data))


@pytest.fixture
def throttled_line(module_bench):
    return ThrottledLine(module_bench.time)


def test_bytes_take_ten_bit_times(throttled_line):
    """A byte takes ten bits; bytes arrive in order, in portions of the UART's FIFO."""
    throttled_line.throttle.send(b"x" * 40)
    throttled_line.throttle.send(b"y")
    assert throttled_line.arrived == []
    throttled_line.time.advance(10)
    assert [data for _, data in throttled_line.arrived] == [b"x" * 16, b"x" * 16, b"x" * 8 + b"y"]
    assert [time for time, _ in throttled_line.arrived] == [
        round(count * 10 / 9600, 6) for count in (16, 32, 41)
    ]


def test_idle_line_saves_no_time(throttled_line):
    """After a pause the next byte takes as long as the first."""
    throttled_line.throttle.send(b"a")
    throttled_line.time.advance(10)
    throttled_line.throttle.send(b"b")
    throttled_line.throttle.send(b"")
    throttled_line.time.advance(10)
    assert throttled_line.arrived == [(0.001042, b"a"), (10.001042, b"b")]


def test_busy_line_continues_without_gap(throttled_line):
    """Bytes that are sent while the line is busy follow at once."""
    throttled_line.throttle.send(b"a")
    throttled_line.time.advance(0.0005)
    throttled_line.throttle.send(b"b")
    throttled_line.time.advance(1)
    assert throttled_line.arrived == [(0.001042, b"a"), (0.002083, b"b")]


def test_full_queue_loses_and_counts_bytes(throttled_line):
    """A talkative module on a slow line fills no memory; lost bytes are counted."""
    for _ in range(3):
        throttled_line.throttle.send(b"x" * MAX_QUEUED_BYTES)
    assert throttled_line.throttle.overrun_bytes == 2 * MAX_QUEUED_BYTES
    throttled_line.time.advance(100)
    assert sum(len(data) for _, data in throttled_line.arrived) == MAX_QUEUED_BYTES


def test_read_of_a_message_at_115200_baud_takes_line_time(make_uart_bench):
    """From +CMTI to the end of +CMGR passes the time that the line itself needs."""
    bench = make_uart_bench(115200)
    bench.type("ATE0+CNMI=2,1\r")
    start = bench.time.now
    bench.module.deliver(
        1, Address.parse("+447700900000"), bytes.fromhex("04038100F000006290124131020002E834")
    )
    bench.time.advance(0.01)
    assert bytes(bench.output) == b'\r\n+CMTI: "ME",1\r\n'
    bench.uart.receive_from_client(b"AT+CMGR=1\r")
    while not bench.output.endswith(b"OK\r\n"):
        bench.time.advance(0.0001)
    assert 0.015 < bench.time.now - start < 0.02


def test_garbage_is_noise_of_fewer_octets():
    """Garbage contains no character of a command, line end or final result, and is deterministic."""
    data = bytes(range(256)) + b"AT+CMGF=0\r\nOK\r\n\x1a"
    found = garble(data)
    assert 0 < len(found) < len(data)
    assert found == garble(data)
    assert not {octet & 0x7F for octet in found} & set(b"ATat+=/>\r\n\x1a\x1bOK")
    assert garble(b"A") != b""


def test_client_at_another_rate_is_not_understood(make_uart_bench):
    """At another rate client and module read garbage; at the right rate everything works."""
    bench = make_uart_bench(9600, 115200)
    bench.time.advance(1)
    assert b"RDY" not in bench.output
    assert b"OK" not in bench.type("AT\r")
    bench.client_baud = 9600
    bench.flush_line()
    start = bench.time.now
    assert bench.type("ATE0\r") == b"ATE0\r\r\nOK\r\n"
    assert bench.time.now - start == 10
    bench.uart.receive_from_client(b"AT\r")
    bench.time.advance(0.009)
    assert len(bench.output) < 6


def test_baud_rate_is_detected(make_uart_bench):
    """Without boot lines; the first AT sets the rate, which holds until the module restarts."""
    bench = make_uart_bench(0, 19200)
    bench.time.advance(1)
    assert bench.output == b""
    assert bench.type("\xff+++\r") == b""
    assert bench.type("AT\r") == b"AT\r\r\nOK\r\n"
    assert bench.uart.baud == 19200
    bench.client_baud = 9600
    assert b"OK" not in bench.type("AT\r")
    bench.module.reboot()
    assert bench.type("A") == b""
    assert bench.type("T\r") == b"AT\r\r\nOK\r\n"


def test_ipr_changes_the_rate(make_uart_bench):
    """The answer to +IPR still has the old rate; AT&F keeps it, a restart reverts it unless it was saved."""
    bench = make_uart_bench(115200)
    bench.type("ATE0\r")
    assert bench.type("AT+IPR=9600\r") == b"\r\nOK\r\n"
    assert b"OK" not in bench.type("AT\r")
    bench.client_baud = 9600
    bench.flush_line()
    assert bench.type("AT&FE0\r").endswith(b"\r\nOK\r\n")
    assert bench.type("AT+IPR?\r") == b"\r\n+IPR: 9600\r\n\r\nOK\r\n"
    bench.module.reboot()
    assert b"OK" not in bench.type("AT\r")
    bench.client_baud = 115200
    bench.flush_line()
    assert bench.type("ATE0\r").endswith(b"OK\r\n")
    bench.type("AT+IPR=9600;&W\r")
    bench.module.reboot()
    bench.client_baud = 9600
    assert bench.type("ATE0\r").endswith(b"OK\r\n")


async def test_pty_reports_the_clients_rate(tmp_path):
    """The rate that a client sets is visible at the other end of the pseudo-terminal."""
    port = Pty(tmp_path / "modem")
    port.start(lambda data: None)
    client = os.open(tmp_path / "modem", os.O_RDWR | os.O_NOCTTY)
    try:
        for rate in (9600, 115200):
            settings = termios.tcgetattr(client)
            settings[4] = settings[5] = getattr(termios, f"B{rate}")
            termios.tcsetattr(client, termios.TCSANOW, settings)
            assert port.client_baud() == rate
    finally:
        os.close(client)
        port.close()
