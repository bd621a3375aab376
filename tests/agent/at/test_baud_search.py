"""The baud rate search, and what is remembered of a port."""

import asyncio
import random

import pytest
from memory_transport import memory_transport_pair

from agent.at.client import AtClient
from agent.at.errors import ModemLost
from agent.at.transport.base import PortState
from agent.at.transport.open import COMMON_BAUD_RATES, make_opener

PPP_FRAME = b'~\xff}#\xc0!}!}!} }4}"}&'


class SimulatedUart:
    """A transport with a baud rate; at another rate than the module's, octets are garbled both ways."""

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
    """Open a port whose module has that rate; the scenario gets client, module and UART."""

    def begin(scenario, port_state, module_rate, *, ppp_interval_s=0.0):
        async def whole():
            uart = SimulatedUart(
                port_state, port_state.baud_rates[0] if port_state.baud_rates else 115200, module_rate
            )
            client = await AtClient.open(uart.open)
            module = await attach_scripted_module(uart.far)
            if ppp_interval_s:
                dialled = asyncio.get_running_loop().create_task(dial(uart))
            try:
                await scenario(client, module, uart)
            finally:
                client.close()
                await asyncio.sleep(0)
                if ppp_interval_s:
                    dialled.cancel()

        async def dial(uart):
            while True:
                uart.far.write(PPP_FRAME)
                await asyncio.sleep(ppp_interval_s)

        run_virtual(whole())

    return begin


@pytest.mark.parametrize("rate", COMMON_BAUD_RATES)
def test_each_common_rate_is_found_and_remembered(run_over_uart, rate):
    """Each rate is found within seconds; the next opening begins with it."""
    port_state = PortState(COMMON_BAUD_RATES)

    async def found(client, module, uart):
        began = asyncio.get_running_loop().time()
        await client.wake_module(30)
        assert uart.baud == rate
        assert asyncio.get_running_loop().time() - began < 0.8 * len(COMMON_BAUD_RATES)

    async def again(client, module, uart):
        assert uart.baud == rate
        began = asyncio.get_running_loop().time()
        await client.wake_module(30)
        assert asyncio.get_running_loop().time() - began < 0.5
        assert set(uart.tuned) <= {rate}

    run_over_uart(found, port_state, rate)
    assert port_state.baud_rates[0] == rate
    assert sorted(port_state.baud_rates) == sorted(COMMON_BAUD_RATES)
    run_over_uart(again, port_state, rate)


def test_module_without_bare_at_is_found(run_over_uart):
    """A module that answers queries only is found in the second round."""

    async def scenario(client, module, uart):
        module.on("AT", None)
        await client.wake_module(30)
        assert uart.baud == 57600

    run_over_uart(scenario, PortState(COMMON_BAUD_RATES), 57600)


def test_slowly_booting_module_is_found(run_over_uart):
    """The search is repeated until the timeout: a module may boot for 20 s."""

    async def scenario(client, module, uart):
        received, module.data_received = module.data_received, lambda data: None
        asyncio.get_running_loop().call_later(20, setattr, module, "data_received", received)
        await client.wake_module(30)
        assert uart.baud == 9600

    run_over_uart(scenario, PortState(COMMON_BAUD_RATES), 9600)


def test_configured_rate_is_not_changed(run_over_uart):
    """No other rate is tried if the configuration names one."""

    async def scenario(client, module, uart):
        with pytest.raises(ModemLost, match="no module answers"):
            await client.wake_module(10)
        assert uart.tuned == []

    run_over_uart(scenario, PortState(), 9600)


def test_live_data_call_is_written_to_only_once(run_over_uart):
    """`+++` is tried once; the next opening writes nothing while PPP frames come."""
    port_state = PortState()

    async def met(client, module, uart):
        module.data_received = lambda data: None
        with pytest.raises(ModemLost, match="data mode"):
            await client.wake_module(30)
        assert uart.written.count(b"+++") == 1
        assert uart.written.count(b"AT\r") <= 1

    async def again(client, module, uart):
        module.data_received = lambda data: None
        with pytest.raises(ModemLost, match="data mode"):
            await client.wake_module(30)
        assert uart.written == b""

    async def over(client, module, uart):
        await client.wake_module(30)

    run_over_uart(met, port_state, 0, ppp_interval_s=3.0)
    run_over_uart(again, port_state, 0, ppp_interval_s=3.0)
    run_over_uart(over, port_state, 0)
    assert not port_state.is_in_data_mode


def test_opener_has_the_rates_to_try(tmp_path):
    """The rate "auto" selects the common rates; a number means no search."""
    assert make_opener("/dev/ttyS0", "auto", tmp_path).port_state.baud_rates == list(COMMON_BAUD_RATES)
    assert make_opener("/dev/ttyS0", 9600, tmp_path).port_state.baud_rates == []
