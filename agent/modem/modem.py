"""One module over one channel: the door of this package.

modem = Modem(await Channel.open(opener("/dev/ttyUSB2")))
condition = await modem.initialise()
for message in await modem.sweep():
    ...
"""

from __future__ import annotations

import asyncio
from math import inf

import pdu
from agent.at.channel import BeforeBody, Channel
from agent.at.command import AtCommand
from agent.at.error import CommandRefused, CommandTimedOut, ModemLost
from agent.at.news import OVERFLOW
from agent.modem.acknowledging import Acknowledging
from agent.modem.card import Holder
from agent.modem.error import ModemUnusable
from agent.modem.formats import SEND_S, MessageFormat, PduFormat
from agent.modem.hearing import Hearing
from agent.modem.news import Arrived, News, ReportStored, StoreFull
from agent.modem.preparing import Preparation
from agent.modem.remedies import cycle_radio, reselect, restart
from agent.modem.sending import NotSent, Outcome, prepare, send
from agent.modem.setup import Condition, Setup, condition
from agent.modem.state import (
    Identity,
    Registration,
    Signal,
    read_identity,
    read_registration,
    read_signal,
)
from agent.modem.storage import Storage
from agent.modem.stored import NOWHERE, Slot, StoredMessage
from agent.modem.text_format import TextFormat
from agent.modem.vigilance import CHECK_S, Vigil, route_again
from hardware.identify import GENERIC, Place
from hardware.profile import DriverProfile

__all__ = ["Modem", "ModemUnusable"]

MISSED_S = 25.0
"""What an agent before us did not acknowledge makes the module switch direct delivery off after up to 17 s
(27.005 3.4.4; [MT]), which may be after we have found it on."""
RAW_S = 180.0
"""A scan for networks may take so long (+COPS=?)."""

FORMATS: dict[str, type[MessageFormat]] = {"pdu": PduFormat, "text": TextFormat}


