"""`baud = "auto"`, and what is remembered of a port: its rate, and somebody else's data call."""

import asyncio
import random

import pytest

from agent.at.channel import Channel
from agent.at.error import ModemLost
from agent.at.memory_wire import memory_pair
from agent.at.opening import RATES, opener
from agent.at.wire import PortMemory

FRAME = b'~\xff}#\xc0!}!}!} }4}"}&'


class Uart:
    """A wire with a rate; at another one than the module's, octets are garbage both ways."""

    def __init__(self, memory, rate, module_rate):
        self.memory, self.rate, self.module_rate = memory, rate, module_rate
        self.tuned = []
        self.written = b""
        self.chance = random.Random(1)

    async def open(self, reader):
        self.reader = reader
        self.near, self.far = memory_pair()
        self.wire = await self.near.open(self)
        return self

    def received(self, data):
        self.reader.received(self._carried(data))

    def hung_up(self, reason):
        self.reader.hung_up(reason)

    def write(self, data):
        self.written += data
        self.wire.write(self._carried(data))

    def tune(self, rate):
        self.tuned.append(rate)
        self.rate = rate

    def close(self):
        self.wire.close()

    async def closed(self):
        await self.wire.closed()

    def _carried(self, data):
        if self.module_rate in (self.rate, 0):
            return data
        return bytes(self.chance.choice((0x00, 0x60, 0x7E, 0x1E)) for _ in data)


@pytest.fixture
def line(run, module_on):
    """Open a port whose module has that rate; the story gets channel, module and wire."""

    def begin(story, memory, module_rate, *, frames=0.0):
        async def whole():
            uart = Uart(memory, memory.rates[0] if memory.rates else 115200, module_rate)
            channel = await Channel.open(uart.open)
            module = await module_on(uart.far)
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
                uart.far.write(FRAME)
                await asyncio.sleep(frames)

        run(whole())

    return begin


@pytest.mark.parametrize("rate", RATES)
def test_every_usual_rate_is_found_and_remembered(line, rate):
    """In seconds; the next opening begins with it and needs no search."""
    memory = PortMemory(RATES)

    async def found(channel, module, uart):
        began = asyncio.get_running_loop().time()
        await channel.wake(30)
        assert uart.rate == rate
        assert asyncio.get_running_loop().time() - began < 0.8 * len(RATES)

    async def again(channel, module, uart):
        assert uart.rate == rate
        began = asyncio.get_running_loop().time()
        await channel.wake(30)
        assert asyncio.get_running_loop().time() - began < 0.5
        assert set(uart.tuned) <= {rate}

    line(found, memory, rate)
    assert memory.rates[0] == rate
    assert sorted(memory.rates) == sorted(RATES)
    line(again, memory, rate)


def test_a_module_without_a_bare_at_is_found(line):
    """One that answers queries only is met in the second tour."""

    async def story(channel, module, uart):
        module.on("AT", None)
        await channel.wake(30)
        assert uart.rate == 57600

    line(story, PortMemory(RATES), 57600)


def test_a_module_that_starts_slowly_is_found(line):
    """Tours go on for as long as it is waited for: it may boot for 20 s."""

    async def story(channel, module, uart):
        received, module.received = module.received, lambda data: None
        asyncio.get_running_loop().call_later(20, setattr, module, "received", received)
        await channel.wake(30)
        assert uart.rate == 9600

    line(story, PortMemory(RATES), 9600)


def test_a_given_rate_is_kept(line):
    """Nothing is tried where the configuration says the rate."""

    async def story(channel, module, uart):
        with pytest.raises(ModemLost, match="no module answers"):
            await channel.wake(10)
        assert uart.tuned == []

    line(story, PortMemory(), 9600)


def test_a_live_data_call_is_not_written_to_twice(line):
    """Met once, it is left at by one sentence; the next opening writes nothing while frames come."""
    memory = PortMemory()

    async def met(channel, module, uart):
        module.received = lambda data: None
        with pytest.raises(ModemLost, match="data mode"):
            await channel.wake(30)
        assert uart.written.count(b"+++") == 1
        assert uart.written.count(b"AT\r") <= 1

    async def again(channel, module, uart):
        module.received = lambda data: None
        with pytest.raises(ModemLost, match="data mode"):
            await channel.wake(30)
        assert uart.written == b""

    async def over(channel, module, uart):
        await channel.wake(30)

    line(met, memory, 0, frames=3.0)
    line(again, memory, 0, frames=3.0)
    line(over, memory, 0)
    assert not memory.in_data_mode


def test_several_rates_or_one(tmp_path):
    """What is given to the opener is what is tried."""
    assert opener("/dev/ttyS0", "auto", tmp_path).memory.rates == list(RATES)
    assert opener("/dev/ttyS0", 9600, tmp_path).memory.rates == []
