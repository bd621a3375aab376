"""What the modem remembers of SIMs, kept in the journal: the seam between the two rooms."""

from __future__ import annotations

import sqlite3
from random import Random

from agent.journal.cards import Cards
from agent.journal.skin import Skin
from agent.modem.error import ModemUnusable
from agent.story import Step, Tell, Weight

SALT = 16
"""Octets."""
SHOWN = 6
"""Digits of an ICCID in the log: enough to tell two cards apart."""


class CardBook:
    """A `CardMemory` on disk."""

    def __init__(self, skin: Skin, cards: Cards, random: Random, tell: Tell) -> None:
        self._skin = skin
        self._cards = cards
        self._random = random
        self._tell = tell

    async def attempt(self, iccid: str, pin: str, *, untouched: bool) -> str:
        salt = self._random.randbytes(SALT)
        try:
            return await self._skin.run(self._cards.attempt, iccid, pin, salt, untouched=untouched)
        except sqlite3.Error as error:
            raise ModemUnusable(
                f"the SIM asks for its PIN, which is not tried while the journal cannot be written: {error}"
            ) from None

    async def settle(self, iccid: str, *, refused: bool) -> None:
        try:
            await self._skin.run(self._cards.settle, iccid, refused=refused)
        except sqlite3.Error as error:
            # What is on disk says that it is being tried, so it is not tried again by itself.
            self._tell(Step("sim", f"the outcome of the PIN is not kept: {error}", weight=Weight.WARNING))

    async def service_centre(self, iccid: str) -> str:
        try:
            return await self._skin.run(self._cards.service_centre, iccid)
        except sqlite3.Error:
            return ""  # the session goes on; whoever needs a commit will say what is wrong

    async def met(self, iccid: str, service_centre: str) -> None:
        try:
            before = await self._skin.run(self._cards.met, iccid, service_centre)
        except sqlite3.Error:
            return  # asked again in the next session
        if before:
            change = f"another SIM is in the module: …{iccid[-SHOWN:]}, it was …{before[-SHOWN:]}"
            own = "PIN tries and service centre number are its own"
            self._tell(Step("sim", f"{change}; {own}", weight=Weight.WARNING))
