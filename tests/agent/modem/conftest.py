"""Fixtures of the modem tests: an event loop with virtual time, a simulated module, a scripted module."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from memory_transport import memory_transport_pair

import pdu
from agent.at.client import AtClient
from agent.modem.modem import Modem
from agent.modem.options import ModemOptions
from hardware.profile import SimulatorProfile
from hardware.sim import virtual_time
from hardware.sim.module.module import SimulatedModule
from hardware.sim.module.sim_card import SimCard

CENTRE = pdu.Address.parse("+447700900000")


@pytest.fixture
def run_virtual():
    """Run a coroutine in virtual time. A coroutine that never ends is an error."""

    def run(coroutine):
        return virtual_time.run_virtual(asyncio.wait_for(coroutine, 1_000_000))

    return run


class FakeNetwork:
    """A network that answers at once unless `answers` is False."""

    def __init__(self):
        self.registration_state = 1
        self.cause = None
        self.answers = True
        self.acknowledged = []

    def attach(self, station):
        return self.registration_state

    def detach(self, station):
        pass

    def submit(self, station, token, tpdu):
        self.token = token
        if self.answers:
            station.submitted(token, self.cause)

    def acknowledge(self, station, reference, cause):
        self.acknowledged.append((reference, cause))
        if cause is not None:  # the service centre tries again
            asyncio.get_running_loop().call_later(30, self.deliver_again, reference)

    def memory_available(self, station):
        pass


class ModemBench:
    """A simulated module, a network behind it, and a `Modem` in front of it."""

    def __init__(self, device, sim, options):
        near, far = memory_transport_pair()
        self.far = far
        self.near = near
        self.network = FakeNetwork()
        self.options = options
        self.loop = asyncio.get_running_loop()
        self.module = SimulatedModule(
            scheduler=self.loop,
            wall_clock=self.wall_clock,
            network=self.network,
            profile=device,
            sim=sim or SimCard(),
            write=far.write,
        )
        self.reference = 0
        self.messages = {}
        self.network.deliver_again = self.deliver_again
        self.written = []

    async def start(self):
        await self.far.open(self)
        self.module.power_on()
        self.client = await AtClient.open(self.near.open)
        self.modem = Modem(self.client, ModemOptions(**self.options))

    def data_received(self, data):
        """Pass on what the agent writes."""
        self.written.append(data)
        self.module.receive(data)

    def connection_lost(self, reason):
        """Part of the transport protocol."""

    def wall_clock(self):
        return datetime(2026, 11, 22, 1, 2, 3, tzinfo=UTC) + timedelta(
            seconds=self.loop.time() - virtual_time.START_TIME_S
        )

    def deliver(self, text, sender="000", *, minute=0, alphabet=None, data_coding_scheme=None):
        """Deliver a message from the network."""
        (user_data,) = pdu.segment(text)
        extra = {} if data_coding_scheme is None else {"data_coding_scheme": data_coding_scheme}
        message = pdu.Deliver(
            originating_address=pdu.Address.parse(sender),
            service_centre_timestamp=pdu.Timestamp.of(datetime(2026, 11, 22, 12, minute, tzinfo=UTC)),
            user_data=user_data,
            **extra,
        )
        self.deliver_message(message)

    def deliver_message(self, message):
        self.reference += 1
        self.messages[self.reference] = pdu.encode(message, sca=False).octets
        self.deliver_again(self.reference)

    def deliver_again(self, reference):
        if self.module.attached:
            self.module.deliver(reference, CENTRE, self.messages[reference])
        else:
            self.loop.call_later(30, self.deliver_again, reference)

    @property
    def executed_lines(self):
        """The command lines that the module has executed, without AT."""
        return self.module.log.command_lines

    async def settle(self):
        """Wait until everything that is due has happened."""
        await asyncio.sleep(0.01)


@pytest.fixture
def run_modem_bench(run_virtual):
    """Run a test with a simulated module: `run_modem_bench(test, device fields..., sim=..., options=...)`."""

    def run(scenario, *, device=None, sim=None, initialise=True, options=None, **fields):
        async def main():
            bench = ModemBench(device or SimulatorProfile(**fields), sim, options or {})
            await bench.start()
            if initialise:
                bench.status = await bench.modem.initialise()
                bench.executed_lines.clear()
            try:
                return await scenario(bench)
            finally:
                bench.modem.close()
                await bench.settle()

        return run_virtual(main())

    return run


OK = b"\r\nOK\r\n"
ERROR = b"\r\nERROR\r\n"


class ScriptedModule:
    """A module that answers from a table: a command line maps to octets, or to a list of octets and delays.

    A function in the table is called with the line and returns the answer. The keys "body" and "esc" answer
    text entry. A line that is not in the table is answered by ERROR.
    """

    def __init__(self, transport, table):
        self.transport = transport
        self.table = dict(table)
        self.received_lines = []
        self.is_text_entry = False
        self.unfinished = b""

    def data_received(self, data):
        for octet in data:
            if octet == 0x1B or (self.is_text_entry and octet == 0x1A):
                body, self.unfinished, self.is_text_entry = self.unfinished, b"", False
                self.handle("body" if octet == 0x1A else "esc", body)
            elif octet == 0x0D and not self.is_text_entry:
                line, self.unfinished = self.unfinished.decode(), b""
                if line:
                    self.handle(line, b"")
            else:
                self.unfinished += bytes([octet])

    def connection_lost(self, reason):
        """Part of the transport protocol."""

    def handle(self, line, octets):
        self.received_lines.append(f"{line} {octets.decode()}".strip())
        answer = self.table.get(line, None if line == "esc" else ERROR)
        self.reply(answer(line) if callable(answer) else answer)

    def reply(self, answer):
        delay = 0.0
        for part in answer if isinstance(answer, list) else [answer]:
            if isinstance(part, float | int):
                delay += part
            elif part is not None:
                asyncio.get_running_loop().call_later(delay, self.write, part)

    def write(self, data):
        if data.rstrip().endswith(b">"):
            self.is_text_entry = True
        self.transport.write(data)


PLAIN_RESPONSES = {
    "AT": OK,
    "ATE0V1Q0": OK,
    "AT+CMEE=1": OK,
    "AT+CMEE?": b"\r\n+CMEE: 1\r\n" + OK,
    "AT+CFUN?": b"\r\n+CFUN: 1\r\n" + OK,
    "AT+CPIN?": b"\r\n+CPIN: READY\r\n" + OK,
    "AT+CMGF?": b"\r\n+CMGF: 0\r\n" + OK,
    "AT+CMGF=0": OK,
    "AT+CSMS?": b"\r\n+CSMS: 1,1,1,1\r\n" + OK,
    "AT+CPMS?": b'\r\n+CPMS: "ME",0,20,"ME",0,20,"ME",0,20\r\n' + OK,
    "AT+CPMS=?": b'\r\n+CPMS: ("ME","SM"),("ME","SM"),("ME","SM")\r\n' + OK,
    "AT+CNMI?": b"\r\n+CNMI: 2,1,0,0,0\r\n" + OK,
    "AT+CREG?": b"\r\n+CREG: 1,1\r\n" + OK,
    "AT+CSCA?": b'\r\n+CSCA: "+447700900000",145\r\n' + OK,
    "AT+CMGL=4": OK,
}


@pytest.fixture
def run_scripted_modem(run_virtual):
    """Run a test with a scripted module that answers like a plain one except for `table`."""

    def run(scenario, *, initialise=True, options=None, **changes):
        async def main():
            near, far = memory_transport_pair()
            table = PLAIN_RESPONSES | {
                line.replace("_Q", "?"): answer for line, answer in changes.pop("table", {}).items()
            }
            script = ScriptedModule(far, table)
            await far.open(script)
            client = await AtClient.open(near.open)
            modem = Modem(client, ModemOptions(**(options or {})))
            try:
                if initialise:
                    script.status = await modem.initialise()
                    script.received_lines.clear()
                return await scenario(modem, script)
            finally:
                modem.close()
                await asyncio.sleep(0)

        return run_virtual(main())

    return run
