"""Resynchronisation, and the waking of a module in an unknown state."""

import asyncio

import pytest
from memory_transport import memory_transport_pair

from agent.at.client import AtClient
from agent.at.command import AtCommand, ResponsePattern
from agent.at.errors import CommandTimedOut, ModemLost

OK = b"\r\nOK\r\n"
ERROR = b"\r\nERROR\r\n"
DELETE = AtCommand("AT+CMGD=3", 30)
PIN = AtCommand("AT+CPIN?", 10, (ResponsePattern("+CPIN"),), requires_information=True)


@pytest.fixture
def run_with_module(run_virtual, attach_scripted_module):
    """Run a scenario with a client and a scripted module."""

    def begin(scenario):
        async def run():
            near, far = memory_transport_pair()
            module = await attach_scripted_module(far)
            client = await AtClient.open(near.open)
            try:
                return await scenario(client, module)
            finally:
                client.close()
                await asyncio.sleep(0)

        return run_virtual(run())

    return begin


def now():
    return asyncio.get_running_loop().time()


def test_ready_module_wakes_at_once(run_with_module):
    """ESC and CR for leftover input, AT, one query: less than half a second."""

    async def scenario(client, module):
        began = now()
        await client.wake_module(30)
        assert module.received == ["esc", "AT", "AT+CMEE?"]
        assert now() - began < 0.5

    run_with_module(scenario)


def test_module_without_bare_at_is_probed_by_query(run_with_module):
    """It is found by its answer to a query, and later probed by a query instead of AT."""

    async def scenario(client, module):
        module.on("AT", None)
        module.on("ATE0Q0V1", None)
        began = now()
        await client.wake_module(30)
        assert now() - began < 5
        module.received.clear()
        module.on("AT+CMGD=3", OK)
        await asyncio.sleep(60)
        await client.exchange(DELETE)
        assert module.received == ["AT+CMEE?", "AT+CMGD=3"]

    run_with_module(scenario)


def test_refused_bare_at_is_an_answer(run_with_module):
    """A module that answers AT by ERROR is awake."""

    async def scenario(client, module):
        module.on("AT", ERROR)
        await client.wake_module(30)
        assert module.received == ["esc", "AT", "AT+CMEE?"]

    run_with_module(scenario)


def test_module_without_markers_is_assumed_synchronised(run_with_module):
    """A module that answers each query by OK or ERROR alone is detected once."""

    async def scenario(client, module):
        module.rules.clear()
        module.on("AT", OK)
        for name in ("+CMEE", "+CSCS"):
            module.on(f"AT{name}?", OK)
        began = now()
        await client.wake_module(30)
        assert now() - began < 5
        module.on("AT+CPIN?", OK)
        began = now()
        assert (await client.exchange(PIN)).text == ""
        assert now() - began < 1
        module.on("AT+CPIN?", [OK, 0.1, b"\r\n+CPIN: READY\r\n"])
        assert (await client.exchange(PIN)).text == "+CPIN: READY"

    run_with_module(scenario)


def test_silent_module_is_lost_within_the_timeout(run_with_module):
    """Nothing is answered: the connection is lost, and nothing like Ctrl-Z is written."""

    async def scenario(client, module):
        module.rules = {line: [None] for line in module.rules}
        for line in ("ATE0Q0V1", "AT+CMGF?", "AT+CSCS?", "AT+CSMS?"):
            module.on(line, None)
        began = now()
        with pytest.raises(ModemLost, match="nothing came back"):
            await client.wake_module(30)
        assert 20 < now() - began < 40
        assert client.lost.is_set()
        assert "body" not in " ".join(module.received)

    run_with_module(scenario)


def test_transport_lost_while_waking(run_with_module):
    """The loss is raised at once."""

    async def scenario(client, module):
        module.rules = {line: [None] for line in module.rules}
        asyncio.get_running_loop().call_later(3, module.transport.close)
        began = now()
        with pytest.raises(ModemLost):
            await client.wake_module(30)
        assert now() - began < 3.1

    run_with_module(scenario)


