"""Back into step: waking a module, and believing one that marks nothing."""

import asyncio

import pytest

from agent.at.client import AtClient
from agent.at.command import AtCommand, ResponsePattern
from agent.at.errors import CommandTimedOut, ModemLost
from agent.at.transport.memory import memory_transport_pair

OK = b"\r\nOK\r\n"
ERROR = b"\r\nERROR\r\n"
DELETE = AtCommand("AT+CMGD=3", 30)
PIN = AtCommand("AT+CPIN?", 10, (ResponsePattern("+CPIN"),), requires_information=True)


@pytest.fixture
def run_with_module(run_virtual, attach_scripted_module):
    """Run a story with a channel and the module at its other end."""

    def begin(story):
        async def whole():
            near, far = memory_transport_pair()
            module = await attach_scripted_module(far)
            channel = await AtClient.open(near.open)
            try:
                return await story(channel, module)
            finally:
                channel.close()
                await asyncio.sleep(0)

        return run_virtual(whole())

    return begin


def now():
    return asyncio.get_running_loop().time()


def test_a_module_that_is_well(run_with_module):
    """ESC and CR for what may be left over, AT, one mark: less than half a second."""

    async def story(channel, module):
        began = now()
        await channel.wake_module(30)
        assert module.heard == ["esc", "AT", "AT+CMEE?"]
        assert now() - began < 0.5

    run_with_module(story)


def test_a_module_that_answers_no_bare_at(run_with_module):
    """It is known by its answer to a question, and asked one instead of AT after a long silence."""

    async def story(channel, module):
        module.on("AT", None)
        module.on("ATE0Q0V1", None)
        began = now()
        await channel.wake_module(30)
        assert now() - began < 5
        module.heard.clear()
        module.on("AT+CMGD=3", OK)
        await asyncio.sleep(60)
        await channel.exchange(DELETE)
        assert module.heard == ["AT+CMEE?", "AT+CMGD=3"]

    run_with_module(story)


def test_a_module_that_refuses_bare_at(run_with_module):
    """A refusal is an answer."""

    async def story(channel, module):
        module.on("AT", ERROR)
        await channel.wake_module(30)
        assert module.heard == ["esc", "AT", "AT+CMEE?"]

    run_with_module(story)


def test_a_module_that_marks_nothing(run_with_module):
    """One that answers each question with OK or ERROR alone is found out once, then believed."""

    async def story(channel, module):
        module.rules.clear()
        module.on("AT", OK)
        for name in ("+CMEE", "+CSCS"):
            module.on(f"AT{name}?", OK)
        began = now()
        await channel.wake_module(30)
        assert now() - began < 5
        module.on("AT+CPIN?", OK)
        began = now()
        assert (await channel.exchange(PIN)).text == ""
        assert now() - began < 1
        module.on("AT+CPIN?", [OK, 0.1, b"\r\n+CPIN: READY\r\n"])
        assert (await channel.exchange(PIN)).text == "+CPIN: READY"

    run_with_module(story)


def test_a_mute_module(run_with_module):
    """Nothing answers: the channel is lost within the time given."""

    async def story(channel, module):
        module.rules = {line: [None] for line in module.rules}
        for line in ("ATE0Q0V1", "AT+CMGF?", "AT+CSCS?", "AT+CSMS?"):
            module.on(line, None)
        began = now()
        with pytest.raises(ModemLost, match="nothing came back"):
            await channel.wake_module(30)
        assert 20 < now() - began < 40
        assert channel.lost.is_set()
        assert "body" not in " ".join(module.heard)

    run_with_module(story)


def test_a_wire_that_goes_while_waking(run_with_module):
    """It is told at once."""

    async def story(channel, module):
        module.rules = {line: [None] for line in module.rules}
        asyncio.get_running_loop().call_later(3, module.wire.close)
        began = now()
        with pytest.raises(ModemLost):
            await channel.wake_module(30)
        assert now() - began < 3.1

    run_with_module(story)


