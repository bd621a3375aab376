"""`baud = "auto"`, and what is remembered of a port: its rate, and somebody else's data call."""

import asyncio
import random

import pytest

from agent.at.client import AtClient
from agent.at.errors import ModemLost
from agent.at.transport.base import PortState
from agent.at.transport.memory import memory_transport_pair
from agent.at.transport.open import COMMON_BAUD_RATES, make_opener

PPP_FRAME = b'~\xff}#\xc0!}!}!} }4}"}&'


class SimulatedUart:
    """A wire with a rate; at another one than the module's, octets are garbage both ways."""

    def __init__(self, port_state, baud, module_baud):
        self.port_state, self.baud, self.module_baud = port_state, baud, module_baud
        self.tuned = []
        self.written = b""
        self.chance = random.Random(1)

    async def open(self, reader):
        self.reader = reader
        self.near, self.far = memory_transport_pair()
        self.transport = await self.near.open(self)
        return self

    def data_received(self, data):
        self.reader.data_received(self._garble(data))

    def connection_lost(self, reason):
        self.reader.connection_lost(reason)

    def write(self, data):
        self.written += data
        self.transport.write(self._garble(data))

    def set_baud(self, baud):
        self.tuned.append(baud)
        self.baud = baud

    def close(self):
        self.transport.close()

    async def wait_closed(self):
        await self.transport.wait_closed()

    def _garble(self, data):
        if self.module_baud in (self.baud, 0):
            return data
        return bytes(self.chance.choice((0x00, 0x60, 0x7E, 0x1E)) for _ in data)


@pytest.fixture
def run_over_uart(run_virtual, attach_scripted_module):
    """Open a port whose module has that rate; the story gets channel, module and wire."""

    def begin(story, memory, module_rate, *, frames=0.0):
        async def whole():
            uart = SimulatedUart(memory, memory.baud_rates[0] if memory.baud_rates else 115200, module_rate)
            channel = await AtClient.open(uart.open)
            module = await attach_scripted_module(uart.far)
            if frames:
                dialled = asyncio.get_running_loop().create_task(dial(uart, frames))
            try:
                await story(channel, module, uart)
            finally:
                channel.close()
                await asyncio.sleep(0)
                if frames:
                    dialled.cancel()

        async def dial(uart, frames):
            while True:
                uart.far.write(PPP_FRAME)
                await asyncio.sleep(frames)

        run_virtual(whole())

    return begin


@pytest.mark.parametrize("rate", COMMON_BAUD_RATES)
def test_every_usual_rate_is_found_and_remembered(run_over_uart, rate):
    """In seconds; the next opening begins with it and needs no search."""
    memory = PortState(COMMON_BAUD_RATES)

    async def found(channel, module, uart):
        began = asyncio.get_running_loop().time()
        await channel.wake_module(30)
        assert uart.baud == rate
        assert asyncio.get_running_loop().time() - began < 0.8 * len(COMMON_BAUD_RATES)

    async def again(channel, module, uart):
        assert uart.baud == rate
        began = asyncio.get_running_loop().time()
        await channel.wake_module(30)
        assert asyncio.get_running_loop().time() - began < 0.5
        assert set(uart.tuned) <= {rate}

    run_over_uart(found, memory, rate)
    assert memory.baud_rates[0] == rate
    assert sorted(memory.baud_rates) == sorted(COMMON_BAUD_RATES)
    run_over_uart(again, memory, rate)


def test_a_module_without_a_bare_at_is_found(run_over_uart):
    """One that answers queries only is met in the second tour."""

    async def story(channel, module, uart):
        module.on("AT", None)
        await channel.wake_module(30)
        assert uart.baud == 57600

    run_over_uart(story, PortState(COMMON_BAUD_RATES), 57600)


def test_a_module_that_starts_slowly_is_found(run_over_uart):
    """Tours go on for as long as it is waited for: it may boot for 20 s."""

    async def story(channel, module, uart):
        received, module.data_received = module.data_received, lambda data: None
        asyncio.get_running_loop().call_later(20, setattr, module, "data_received", received)
        await channel.wake_module(30)
        assert uart.baud == 9600

    run_over_uart(story, PortState(COMMON_BAUD_RATES), 9600)


def test_a_given_rate_is_kept(run_over_uart):
    """Nothing is tried where the configuration says the rate."""

    async def story(channel, module, uart):
        with pytest.raises(ModemLost, match="no module answers"):
            await channel.wake_module(10)
        assert uart.tuned == []

    run_over_uart(story, PortState(), 9600)


def test_a_live_data_call_is_not_written_to_twice(run_over_uart):
    """Met once, it is left at by one sentence; the next opening writes nothing while frames come."""
    memory = PortState()

    async def met(channel, module, uart):
        module.data_received = lambda data: None
        with pytest.raises(ModemLost, match="data mode"):
            await channel.wake_module(30)
        assert uart.written.count(b"+++") == 1
        assert uart.written.count(b"AT\r") <= 1

    async def again(channel, module, uart):
        module.data_received = lambda data: None
        with pytest.raises(ModemLost, match="data mode"):
            await channel.wake_module(30)
        assert uart.written == b""

    async def over(channel, module, uart):
        await channel.wake_module(30)

    run_over_uart(met, memory, 0, frames=3.0)
    run_over_uart(again, memory, 0, frames=3.0)
    run_over_uart(over, memory, 0)
    assert not memory.is_in_data_mode


def test_several_rates_or_one(tmp_path):
    """What is given to the opener is what is tried."""
    assert make_opener("/dev/ttyS0", "auto", tmp_path).port_state.baud_rates == list(COMMON_BAUD_RATES)
    assert make_opener("/dev/ttyS0", 9600, tmp_path).port_state.baud_rates == []