@pytest.mark.parametrize("tenths", [5, 12, 23, 26, 40])
def test_transport_lost_while_resynchronising(run_with_module, tenths):
    """The loss is raised at once in every phase, because the end of the agent may wait for it."""

    async def scenario(client, module):
        for line in ("AT+CMGD=3", "AT+CMEE?", "AT+CMGF?", "AT+CSCS?", "AT+CSMS?"):
            module.on(line, None)

        async def chat():
            while True:
                await asyncio.sleep(0.9)
                module.transport.write(OK)

        chatter = asyncio.create_task(chat())
        began = now()
        asyncio.get_running_loop().call_later(1 + tenths / 10, module.transport.close)
        with pytest.raises((ModemLost, CommandTimedOut)):
            await client.exchange(AtCommand("AT+CMGD=3", 0.8))
        await client.lost.wait()
        chatter.cancel()
        assert now() - began < 1.1 + tenths / 10

    run_with_module(scenario)


def test_data_mode_is_left(run_with_module):
    """`+++` between guard times is answered by OK, and the session works."""

    async def scenario(client, module):
        received = module.data_received

        def in_data_mode(data):
            if data == b"+++":
                module.data_received = received
                module.write(OK)

        module.data_received = in_data_mode
        module.write(b'~\xff}#\xc0!}!}!} }4}"}&')
        began = now()
        await client.wake_module(30)
        assert now() - began > 1
        module.on("AT+CMGD=3", OK)
        await client.exchange(DELETE)

    run_with_module(scenario)


def test_restart_while_resynchronising(run_with_module):
    """The module answers the next query, and the session works."""

    async def scenario(client, module):
        module.on("AT+CMGD=3", None)
        module.on("AT+CMEE?", [0.5, b"\r\nRDY\r\n"], b"\r\n+CMEE: 0\r\n" + OK)
        module.on("AT+CMGF?", None)
        module.on("AT+CSCS?", None)
        module.on("AT+CSMS?", None)
        with pytest.raises(CommandTimedOut):
            await client.exchange(DELETE)
        module.on("AT+CMGD=3", OK)
        await client.exchange(DELETE)

    run_with_module(scenario)


def test_late_answers_to_queries_are_attributed(run_with_module):
    """A slow module answers several queries at once: none of the lines answers a command."""

    async def scenario(client, module):
        module.on("AT+CMGD=3", None)
        module.on("AT+CMEE?", [2.5, b"\r\n+CMEE: 1\r\n" + OK])
        module.on("AT+CMGF?", [1.6, b"\r\n+CMGF: 0\r\n" + OK])
        with pytest.raises(CommandTimedOut):
            await client.exchange(DELETE)
        module.on("AT+CPIN?", [0.05, b"\r\n+CPIN: READY\r\n" + OK])
        assert (await client.exchange(PIN)).text == "+CPIN: READY"
        module.on("AT+CMGD=3", [0.05, b"\r\n+CMS ERROR: 321\r\n"])
        with pytest.raises(Exception, match="321"):
            await client.exchange(DELETE)

    run_with_module(scenario)


@pytest.mark.parametrize(
    "answer", [[OK + b"\r\n+CREG: 0,1\r\n"], [OK, 0.0, b"\r\n+CREG: 0,1\r\n"]], ids=["in one piece", "in two"]
)
def test_answer_after_its_ok_is_not_a_urc(run_with_module, answer):
    """It is returned as the answer however the bytes are cut; as a URC it would report a lost network."""

    async def scenario(client, module):
        module.on("AT+CREG?", answer)
        module.on("AT+CMEE?", [0.01, b"\r\n+CMEE: 1\r\n" + OK])
        registration = AtCommand("AT+CREG?", 10, (ResponsePattern("+CREG"),), requires_information=True)
        assert (await client.exchange(registration)).text == "+CREG: 0,1"
        assert client.urcs.try_get() is None
        module.on("AT+CMGD=3", OK)
        await client.exchange(DELETE)

    run_with_module(scenario)
