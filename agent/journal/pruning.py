"""Forgetting old texts, old doubles, and parts that wait in vain: a little at a time.

A year's memory for doubles has a million rows. Each step looks at some thousand of them and is one commit at
the most, so that whoever needs the disk meanwhile waits for milliseconds.
"""

from __future__ import annotations

from agent.journal import timestamps
from agent.journal.journal import DAY_S, Journal, JournalTime
from agent.journal.parts import PartStore
from agent.service.message import ConcatenationKey

INCOMPLETE_MAX_AGE_S = DAY_S
"""How long the parts of an incomplete message wait: the services try for 24 hours, then nothing comes."""
BATCH_ROWS = 2000
"""Rows that one step looks at."""


class Pruner:
    """One round through the journal. Nothing open is forgotten."""

    def __init__(
        self,
        journal: Journal,
        part_store: PartStore,
        keep_days: float,
        dedup_days: float,
        *,
        full: bool = True,
    ) -> None:
        """`keep_days` for texts, `dedup_days` for what makes a delivery a double.

        Not `whole`: only incomplete messages are looked at, which is quick.
        """
        self._journal = journal
        self._part_store = part_store
        self._retention_s = keep_days * DAY_S
        self._dedup_retention_s = dedup_days * DAY_S
        self._full = full
        self._incomplete_done = False
        self._dedup_cursor: bytes | None = b""
        self._max_horizon: float | None = None
        self.pruned_rows = 0
        """Rows forgotten so far."""
        self.discarded_messages = 0
        """Messages given up so far, because not all their parts came."""

    def prune_batch(self) -> bool:
        """Forget some; False when the round is over. Raises sqlite3.Error; then the same step comes again."""
        if not self._incomplete_done:
            self.discarded_messages += self._discard_incomplete()
            self._incomplete_done = True
            return self._full
        if self._dedup_cursor is not None:
            self._dedup_cursor = self._prune_dedup(self._dedup_cursor)
        else:
            gone = self._prune_records()
            self.pruned_rows += gone
            return gone > 0
        return True

    def _discard_incomplete(self) -> int:
        incomplete = [
            ConcatenationKey(sender, reference, bool(reference_16bit), total)
            for sender, reference, reference_16bit, total, wall, running in self._journal.execute(
                "SELECT sender, reference, reference_16bit, total, max(at_wall), max(at_uptime) FROM parts"
                " GROUP BY sender, reference, reference_16bit, total"
            )
            if self._journal.age(wall, running) > INCOMPLETE_MAX_AGE_S
        ]

        def give_up(now: JournalTime) -> None:
            for key in incomplete:
                self._part_store.discard_incomplete(key, "they did not come within a day", now)

        if incomplete:
            self._journal.commit(None, give_up)
        return len(incomplete)

    def _prune_dedup(self, after_key: bytes) -> bytes | None:
        """Look at the next keys. The newest time stamp among the forgotten ones becomes the horizon."""
        journal = self._journal
        if self._max_horizon is None:
            self._max_horizon = self._median_timestamp()
        last = journal.execute(
            "SELECT key FROM dedup WHERE key > ? ORDER BY key LIMIT 1 OFFSET ?", (after_key, BATCH_ROWS - 1)
        ).fetchone()
        here = "key > ?" if last is None else "key > ? AND key <= ?"
        old = f"{here} AND at_wall < ? AND at_uptime < ? AND coalesce(timestamp, 0) <= ?"
        values = (after_key, *(last or ()), *self._cutoff(self._dedup_retention_s), self._max_horizon)
        count, newest = journal.execute(
            f"SELECT count(*), max(timestamp) FROM dedup WHERE {old}", values
        ).fetchone()

        def forget(_: JournalTime) -> None:
            if newest is not None:
                journal.meta.dedup_horizon = max(newest, journal.meta.dedup_horizon or newest)
            journal.execute(f"DELETE FROM dedup WHERE {old}", values)

        if count:
            journal.commit(None, forget)
            self.pruned_rows += count
        return None if last is None else last[0]

    def _median_timestamp(self) -> float:
        """The latest time stamp that may be forgotten: one in the middle of those that came since.

        One ahead of them is wrong. Its row stays: as a horizon it would make every later Command an old one.
        Keys are as good as drawn by lot, so the first of them stand for all.
        """
        before = self._cutoff(self._dedup_retention_s)
        rows = self._journal.execute(
            "SELECT timestamp, at_wall, at_uptime FROM dedup ORDER BY key LIMIT ?", (BATCH_ROWS,)
        )
        young = [
            stamp
            for stamp, wall, running in rows
            if stamp is not None and not (wall < before[0] and running < before[1])
        ]
        return timestamps.median(young, self._journal.now().wall)

    def _prune_records(self) -> int:
        """Commands, messages, actions and reports of the past; at most `SOME` of each."""
        execute, before = self._journal.execute, self._cutoff(self._retention_s)
        old = {
            "commands": "state IN ('done', 'failed', 'expired')"
            " AND received_wall < ? AND received_uptime < ?"
            " AND id NOT IN (SELECT command_id FROM actions WHERE state IN ('pending', 'running'))"
            " AND id NOT IN (SELECT command_id FROM replies"
            " WHERE command_id IS NOT NULL AND state IN ('queued', 'sending'))",
            "replies": "state NOT IN ('queued', 'sending') AND queued_wall < ? AND queued_uptime < ?",
            "actions": "state IN ('done', 'failed') AND requested_wall < ? AND requested_uptime < ?",
            "status_reports": "at_wall < ? AND at_uptime < ?",
        }
        found = {
            table: [
                row[0]
                for row in execute(f"SELECT id FROM {table} WHERE {which} LIMIT ?", (*before, BATCH_ROWS))
            ]
            for table, which in old.items()
        }

        def forget(_: JournalTime) -> None:
            for table, numbers in found.items():
                for number in numbers:
                    execute(f"DELETE FROM {table} WHERE id = ?", (number,))

        count = sum(map(len, found.values()))
        if count:
            self._journal.commit(None, forget)
        return count

    def _cutoff(self, age_s: float) -> tuple[float, float]:
        now = self._journal.now()
        return now.wall - age_s, now.uptime - age_s
