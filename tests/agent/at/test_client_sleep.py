"""Modules that sleep and lose the first octets after a silence; those that do not are not bothered."""

import asyncio

import pytest

from agent.at.client import AtClient
from agent.at.command import AtCommand, ResponsePattern
from agent.at.errors import CommandRefused, CommandTimedOut
from agent.at.transport.memory import memory_transport_pair

OK = b"\r\nOK\r\n"
ERROR = b"\r\nERROR\r\n"
DELETE = AtCommand("AT+CMGD=3", 5.0)
READ = AtCommand("AT+CSQ", 5.0, (ResponsePattern("+CSQ"),), requires_information=True)
SIGNAL = b"\r\n+CSQ: 21,99\r\n" + OK


def now():
    return asyncio.get_running_loop().time()


class SleepingModule:
    """Puts itself before a module: after so many seconds without an octet from us the next four are lost."""

    def __init__(self, module, seconds, *, complains):
        self.module, self.seconds, self.complains = module, seconds, complains
        self.spoken_at = now()
        self.misses = []

    def data_received(self, data):
        asleep = now() - self.spoken_at > self.seconds
        self.spoken_at = now()
        if asleep:
            self.misses.append(data)
            data = data[4:]
            if self.complains and data:
                self.module.write(ERROR)
            data = b""  # what does not begin with AT is no command line
        self.module.data_received(data)

    def connection_lost(self, reason):
        self.module.connection_lost(reason)


@pytest.fixture
def run_with_module(run_virtual, attach_scripted_module):
    """A channel and a module; `seconds`: it sleeps after so long."""

    def begin(story, seconds=None, *, complains=False):
        async def whole():
            near, far = memory_transport_pair()
            module = await attach_scripted_module(far)
            module.on("AT+CMGD=3", OK)
            module.on("AT+CSQ", SIGNAL)
            if seconds is not None:
                sleeper = SleepingModule(module, seconds, complains=complains)
                await far.open(sleeper)
                module.sleeper = sleeper
            channel = await AtClient.open(near.open)
            try:
                await story(channel, module)
            finally:
                channel.close()

        run_virtual(whole())

    return begin


def test_a_module_that_does_not_sleep_is_not_bothered(run_with_module):
    """An AT after a silence longer than all before, and never for one that was tried."""

    async def story(channel, module):
        for _ in range(50):
            await asyncio.sleep(300)
            await channel.exchange(DELETE)
        assert module.heard.count("AT") == 1
        await asyncio.sleep(100)
        await channel.exchange(DELETE)
        assert module.heard.count("AT") == 1

    run_with_module(story)


def test_news_are_followed_at_once(run_with_module):
    """On a module of which nothing else is known, one that has just spoken is awake."""

    async def story(channel, module):
        await asyncio.sleep(40)
        module.write(b'\r\n+CMTI: "ME",3\r\n')
        await channel.urcs.get()
        await channel.exchange(DELETE)
        assert module.heard == ["AT+CMGD=3"]

    run_with_module(story)


@pytest.mark.parametrize("complains", [False, True])
def test_what_a_sleeper_loses_is_a_bare_at(run_with_module, complains):
    """Nothing with effects is ever the first after a silence; losing it costs a second or two."""

    async def story(channel, module):
        for _ in range(5):
            await asyncio.sleep(40)
            began = now()
            await channel.exchange(DELETE)
            assert now() - began < 3
        assert module.sleeper.misses == [b"AT\r"] * 5
        assert module.heard.count("AT+CMGD=3") == 5

    run_with_module(story, 30, complains=complains)


@pytest.mark.parametrize("complains", [False, True])
def test_one_that_tells_of_a_message_and_sleeps_on(run_with_module, complains):
    """The first question after its news is lost: it is asked again, and from then on an AT goes ahead."""

    async def story(channel, module):
        for _ in range(3):
            await asyncio.sleep(40)
            module.write(b'\r\n+CMTI: "ME",3\r\n')
            await channel.urcs.get()
            assert (await channel.exchange(READ)).text == "+CSQ: 21,99"
        assert module.sleeper.misses == [b"AT+CSQ\r", b"AT\r", b"AT\r"]

    run_with_module(story, 30, complains=complains)


def test_a_refusal_after_a_silence_is_believed_the_second_time(run_with_module):
    """ERROR may be all that arrived of a command; a module that says it again means it."""

    async def story(channel, module):
        module.on("AT+CMGD=3", ERROR)
        await asyncio.sleep(40)
        module.write(b'\r\n+CMTI: "ME",3\r\n')
        await channel.urcs.get()
        with pytest.raises(CommandRefused):
            await channel.exchange(DELETE)
        assert module.heard == ["AT+CMGD=3", "AT+CMGD=3"]
        module.on("AT+CMGD=3", OK)
        module.write(b'\r\n+CMTI: "ME",4\r\n')
        await channel.exchange(DELETE)
        assert module.heard[2:] == ["AT+CMGD=3"]

    run_with_module(story)


@pytest.mark.parametrize(
    "command",
    [AtCommand('AT+CPIN="9999"', 5.0, no_retry=True), AtCommand.from_user_input('AT+CPIN="9999"', 5.0)],
)
def test_what_a_refusal_may_cost_is_not_repeated(run_with_module, command):
    """A PIN, or what a person typed: ERROR is believed, whatever went before."""

    async def story(channel, module):
        module.on(command.line, ERROR)
        await asyncio.sleep(40)
        module.write(b'\r\n+CMTI: "ME",3\r\n')
        await channel.urcs.get()
        with pytest.raises(CommandRefused):
            await channel.exchange(command)
        assert module.heard == [command.line]

    run_with_module(story)


def test_a_delete_without_an_answer_is_not_repeated(run_with_module):
    """Nobody knows whether it was carried out; whoever asked must look."""

    async def story(channel, module):
        module.on("AT+CMGD=3", None, OK)
        await asyncio.sleep(40)
        module.write(b'\r\n+CMTI: "ME",3\r\n')
        await channel.urcs.get()
        with pytest.raises(CommandTimedOut):
            await channel.exchange(DELETE)
        assert module.heard.count("AT+CMGD=3") == 1

    run_with_module(story)


def test_a_module_that_hears_half_an_at(run_with_module):
    """It says ERROR to it, which does not show that it was awake: an AT goes ahead the next time too."""

    async def story(channel, module):
        module.on("AT", ERROR, OK)
        await asyncio.sleep(40)
        await channel.exchange(DELETE)
        await asyncio.sleep(30)
        await channel.exchange(DELETE)
        assert module.heard == ["AT", "AT+CMGD=3"] * 2

    run_with_module(story)
