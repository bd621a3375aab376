"""Forgetting old texts, old doubles, and parts that wait in vain: a little at a time.

A year's memory for doubles has a million rows. Each step looks at some thousand of them and is one commit at
the most, so that whoever needs the disk meanwhile waits for milliseconds.
"""

from __future__ import annotations

from agent.journal import stamps
from agent.journal.journal import DAY_S, Journal, Moment
from agent.journal.parts import Parts
from agent.service.message import PartKey

PARTS_WAIT_S = DAY_S
"""How long the parts of an incomplete message wait: the services try for 24 hours, then nothing comes."""
SOME = 2000
"""Rows that one step looks at."""


class Forgetting:
    """One round through the journal. Nothing open is forgotten."""

    def __init__(
        self, journal: Journal, parts: Parts, keep_days: float, dedup_days: float, *, whole: bool = True
    ) -> None:
        """`keep_days` for texts, `dedup_days` for what makes a delivery a double.

        Not `whole`: only incomplete messages are looked at, which is quick.
        """
        self._journal = journal
        self._waiting = parts
        self._keep_s = keep_days * DAY_S
        self._dedup_s = dedup_days * DAY_S
        self._whole = whole
        self._parts_done = False
        self._key: bytes | None = b""
        self._believed: float | None = None
        self.count = 0
        """Rows forgotten so far."""
        self.incomplete = 0
        """Messages given up so far, because not all their parts came."""

    def step(self) -> bool:
        """Forget some; False when the round is over. Raises sqlite3.Error; then the same step comes again."""
        if not self._parts_done:
            self.incomplete += self._parts()
            self._parts_done = True
            return self._whole
        if self._key is not None:
            self._key = self._doubles(self._key)
        else:
            gone = self._texts()
            self.count += gone
            return gone > 0
        return True

    def _parts(self) -> int:
        incomplete = [
            PartKey(sender, reference, bool(wide), total)
            for sender, reference, wide, total, wall, running in self._journal.execute(
                "SELECT sender, reference, wide, total, max(at_wall), max(at_running) FROM parts"
                " GROUP BY sender, reference, wide, total"
            )
            if self._journal.age(wall, running) > PARTS_WAIT_S
        ]

        def give_up(now: Moment) -> None:
            for key in incomplete:
                self._waiting.give_up(key, "they did not come within a day", now)

        if incomplete:
            self._journal.commit(None, give_up)
        return len(incomplete)

    def _doubles(self, above: bytes) -> bytes | None:
        """Look at the next keys. The newest time stamp among the forgotten ones becomes the horizon."""
        journal = self._journal
        if self._believed is None:
            self._believed = self._middle()
        last = journal.execute(
            "SELECT key FROM seen WHERE key > ? ORDER BY key LIMIT 1 OFFSET ?", (above, SOME - 1)
        ).fetchone()
        here = "key > ?" if last is None else "key > ? AND key <= ?"
        old = f"{here} AND at_wall < ? AND at_running < ? AND coalesce(timestamp, 0) <= ?"
        values = (above, *(last or ()), *self._before(self._dedup_s), self._believed)
        count, newest = journal.execute(
            f"SELECT count(*), max(timestamp) FROM seen WHERE {old}", values
        ).fetchone()

        def forget(_: Moment) -> None:
            if newest is not None:
                journal.horizon = max(newest, journal.horizon or newest)
            journal.execute(f"DELETE FROM seen WHERE {old}", values)

        if count:
            journal.commit(None, forget)
            self.count += count
        return None if last is None else last[0]

    def _middle(self) -> float:
        """The latest time stamp that may be forgotten: one in the middle of those that came since.

        One ahead of them is wrong. Its row stays: as a horizon it would make every later Command an old one.
        Keys are as good as drawn by lot, so the first of them stand for all.
        """
        before = self._before(self._dedup_s)
        rows = self._journal.execute(
            "SELECT timestamp, at_wall, at_running FROM seen ORDER BY key LIMIT ?", (SOME,)
        )
        young = [
            stamp
            for stamp, wall, running in rows
            if stamp is not None and not (wall < before[0] and running < before[1])
        ]
        return stamps.middle(young, self._journal.now().wall)

    def _texts(self) -> int:
        """Commands, messages, actions and reports of the past; at most `SOME` of each."""
        execute, before = self._journal.execute, self._before(self._keep_s)
        old = {
            "commands": "state IN ('done', 'failed', 'expired')"
            " AND received_wall < ? AND received_running < ?"
            " AND id NOT IN (SELECT command FROM actions WHERE state IN ('waiting', 'acting'))"
            " AND id NOT IN (SELECT command FROM replies"
            " WHERE command IS NOT NULL AND state IN ('queued', 'sending'))",
            "replies": "state NOT IN ('queued', 'sending') AND queued_wall < ? AND queued_running < ?",
            "actions": "state IN ('done', 'failed') AND asked_wall < ? AND asked_running < ?",
            "reports": "at_wall < ? AND at_running < ?",
        }
        found = {
            table: [
                row[0] for row in execute(f"SELECT id FROM {table} WHERE {which} LIMIT ?", (*before, SOME))
            ]
            for table, which in old.items()
        }

        def forget(_: Moment) -> None:
            for table, numbers in found.items():
                for number in numbers:
                    execute(f"DELETE FROM {table} WHERE id = ?", (number,))

        count = sum(map(len, found.values()))
        if count:
            self._journal.commit(None, forget)
        return count

    def _before(self, seconds: float) -> tuple[float, float]:
        now = self._journal.now()
        return now.wall - seconds, now.running - seconds
