"""Modules that sleep and lose the first octets after a silence."""

import asyncio

import pytest
from memory_transport import memory_transport_pair

from agent.at.client import AtClient
from agent.at.command import AtCommand, ResponsePattern
from agent.at.errors import CommandRefused, CommandTimedOut

OK = b"\r\nOK\r\n"
ERROR = b"\r\nERROR\r\n"
DELETE = AtCommand("AT+CMGD=3", 5.0)
READ = AtCommand("AT+CSQ", 5.0, (ResponsePattern("+CSQ"),), requires_information=True)
SIGNAL = b"\r\n+CSQ: 21,99\r\n" + OK


def now():
    return asyncio.get_running_loop().time()


class SleepingModule:
    """A module in front of another one that loses four octets after so many seconds without input."""

    def __init__(self, module, seconds, *, complains):
        self.module, self.seconds, self.complains = module, seconds, complains
        self.received_at = now()
        self.misses = []

    def data_received(self, data):
        asleep = now() - self.received_at > self.seconds
        self.received_at = now()
        if asleep:
            self.misses.append(data)
            data = data[4:]
            if self.complains and data:
                self.module.write(ERROR)
            data = b""  # what does not begin with AT is not a command line
        self.module.data_received(data)

    def connection_lost(self, reason):
        self.module.connection_lost(reason)


@pytest.fixture
def run_with_module(run_virtual, attach_scripted_module):
    """Run a scenario with a client and a module that sleeps after `seconds`, if given."""

    def begin(scenario, seconds=None, *, complains=False):
        async def run():
            near, far = memory_transport_pair()
            module = await attach_scripted_module(far)
            module.on("AT+CMGD=3", OK)
            module.on("AT+CSQ", SIGNAL)
            if seconds is not None:
                sleeper = SleepingModule(module, seconds, complains=complains)
                await far.open(sleeper)
                module.sleeper = sleeper
            client = await AtClient.open(near.open)
            try:
                await scenario(client, module)
            finally:
                client.close()

        run_virtual(run())

    return begin


def test_awake_module_is_probed_once_per_silence_length(run_with_module):
    """An AT is written after a silence longer than all before, and not after a shorter one."""

    async def scenario(client, module):
        for _ in range(50):
            await asyncio.sleep(300)
            await client.exchange(DELETE)
        assert module.received.count("AT") == 1
        await asyncio.sleep(100)
        await client.exchange(DELETE)
        assert module.received.count("AT") == 1

    run_with_module(scenario)


def test_command_after_urc_is_not_delayed(run_with_module):
    """A module that has just sent a URC counts as awake."""

    async def scenario(client, module):
        await asyncio.sleep(40)
        module.write(b'\r\n+CMTI: "ME",3\r\n')
        await client.urcs.get()
        await client.exchange(DELETE)
        assert module.received == ["AT+CMGD=3"]

    run_with_module(scenario)


@pytest.mark.parametrize("complains", [False, True])
def test_sleeping_module_loses_only_a_bare_at(run_with_module, complains):
    """No command with effects is the first after a silence; losing the AT costs two seconds."""

    async def scenario(client, module):
        for _ in range(5):
            await asyncio.sleep(40)
            began = now()
            await client.exchange(DELETE)
            assert now() - began < 3
        assert module.sleeper.misses == [b"AT\r"] * 5
        assert module.received.count("AT+CMGD=3") == 5

    run_with_module(scenario, 30, complains=complains)


@pytest.mark.parametrize("complains", [False, True])
def test_query_lost_after_urc_is_repeated(run_with_module, complains):
    """The first query after the URC is lost and repeated; from then on an AT is written first."""

    async def scenario(client, module):
        for _ in range(3):
            await asyncio.sleep(40)
            module.write(b'\r\n+CMTI: "ME",3\r\n')
            await client.urcs.get()
            assert (await client.exchange(READ)).text == "+CSQ: 21,99"
        assert module.sleeper.misses == [b"AT+CSQ\r", b"AT\r", b"AT\r"]

    run_with_module(scenario, 30, complains=complains)


def test_error_after_silence_is_retried_once(run_with_module):
    """ERROR may be the answer to a part of the command; the second ERROR counts."""

    async def scenario(client, module):
        module.on("AT+CMGD=3", ERROR)
        await asyncio.sleep(40)
        module.write(b'\r\n+CMTI: "ME",3\r\n')
        await client.urcs.get()
        with pytest.raises(CommandRefused):
            await client.exchange(DELETE)
        assert module.received == ["AT+CMGD=3", "AT+CMGD=3"]
        module.on("AT+CMGD=3", OK)
        module.write(b'\r\n+CMTI: "ME",4\r\n')
        await client.exchange(DELETE)
        assert module.received[2:] == ["AT+CMGD=3"]

    run_with_module(scenario)


@pytest.mark.parametrize(
    "command",
    [AtCommand('AT+CPIN="9999"', 5.0, no_retry=True), AtCommand.from_user_input('AT+CPIN="9999"', 5.0)],
)
def test_command_with_no_retry_is_not_repeated(run_with_module, command):
    """For a PIN, or a command that an operator typed, the first ERROR counts."""

    async def scenario(client, module):
        module.on(command.line, ERROR)
        await asyncio.sleep(40)
        module.write(b'\r\n+CMTI: "ME",3\r\n')
        await client.urcs.get()
        with pytest.raises(CommandRefused):
            await client.exchange(command)
        assert module.received == [command.line]

    run_with_module(scenario)


def test_unanswered_delete_is_not_repeated(run_with_module):
    """Its outcome is unknown: the caller must read the slot."""

    async def scenario(client, module):
        module.on("AT+CMGD=3", None, OK)
        await asyncio.sleep(40)
        module.write(b'\r\n+CMTI: "ME",3\r\n')
        await client.urcs.get()
        with pytest.raises(CommandTimedOut):
            await client.exchange(DELETE)
        assert module.received.count("AT+CMGD=3") == 1

    run_with_module(scenario)


def test_error_to_the_probe_does_not_prove_awake(run_with_module):
    """An ERROR answers a part of an AT: the next silence begins with an AT again."""

    async def scenario(client, module):
        module.on("AT", ERROR, OK)
        await asyncio.sleep(40)
        await client.exchange(DELETE)
        await asyncio.sleep(30)
        await client.exchange(DELETE)
        assert module.received == ["AT", "AT+CMGD=3"] * 2

    run_with_module(scenario)