class Modem:
    """A module that receives and sends messages."""

    def __init__(
        self,
        channel: Channel,
        message_format: str = "pdu",
        *,
        status_reports: bool = False,
        send_timeout_s: float = SEND_S,
        profile: str = GENERIC,
        place: Place | None = None,
        holder: Holder | None = None,
    ) -> None:
        """`status_reports`: ask the module to pass them on; `send_timeout_s`: from a body to its result.

        `profile`: the name of the one to drive it by, "auto" to find it; `place`: what its port tells of it;
        `holder`: what is known of its SIM.

        Raises ModemUnusable for a message format that is not known.
        """
        if message_format not in FORMATS:
            raise ModemUnusable(f"message format {message_format!r} is not known, only {', '.join(FORMATS)}")
        place, holder = place or Place(), holder or Holder()
        self._memory = holder.memory
        self._channel = channel
        self._format = FORMATS[message_format]()
        self._setup = Setup(reports=status_reports, role=place.role)
        self._storage = Storage(channel, self._setup, self._format)
        acknowledging = Acknowledging(channel, self._setup, self._format)
        self._hearing = Hearing(channel.news, self._setup, self._format, acknowledging.acknowledge)
        self._vigil = Vigil(channel, self._setup, self._format, self._hearing)
        self._preparation = Preparation(
            channel,
            self._setup,
            self._format,
            self._hearing,
            acknowledging,
            profile=profile,
            place=place,
            holder=holder,
            send_timeout_s=send_timeout_s,
        )
        channel.news.door = self._hearing.door
        channel.announce(self._format.announced)

    # Getting ready

    async def initialise(self) -> Condition:
        """Negotiate all settings; also after the module has restarted.

        Raises ModemUnusable with a sentence where the module cannot do the work, ModemLost where it does
        not answer. Waits for a module that is still reading its SIM, more than a minute if need be.
        """
        await self._preparation.run()
        self._vigil.looked()
        if self._setup.service and self._setup.hands_over:
            asyncio.get_running_loop().call_later(MISSED_S, self._channel.news.put, OVERFLOW)
        self._storage.visit_all()
        return self.condition

    @property
    def driver(self) -> DriverProfile:
        """How this module is driven: the table of its profile; that of the plain module until it is known."""
        return self._setup.driver

    @property
    def condition(self) -> Condition:
        """What was negotiated and tolerated, as it stands now."""
        return condition(self._setup, notifies=self.notifies)

    # Receiving

    async def sweep(self, store: str | None = None) -> list[StoredMessage]:
        """Every received message in every store that receives, or in the one that is named.

        Ordered by service centre time stamp, then slot. Nothing while the module waits to be initialised
        again. Raises CommandRefused, CommandTimedOut, ModemLost.
        """
        if not await self._vigil.stands(CHECK_S if store is None else inf):
            return []
        if await self._preparation.initialisation.stores.clear_up():
            self._storage.visit_all()
            self._hearing.forget()
        try:
            messages = await self._storage.sweep(store)
        except CommandRefused as error:
            if not await self._vigil.stands(0) or await self._vigil.card_gone():
                return []
            self._vigil.refused(error)
            raise
        if self._storage.unlisted and not messages and await self._vigil.card_gone():
            return []
        self._vigil.answered()
        if not await self._vigil.believes(messages):
            return []
        if store is None and self._setup.stores_messages and self._hearing.found(messages):
            # Modules tell only the port that set +CNMI last, and some forget it (modules.md 0).
            await route_again(self._channel, self._setup)
        return messages

    async def read(self, slot: Slot) -> StoredMessage | None:
        """The received message in a slot, None where there is none. Raises as `sweep` does."""
        if self._hearing.restarted:
            raise CommandTimedOut("", f"{slot} cannot be read now: the module has restarted")
        message = await self._storage.read(slot)
        if message is not None and not await self._vigil.believes([message]):
            raise CommandTimedOut("", f"{slot} cannot be read now: the module has lost its settings")
        return message

    async def delete(self, slot: Slot) -> None:
        """Delete one message. After CommandTimedOut nobody knows: read the slot again."""
        await self._storage.delete(slot)

    @property
    def notifies(self) -> bool:
        """Whether the module tells of messages; False: only looking finds them."""
        return self._setup.notified and not self._hearing.silent

    @property
    def doubts(self) -> bool:
        """Whether messages were found of which it has not told, or not yet."""
        return self._hearing.doubts

    @property
    def restarted(self) -> bool:
        """Whether it waits to be initialised again: until then a sweep says nothing about what it holds."""
        return self._hearing.restarted

    # Sending

    async def send(self, submit: pdu.Submit, before_body: BeforeBody) -> Outcome:
        """Send one message. Raises PduError for one that cannot be encoded, and what `before_body` raises."""
        setting = self._format.prepare(submit)
        command = self._format.submit(submit, self._preparation.send_timeout_s)
        if not self._hearing.ready.is_set():
            await self._until(self._hearing.ready)
        if self._channel.loss is not None:
            return NotSent(self.loss)
        if self._setup.format_drifts and self._setup.echo and not await self._vigil.stands(0):
            return NotSent("the module has lost its settings")  # which no echo would tell
        if setting is not None and (obstacle := await prepare(self._channel, setting)) is not None:
            return obstacle
        if self._hearing.restarted:
            return NotSent("the module has lost its settings")
        restore = self._preparation.initialisation.service_centre
        return await send(self._channel, command, before_body, restore)

    # How it fares

    async def registration(self) -> Registration:
        """<stat> in each domain."""
        self._setup.registration = await read_registration(
            self._channel, self._setup.domains, self._setup.registration
        )
        return self._setup.registration

    @property
    def card_refuses(self) -> bool:
        """Whether sweeps are refused for the sake of a SIM that is there: a busy one, most likely."""
        return self._vigil.card_refuses

    @property
    def store_refuses(self) -> str:
        """Why sweeps are refused where it is not for the sake of the SIM; empty where they are answered."""
        return self._vigil.store_refuses

    @property
    def moved(self) -> asyncio.Event:
        """Set when network, SIM or store begin or cease to serve; whoever looks clears it."""
        return self._hearing.moved

    async def signal(self) -> Signal:
        """+CSQ; unknown is an answer."""
        return await read_signal(self._channel)

    async def identity(self) -> Identity:
        """Who module and SIM are; the SIM is remembered with its service centre number."""
        identity = await read_identity(self._channel, self.driver)
        if self._memory is not None:
            await self._memory.met(identity.iccid, self._setup.service_centre or "")
        return identity

    async def at(self, line: str) -> list[str]:
        """One AT command of a person; the lines of its answer. Settings are looked at again after it.

        Raises ConversationError for a line that must not be written, and what `Channel.exchange` does.
        """
        try:
            response = await self._channel.exchange(AtCommand.raw(line, RAW_S))
        finally:
            self._vigil.doubt()
            self._setup.selected = None
        return [told.text for told in response.information]

    # What helps when it does not work

    async def restart(self) -> None:
        """Start the module anew, and tell its settings as lost.

        Returns when it was accepted, or the time for that has passed. Raises CommandRefused, ModemLost.
        """
        await restart(self._channel, self.driver)
        self._vigil.settings_lost("it was started anew")

    async def cycle_radio(self, *, card: bool = False) -> None:
        """Radio off and on; `card`: the power of the SIM too, then the module is to be initialised again.

        Raises CommandRefused, CommandTimedOut, ModemLost.
        """
        if await cycle_radio(self._channel, self.driver, card=card):
            self._vigil.settings_lost("the SIM was without power")

    async def reselect(self) -> None:
        """Let the module choose its network anew, which may take minutes.

        Raises CommandRefused, CommandTimedOut, ModemLost.
        """
        await reselect(self._channel, self.driver)

    # News

    async def next_news(self) -> News:
        """What the module tells next, in order. Raises ModemLost after the last."""
        return self._told(self._hearing.understand(await self._channel.news.next()))

    def news_at_hand(self) -> News | None:
        """What it has told already, None when that is all."""
        line = self._channel.news.take()
        return None if line is None else self._told(self._hearing.understand(line))

    # The end

    @property
    def lost(self) -> asyncio.Event:
        """Set when the session is over."""
        return self._channel.lost

    @property
    def loss(self) -> str:
        """Why it is over; empty while it lives."""
        return str(self._channel.loss or "")

    async def wait(self, event: asyncio.Event, seconds: float) -> None:
        """Wait for an event or until the time has passed, which may be infinite. Raises ModemLost."""
        await self._until(event, None if seconds == float("inf") else seconds)
        if self._channel.loss is not None:
            raise ModemLost(self.loss)

    def close(self, why: str = "the session was closed") -> None:
        """End the session at once; `why` is what people are told."""
        self._channel.close(why)

    async def closed(self) -> None:
        """Wait until the port can be opened again, some seconds at the most."""
        await self._channel.closed()

    # Inside

    def _told(self, news: News) -> News:
        """What the news means for where to look next."""
        match news:
            case Arrived(slot) | ReportStored(slot):
                self._storage.visit(slot.store)
                if slot is NOWHERE:  # it may be another module than it was
                    self._vigil.doubt()
            case StoreFull():
                self._storage.visit_all()
        return news

    async def _until(self, event: asyncio.Event, seconds: float | None = None) -> None:
        """Until the event, the loss, or the time."""
        waiters = [asyncio.ensure_future(event.wait()), asyncio.ensure_future(self._channel.lost.wait())]
        try:
            await asyncio.wait(waiters, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for waiter in waiters:
                waiter.cancel()
