"""Modules that sleep and lose the first octets after a silence; those that do not are not bothered."""

import asyncio

import pytest

from agent.at.channel import Channel
from agent.at.command import Answer, AtCommand
from agent.at.error import CommandRefused, CommandTimedOut
from agent.at.memory_wire import memory_pair

OK = b"\r\nOK\r\n"
ERROR = b"\r\nERROR\r\n"
DELETE = AtCommand("AT+CMGD=3", 5.0)
READ = AtCommand("AT+CSQ", 5.0, (Answer("+CSQ"),), informs=True)
SIGNAL = b"\r\n+CSQ: 21,99\r\n" + OK


def now():
    return asyncio.get_running_loop().time()


class Sleeper:
    """Puts itself before a module: after so many seconds without an octet from us the next four are lost."""

    def __init__(self, module, seconds, *, complains):
        self.module, self.seconds, self.complains = module, seconds, complains
        self.spoken_at = now()
        self.misses = []

    def received(self, data):
        asleep = now() - self.spoken_at > self.seconds
        self.spoken_at = now()
        if asleep:
            self.misses.append(data)
            data = data[4:]
            if self.complains and data:
                self.module.write(ERROR)
            data = b""  # what does not begin with AT is no command line
        self.module.received(data)

    def hung_up(self, reason):
        self.module.hung_up(reason)


@pytest.fixture
def talk(run, module_on):
    """A channel and a module; `seconds`: it sleeps after so long."""

    def begin(story, seconds=None, *, complains=False):
        async def whole():
            near, far = memory_pair()
            module = await module_on(far)
            module.on("AT+CMGD=3", OK)
            module.on("AT+CSQ", SIGNAL)
            if seconds is not None:
                sleeper = Sleeper(module, seconds, complains=complains)
                await far.open(sleeper)
                module.sleeper = sleeper
            channel = await Channel.open(near.open)
            try:
                await story(channel, module)
            finally:
                channel.close()

        run(whole())

    return begin


def test_a_module_that_does_not_sleep_is_not_bothered(talk):
    """An AT after a silence longer than all before, and never for one that was tried."""

    async def story(channel, module):
        for _ in range(50):
            await asyncio.sleep(300)
            await channel.exchange(DELETE)
        assert module.heard.count("AT") == 1
        await asyncio.sleep(100)
        await channel.exchange(DELETE)
        assert module.heard.count("AT") == 1

    talk(story)


def test_news_are_followed_at_once(talk):
    """On a module of which nothing else is known, one that has just spoken is awake."""

    async def story(channel, module):
        await asyncio.sleep(40)
        module.write(b'\r\n+CMTI: "ME",3\r\n')
        await channel.news.next()
        await channel.exchange(DELETE)
        assert module.heard == ["AT+CMGD=3"]

    talk(story)


@pytest.mark.parametrize("complains", [False, True])
def test_what_a_sleeper_loses_is_a_bare_at(talk, complains):
    """Nothing with effects is ever the first after a silence; losing it costs a second or two."""

    async def story(channel, module):
        for _ in range(5):
            await asyncio.sleep(40)
            began = now()
            await channel.exchange(DELETE)
            assert now() - began < 3
        assert module.sleeper.misses == [b"AT\r"] * 5
        assert module.heard.count("AT+CMGD=3") == 5

    talk(story, 30, complains=complains)


@pytest.mark.parametrize("complains", [False, True])
def test_one_that_tells_of_a_message_and_sleeps_on(talk, complains):
    """The first question after its news is lost: it is asked again, and from then on an AT goes ahead."""

    async def story(channel, module):
        for _ in range(3):
            await asyncio.sleep(40)
            module.write(b'\r\n+CMTI: "ME",3\r\n')
            await channel.news.next()
            assert (await channel.exchange(READ)).text == "+CSQ: 21,99"
        assert module.sleeper.misses == [b"AT+CSQ\r", b"AT\r", b"AT\r"]

    talk(story, 30, complains=complains)


def test_a_refusal_after_a_silence_is_believed_the_second_time(talk):
    """ERROR may be all that arrived of a command; a module that says it again means it."""

    async def story(channel, module):
        module.on("AT+CMGD=3", ERROR)
        await asyncio.sleep(40)
        module.write(b'\r\n+CMTI: "ME",3\r\n')
        await channel.news.next()
        with pytest.raises(CommandRefused):
            await channel.exchange(DELETE)
        assert module.heard == ["AT+CMGD=3", "AT+CMGD=3"]
        module.on("AT+CMGD=3", OK)
        module.write(b'\r\n+CMTI: "ME",4\r\n')
        await channel.exchange(DELETE)
        assert module.heard[2:] == ["AT+CMGD=3"]

    talk(story)


@pytest.mark.parametrize(
    "command", [AtCommand('AT+CPIN="9999"', 5.0, once=True), AtCommand.raw('AT+CPIN="9999"', 5.0)]
)
def test_what_a_refusal_may_cost_is_not_repeated(talk, command):
    """A PIN, or what a person typed: ERROR is believed, whatever went before."""

    async def story(channel, module):
        module.on(command.line, ERROR)
        await asyncio.sleep(40)
        module.write(b'\r\n+CMTI: "ME",3\r\n')
        await channel.news.next()
        with pytest.raises(CommandRefused):
            await channel.exchange(command)
        assert module.heard == [command.line]

    talk(story)


def test_a_delete_without_an_answer_is_not_repeated(talk):
    """Nobody knows whether it was carried out; whoever asked must look."""

    async def story(channel, module):
        module.on("AT+CMGD=3", None, OK)
        await asyncio.sleep(40)
        module.write(b'\r\n+CMTI: "ME",3\r\n')
        await channel.news.next()
        with pytest.raises(CommandTimedOut):
            await channel.exchange(DELETE)
        assert module.heard.count("AT+CMGD=3") == 1

    talk(story)


def test_a_module_that_hears_half_an_at(talk):
    """It says ERROR to it, which does not show that it was awake: an AT goes ahead the next time too."""

    async def story(channel, module):
        module.on("AT", ERROR, OK)
        await asyncio.sleep(40)
        await channel.exchange(DELETE)
        await asyncio.sleep(30)
        await channel.exchange(DELETE)
        assert module.heard == ["AT", "AT+CMGD=3"] * 2

    talk(story)
