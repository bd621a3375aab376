"""The rate of a line: rubbish where the ends differ, silence where it is still to be learnt."""

from __future__ import annotations

import os
import termios

import pytest

from hardware.profile import SimulatorProfile
from hardware.sim.module.module import SimulatedModule
from hardware.sim.module.pty import Pty
from hardware.sim.module.sim_card import SimCard
from hardware.sim.module.uart import UartLink, garble


class UartBench:
    """A module on a line; `client` is the rate at the other end."""

    def __init__(self, bench, baud, client=115200):
        self.time, self.client, self.output = bench.time, client, bytearray()
        self.line = UartLink(bench.time, baud, lambda: self.client, self.output.extend)
        self.module = SimulatedModule(
            bench.time,
            bench.network,
            SimulatorProfile(baud=baud),
            SimCard(),
            self.line.write_to_client,
            lambda: bench.wall_clock,
        )
        self.module.on_baud_change = self.line.set_baud
        self.line.start(self.module.receive)
        self.module.power_on()

    def type(self, text):
        """What is heard within ten seconds."""
        self.line.receive_from_client(text.encode())
        self.time.advance(10)
        heard, self.output[:] = bytes(self.output), b""
        return heard


@pytest.fixture
def uart_ends(module_bench):
    return lambda *arguments: UartBench(module_bench, *arguments)


@pytest.mark.parametrize("data", [b"AT\r", b"\r\nOK\r\n", bytes(range(256))])
@pytest.mark.parametrize("rate", [9600, 115200])
def test_at_the_right_rate_nothing_is_changed(data, rate):
    """What is laid on the line is read off it."""
    assert garble(data, rate, rate) == data


@pytest.mark.parametrize(("sent", "read"), [(115200, 9600), (9600, 115200), (19200, 9600), (38400, 57600)])
def test_at_another_rate_nothing_is_understood(sent, read):
    """Fewer bytes or more, none of them a text; never more than a line can carry."""
    found = garble(b"AT+CMGF=0\r" * 20, sent, read)
    assert b"AT" not in found
    assert len(found) <= 20 * 10 * max(1, 2 * read // sent)


def test_a_fixed_rate(uart_ends):
    """A client at another rate is not understood and reads rubbish; at the right one all is well."""
    end = uart_ends(9600, 115200)
    end.time.advance(1)
    assert b"RDY" not in end.output
    assert b"OK" not in end.type("AT\r")
    end.client = 9600
    end.type("\r")
    began = end.time.now
    assert end.type("ATE0\r") == b"ATE0\r\r\nOK\r\n"
    assert end.time.now - began == 10
    end.line.receive_from_client(b"AT\r")
    end.time.advance(0.009)
    assert len(end.output) < 6


def test_a_rate_that_is_learnt(uart_ends):
    """No boot lines; the first AT tells, and the module keeps to its rate until it starts anew."""
    end = uart_ends(0, 19200)
    end.time.advance(1)
    assert end.output == b""
    assert end.type("\xff+++\r") == b""
    assert end.type("AT\r") == b"AT\r\r\nOK\r\n"
    assert end.line.baud == 19200
    end.client = 9600
    assert b"OK" not in end.type("AT\r")
    end.module.reboot()
    assert end.type("A") == b""
    assert end.type("T\r") == b"AT\r\r\nOK\r\n"


def test_another_rate_is_chosen(uart_ends):
    """+IPR: the answer still has the old one; AT&F leaves it, a restart takes it back unless it was saved."""
    end = uart_ends(115200)
    end.type("ATE0\r")
    assert end.type("AT+IPR=9600\r") == b"\r\nOK\r\n"
    assert b"OK" not in end.type("AT\r")
    end.client = 9600
    end.type("\r")
    assert end.type("AT&FE0\r").endswith(b"\r\nOK\r\n")
    assert end.type("AT+IPR?\r") == b"\r\n+IPR: 9600\r\n\r\nOK\r\n"
    end.module.reboot()
    assert b"OK" not in end.type("AT\r")
    end.client = 115200
    end.type("\r")
    assert end.type("ATE0\r").endswith(b"OK\r\n")
    end.type("AT+IPR=9600;&W\r")
    end.module.reboot()
    end.client = 9600
    assert end.type("ATE0\r").endswith(b"OK\r\n")


async def test_the_rate_that_a_client_has_chosen(tmp_path):
    """Is seen from the other side of the pseudo-terminal."""
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
