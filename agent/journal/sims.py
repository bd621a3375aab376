"""SIMs: which PINs were tried on each, and its last service centre number.

A PIN has few digits, so a digest cannot hide it from an attacker with the journal and enough time. Salt and
rounds prevent reading it by accident, and only its owner can read the file. A correct PIN is not stored.
"""

from __future__ import annotations

import hmac

from agent.journal.journal import Journal

PBKDF2_ROUNDS = 20_000
"""About 0.1 s on a Pi Zero, once or twice in the life of a SIM."""


class SimStore:
    """The tables ``sims`` and ``pin_attempts``. Each method that writes is one commit.

    The ICCID is empty for a SIM that does not report it, or not before its PIN is entered.
    """

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._execute = journal.execute

    def reserve_pin_attempt(self, iccid: str, pin: str, salt: bytes, *, no_tries_lost: bool) -> str:
        """Commit that this PIN is about to be tried; return "".

        If it was tried before on this SIM, return the state of that attempt, "refused" or "trying", and write
        nothing. `no_tries_lost`: the SIM has all its tries left, so an interrupted attempt never reached it.
        A SIM without an ICCID may be any SIM.
        """
        earlier = [
            (row_id, state)
            for row_id, stored_salt, digest, state in self._execute(
                "SELECT rowid, salt, pin_digest, state FROM pin_attempts WHERE iccid IN (?, '') OR ? = ''",
                (iccid, iccid),
            )
            if hmac.compare_digest(digest, _pin_digest(pin, stored_salt))
        ]
        if any(state == "refused" for _, state in earlier):
            return "refused"
        if earlier and not no_tries_lost:
            return "trying"
        with self._journal.transaction() as now:
            for row_id, _ in earlier:
                self._execute("DELETE FROM pin_attempts WHERE rowid = ?", (row_id,))
            self._execute(
                "INSERT INTO pin_attempts VALUES (?, ?, ?, 'trying', ?)",
                (iccid, salt, _pin_digest(pin, salt), now.wall),
            )
        return ""

    def record_pin_result(self, iccid: str, *, refused: bool) -> None:
        """Record the result of the reserved attempt; the row of a correct PIN is deleted."""
        with self._journal.transaction():
            if refused:
                self._execute(
                    "UPDATE pin_attempts SET state = 'refused' WHERE iccid = ? AND state = 'trying'", (iccid,)
                )
            else:
                self._execute("DELETE FROM pin_attempts WHERE iccid = ? AND state = 'trying'", (iccid,))

    def service_centre(self, iccid: str) -> str:
        """Return the last service centre number of the SIM, empty if none is known.

        For a SIM without an ICCID none is known.
        """
        row = self._execute(
            "SELECT service_centre FROM sims WHERE iccid = ? AND iccid <> ''", (iccid,)
        ).fetchone()
        return (row[0] or "") if row else ""

    def record_sim_seen(self, iccid: str, service_centre: str) -> str:
        """Record that the SIM is in use, and its service centre number if it has one.

        Returns the ICCID of the SIM that was in use before, empty if it is the same or there was none. As the
        SIM is unlocked, an interrupted PIN attempt on it is deleted.
        """
        if not iccid:
            return ""
        newest = self._execute(
            "SELECT iccid, last_seen_wall FROM sims ORDER BY last_seen_wall DESC LIMIT 1"
        ).fetchone()
        previous = newest[0] if newest else ""
        stored = self._execute("SELECT service_centre FROM sims WHERE iccid = ?", (iccid,)).fetchone()
        number = service_centre or (stored[0] if stored else None)
        interrupted = self._execute(
            "SELECT 1 FROM pin_attempts WHERE iccid IN (?, '') AND state = 'trying'", (iccid,)
        ).fetchone()
        if previous == iccid and stored == (number,) and interrupted is None:
            return ""
        with self._journal.transaction() as now:
            # The newest row is the SIM in use, even if the clock has been set back since.
            at = max(now.wall, newest[1] + 1) if newest else now.wall
            self._execute("INSERT OR REPLACE INTO sims VALUES (?, ?, ?)", (iccid, number, at))
            self._execute("DELETE FROM pin_attempts WHERE iccid IN (?, '') AND state = 'trying'", (iccid,))
        return previous if previous != iccid else ""


def _pin_digest(pin: str, salt: bytes) -> bytes:
    # This part of hashlib is OpenSSL's, which an agent without a PIN does not load: see `lean_imports`.
    from _hashlib import pbkdf2_hmac  # noqa: PLC0415

    return pbkdf2_hmac("sha256", pin.encode(), salt, PBKDF2_ROUNDS)
