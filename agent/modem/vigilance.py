"""Whether the settings of a module still stand. One that restarts silently loses them without a word."""

from __future__ import annotations

import asyncio
from math import inf

from agent.at.channel import Channel
from agent.at.error import CommandRefused
from agent.at.parameters import Values, values
from agent.modem.card import blames, missing
from agent.modem.commands import read, routing
from agent.modem.formats import MessageFormat
from agent.modem.hearing import Hearing
from agent.modem.setup import Setup
from agent.modem.stored import StoredMessage, Undecodable

CHECK_S = 240.0
"""Settings that stood so lately are not looked at again by a sweep. Sweeps come every 300 s."""


class Vigil:
    """Looks at the settings when it is time for it. What is lost is told as news, once."""

    def __init__(
        self, channel: Channel, setup: Setup, message_format: MessageFormat, hearing: Hearing
    ) -> None:
        self._channel = channel
        self._setup = setup
        self._format = message_format
        self._hearing = hearing
        self._loop = asyncio.get_running_loop()
        self._looked_at = 0.0
        self.card_refuses = False
        """Whether the last sweep was refused for the sake of a SIM that is not missing."""
        self.store_refuses = ""
        """Why the last sweep was refused, where it was not for that."""

    def looked(self) -> None:
        """They have just been set up."""
        self._looked_at = self._loop.time()

    def doubt(self) -> None:
        """Something may have changed them: the next sweep looks."""
        self._looked_at -= CHECK_S

    async def stands(self, seconds: float) -> bool:
        """Whether the module is as it was set up; looks if that was not done for so long.

        Raises CommandTimedOut, ModemLost.
        """
        now = self._loop.time()
        if not self._hearing.restarted and now - self._looked_at >= seconds:
            self._looked_at = now
            if how := await drifted(self._channel, self._setup, self._format):
                self.settings_lost(how)
        return not self._hearing.restarted

    async def believes(self, messages: list[StoredMessage]) -> bool:
        """Whether what cannot be read is really so: in the other message format nothing could be read.

        Raises as `stands` does.
        """
        doubtful = any(isinstance(message.message, Undecodable) for message in messages)
        return await self.stands(0 if doubtful else inf)

    async def card_gone(self) -> bool:
        """Whether the SIM is: told as news, too, for setting the module up again waits for it.

        Raises as `stands` does.
        """
        if how := await missing(self._channel):
            self.settings_lost(how)
        return bool(how)

    def refused(self, error: CommandRefused) -> None:
        """A sweep was, though the SIM is there. That is no news; whoever looks after the module is woken."""
        self._fares(card=blames(error), why=str(error))

    def answered(self) -> None:
        """A sweep was."""
        self._fares(card=False, why="")

    def _fares(self, *, card: bool, why: str) -> None:
        """Wake whoever looks after the module where something begins or ends, and for each busy SIM."""
        before = self.card_refuses, bool(self.store_refuses)
        self.card_refuses, self.store_refuses = card, "" if card else why
        if card or before != (self.card_refuses, bool(self.store_refuses)):
            self._hearing.moved.set()

    def settings_lost(self, how: str) -> None:
        """Tell it as news: whoever hears it initialises the module again."""
        self._channel.news.put(self._hearing.settings_lost(how))


async def drifted(channel: Channel, setup: Setup, message_format: MessageFormat) -> str:
    """Compare what matters with what was set up; what differs, empty if nothing does.

    What the module refused to tell at first is not asked. Raises CommandTimedOut, ModemLost.
    """
    found = await _read(channel, "+CMGF")
    if found and found.at(0).number != message_format.code:
        return f"+CMGF: {found.at(0).text}"
    for name, agreed in message_format.agreed.items():
        found = await _read(channel, name)
        if found and message_format.string(found.at(0).text).upper() != agreed:
            return f"{name}: {found.at(0).text}"
    found = await _read(channel, "+CNMI") if setup.routing else Values()
    if found and (found.at(0).number, found.at(1).number) != setup.routing[:2]:
        return f"+CNMI: {','.join(value.text for value in found)}"
    found = await _read(channel, "+CPMS") if setup.memories else Values()
    if found:
        # <mem1> is what was read last; the other two stay as they were set.
        setup.selected = found.at(0).text.upper()
        names = {found.at(at).text.upper() for at in setup.memories[1:]}
        if not names <= {setup.store}:
            return f"+CPMS: {','.join(sorted(names))}"
    return ""


async def _read(channel: Channel, name: str) -> Values:
    try:
        return values((await channel.exchange(read(name))).text)
    except CommandRefused:
        return Values()


async def route_again(channel: Channel, setup: Setup) -> None:
    """Set +CNMI as it was agreed: some modules switch it off, or tell only the port that set it last."""
    if setup.routing:
        await channel.exchange(routing(setup.routing))