@pytest.mark.parametrize("tenths", [5, 12, 23, 26, 40])
def test_a_wire_that_goes_on_the_way_back_into_step(run_with_module, tenths):
    """It is told at once, whatever was waited for: the end of the agent may wait for it."""

    async def story(channel, module):
        for line in ("AT+CMGD=3", "AT+CMEE?", "AT+CMGF?", "AT+CSCS?", "AT+CSMS?"):
            module.on(line, None)

        async def chat():
            while True:
                await asyncio.sleep(0.9)
                module.wire.write(OK)

        chatter = asyncio.create_task(chat())
        began = now()
        asyncio.get_running_loop().call_later(1 + tenths / 10, module.wire.close)
        with pytest.raises((ModemLost, CommandTimedOut)):
            await channel.exchange(AtCommand("AT+CMGD=3", 0.8))
        await channel.lost.wait()
        chatter.cancel()
        assert now() - began < 1.1 + tenths / 10

    run_with_module(story)


def test_data_mode_that_is_left(run_with_module):
    """`+++` between silences is answered by OK: the session goes on, and what was heard is forgotten."""

    async def story(channel, module):
        received = module.data_received

        def in_data_mode(data):
            if data == b"+++":
                module.data_received = received
                module.write(OK)

        module.data_received = in_data_mode
        module.write(b'~\xff}#\xc0!}!}!} }4}"}&')
        began = now()
        await channel.wake_module(30)
        assert now() - began > 1
        module.on("AT+CMGD=3", OK)
        await channel.exchange(DELETE)

    run_with_module(story)


def test_a_module_that_restarts_meanwhile(run_with_module):
    """A restart while the line is brought back into step ends in step."""

    async def story(channel, module):
        module.on("AT+CMGD=3", None)
        module.on("AT+CMEE?", [0.5, b"\r\nRDY\r\n"], b"\r\n+CMEE: 0\r\n" + OK)
        module.on("AT+CMGF?", None)
        module.on("AT+CSCS?", None)
        module.on("AT+CSMS?", None)
        with pytest.raises(CommandTimedOut):
            await channel.exchange(DELETE)
        module.on("AT+CMGD=3", OK)
        await channel.exchange(DELETE)

    run_with_module(story)


def test_late_answers_of_questions_are_no_ones_answer(run_with_module):
    """A slow module answers several questions at once: each line is known for what it is."""

    async def story(channel, module):
        module.on("AT+CMGD=3", None)
        module.on("AT+CMEE?", [2.5, b"\r\n+CMEE: 1\r\n" + OK])
        module.on("AT+CMGF?", [1.6, b"\r\n+CMGF: 0\r\n" + OK])
        with pytest.raises(CommandTimedOut):
            await channel.exchange(DELETE)
        module.on("AT+CPIN?", [0.05, b"\r\n+CPIN: READY\r\n" + OK])
        assert (await channel.exchange(PIN)).text == "+CPIN: READY"
        module.on("AT+CMGD=3", [0.05, b"\r\n+CMS ERROR: 321\r\n"])
        with pytest.raises(Exception, match="321"):
            await channel.exchange(DELETE)

    run_with_module(story)


@pytest.mark.parametrize(
    "answer", [[OK + b"\r\n+CREG: 0,1\r\n"], [OK, 0.0, b"\r\n+CREG: 0,1\r\n"]], ids=["in one piece", "in two"]
)
def test_an_answer_that_follows_its_ok(run_with_module, answer):
    """It is the answer and no news, however it is cut: as news it would say that no network is there."""

    async def story(channel, module):
        module.on("AT+CREG?", answer)
        module.on("AT+CMEE?", [0.01, b"\r\n+CMEE: 1\r\n" + OK])
        registration = AtCommand("AT+CREG?", 10, (ResponsePattern("+CREG"),), requires_information=True)
        assert (await channel.exchange(registration)).text == "+CREG: 0,1"
        assert channel.urcs.try_get() is None
        module.on("AT+CMGD=3", OK)
        await channel.exchange(DELETE)

    run_with_module(story)
