"""Stores in the journal what the modem must remember about SIMs: PIN attempts and service centre numbers."""

from __future__ import annotations

import sqlite3

from agent.common.events import Event, EventKind, Severity
from agent.common.runtime import Runtime
from agent.journal.sims import SimStore
from agent.modem.error import ModemUnusable
from agent.modem.sim import PinReservation

SALT_BYTES = 16
"""Length of the salt with which a PIN is hashed."""
SHOWN_ICCID_DIGITS = 6
"""Last digits of an ICCID that the log shows, enough to distinguish two SIMs."""


class JournalSimMemory:
    """A `SimMemory` (agent.modem.sim) in the journal."""

    def __init__(self, *, runtime: Runtime, sim_store: SimStore) -> None:
        self._db = runtime.db
        self._sim_store = sim_store
        self._random = runtime.random
        self._emit = runtime.emit

    async def reserve_pin_attempt(self, iccid: str, pin: str, *, no_tries_lost: bool) -> PinReservation:
        salt = self._random.randbytes(SALT_BYTES)
        try:
            return PinReservation(
                await self._db.run(
                    self._sim_store.reserve_pin_attempt, iccid, pin, salt, no_tries_lost=no_tries_lost
                )
            )
        except sqlite3.Error as error:
            raise ModemUnusable(
                f"the SIM asks for its PIN, which is not entered while the journal cannot be written: {error}"
            ) from None

    async def record_pin_result(self, iccid: str, *, refused: bool) -> None:
        try:
            await self._db.run(self._sim_store.record_pin_result, iccid, refused=refused)
        except sqlite3.Error as error:
            # The journal still has the attempt as unfinished, so the PIN is not entered again automatically.
            self._emit(
                Event(
                    EventKind.SIM,
                    f"the result of the PIN attempt cannot be stored: {error}",
                    severity=Severity.WARNING,
                )
            )

    async def service_centre(self, iccid: str) -> str:
        try:
            return await self._db.run(self._sim_store.service_centre, iccid)
        except sqlite3.Error:
            return ""  # the session continues; tasks that commit report the error

    async def record_sim_seen(self, iccid: str, service_centre: str) -> None:
        try:
            before = await self._db.run(self._sim_store.record_sim_seen, iccid, service_centre)
        except sqlite3.Error:
            return  # repeated in the next session
        if before:
            text = (
                f"another SIM is in the module: …{iccid[-SHOWN_ICCID_DIGITS:]}, it was "
                f"…{before[-SHOWN_ICCID_DIGITS:]}; PIN attempts and service centre number are kept per SIM"
            )
            self._emit(Event(EventKind.SIM, text, severity=Severity.WARNING))
