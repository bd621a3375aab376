"""The journal's side of the SIM: which PINs were tried, and what else belongs to a card.

A PIN has few digits, so no digest hides it from somebody who has the journal and time; the salt and the many
rounds keep it from a glance, and the file is closed to others. A PIN that was right is not kept at all.
"""

from __future__ import annotations

import hashlib
import hmac

from agent.journal.journal import Journal

PBKDF2_ROUNDS = 20_000
"""About 0.1 s on a Pi Zero, once or twice in the life of a card."""


class SimStore:
    """SIMs that this agent has worked with. Each method that writes is one commit.

    An ICCID is empty for a card that does not tell it, or does not before it is open.
    """

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._execute = journal.execute

    def reserve_pin_attempt(self, iccid: str, pin: str, salt: bytes, *, no_tries_lost: bool) -> str:
        """Keep that this PIN is about to be tried: when this returns "", it is on disk.

        "refused" or "trying" where it was tried before, and nothing is written then. `untouched`: no try of
        the card has been lost, so one that was cut off never reached it. A card without a number may be any.
        """
        found = [
            (row, state)
            for row, kept_salt, digest, state in self._execute(
                "SELECT rowid, salt, pin_digest, state FROM pin_attempts WHERE iccid IN (?, '') OR ? = ''",
                (iccid, iccid),
            )
            if hmac.compare_digest(digest, _pin_digest(pin, kept_salt))
        ]
        if any(state == "refused" for _, state in found):
            return "refused"
        if found and not no_tries_lost:
            return "trying"
        with self._journal.transaction() as now:
            for row, _ in found:
                self._execute("DELETE FROM pin_attempts WHERE rowid = ?", (row,))
            self._execute(
                "INSERT INTO pin_attempts VALUES (?, ?, ?, 'trying', ?)",
                (iccid, salt, _pin_digest(pin, salt), now.wall),
            )
        return ""

    def record_pin_result(self, iccid: str, *, refused: bool) -> None:
        """What became of the attempt under way; the trace of a right PIN is taken away."""
        with self._journal.transaction():
            if refused:
                self._execute(
                    "UPDATE pin_attempts SET state = 'refused' WHERE iccid = ? AND state = 'trying'", (iccid,)
                )
            else:
                self._execute("DELETE FROM pin_attempts WHERE iccid = ? AND state = 'trying'", (iccid,))

    def service_centre(self, iccid: str) -> str:
        """The service centre number that the card had last, empty where none is known.

        A card without a number is like no other: nothing is known of it.
        """
        row = self._execute(
            "SELECT service_centre FROM sims WHERE iccid = ? AND iccid <> ''", (iccid,)
        ).fetchone()
        return (row[0] or "") if row else ""

    def record_sim_seen(self, iccid: str, service_centre: str) -> str:
        """A card is open and in use: keep it, with its number where it has one.

        Returns the ICCID of the card that was in use before it, empty for the same or none. An open card had
        its PIN from somebody, so an attempt on it that was cut off needs no care any more.
        """
        if not iccid:
            return ""
        newest = self._execute(
            "SELECT iccid, last_seen_wall FROM sims ORDER BY last_seen_wall DESC LIMIT 1"
        ).fetchone()
        before = newest[0] if newest else ""
        kept = self._execute("SELECT service_centre FROM sims WHERE iccid = ?", (iccid,)).fetchone()
        number = service_centre or (kept[0] if kept else None)
        cut_off = self._execute(
            "SELECT 1 FROM pin_attempts WHERE iccid IN (?, '') AND state = 'trying'", (iccid,)
        ).fetchone()
        if before == iccid and kept == (number,) and cut_off is None:
            return ""
        with self._journal.transaction() as now:
            # The newest is the one in use, also where the clock has been set back since.
            at = max(now.wall, newest[1] + 1) if newest else now.wall
            self._execute("INSERT OR REPLACE INTO sims VALUES (?, ?, ?)", (iccid, number, at))
            self._execute("DELETE FROM pin_attempts WHERE iccid IN (?, '') AND state = 'trying'", (iccid,))
        return before if before != iccid else ""


def _pin_digest(pin: str, salt: bytes) -> bytes:
    return hashlib.pbkdf2_hmac("sha256", pin.encode(), salt, PBKDF2_ROUNDS)
