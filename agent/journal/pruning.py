"""Retention: deletes old messages, old deduplication entries and parts of incomplete messages, in batches.

The deduplication entries of a year may be a million rows. Each batch reads some thousand of them and makes
one commit at most, so that other tasks wait only for milliseconds.
"""

from __future__ import annotations

from agent.journal import timestamps
from agent.journal.journal import Journal, JournalTime
from agent.journal.parts import PartStore
from agent.journal.timestamps import DAY_S
from agent.service.message import ConcatenationKey

INCOMPLETE_MAX_AGE_S = DAY_S
"""Age at which the parts of an incomplete message are discarded: the services try to deliver for 24 hours."""
BATCH_ROWS = 2000
"""Rows of a table that one batch reads."""


class Pruner:
    """One run through the journal. Rows that are still needed are kept at any age."""

    def __init__(
        self,
        journal: Journal,
        part_store: PartStore,
        keep_days: float,
        dedup_days: float,
        *,
        full: bool = True,
        batch_rows: int = BATCH_ROWS,
    ) -> None:
        """Messages are kept for `keep_days`, deduplication entries for `dedup_days`.

        If not `full`, only incomplete messages are discarded, which is quick. One batch reads at most
        `batch_rows` rows of a table.
        """
        self._journal = journal
        self._part_store = part_store
        self._retention_s = keep_days * DAY_S
        self._dedup_retention_s = dedup_days * DAY_S
        self._full = full
        self._batch_rows = batch_rows
        self._incomplete_done = False
        self._dedup_cursor: bytes | None = b""
        self._max_horizon: float | None = None
        self.pruned_rows = 0
        """Number of rows that were deleted so far."""
        self.discarded_messages = 0
        """Number of incomplete messages that were discarded so far."""

    def prune_batch(self) -> bool:
        """Delete one batch; return False when the run is complete.

        Raises sqlite3.Error; then the next call repeats the batch.
        """
        if not self._incomplete_done:
            self.discarded_messages += self._discard_incomplete()
            self._incomplete_done = True
            return self._full
        if self._dedup_cursor is not None:
            self._dedup_cursor = self._prune_dedup(self._dedup_cursor)
        else:
            deleted = self._prune_records()
            self.pruned_rows += deleted
            return deleted > 0
        return True

    def _discard_incomplete(self) -> int:
        incomplete = [
            ConcatenationKey(sender, reference, bool(reference_16bit), total)
            for sender, reference, reference_16bit, total, wall, uptime in self._journal.execute(
                "SELECT sender, reference, reference_16bit, total, max(at_wall), max(at_uptime) FROM parts"
                " GROUP BY sender, reference, reference_16bit, total"
            )
            if self._journal.age(wall, uptime) > INCOMPLETE_MAX_AGE_S
        ]

        def discard(now: JournalTime) -> None:
            for key in incomplete:
                self._part_store.discard_incomplete(key, "they did not come within a day", now)

        if incomplete:
            self._journal.commit(None, discard)
        return len(incomplete)

    def _prune_dedup(self, after_key: bytes) -> bytes | None:
        """Delete old entries among the next keys; return the last key, None at the end.

        The newest time stamp of the deleted entries becomes the deduplication horizon.
        """
        journal = self._journal
        if self._max_horizon is None:
            self._max_horizon = self._median_timestamp()
        last = journal.execute(
            "SELECT key FROM dedup WHERE key > ? ORDER BY key LIMIT 1 OFFSET ?",
            (after_key, self._batch_rows - 1),
        ).fetchone()
        key_range = "key > ?" if last is None else "key > ? AND key <= ?"
        old = f"{key_range} AND at_wall < ? AND at_uptime < ? AND coalesce(timestamp, 0) <= ?"
        values = (after_key, *(last or ()), *self._cutoff(self._dedup_retention_s), self._max_horizon)
        count, newest = journal.execute(
            f"SELECT count(*), max(timestamp) FROM dedup WHERE {old}", values
        ).fetchone()

        def delete(_: JournalTime) -> None:
            if newest is not None:
                journal.meta.dedup_horizon = max(newest, journal.meta.dedup_horizon or newest)
            journal.execute(f"DELETE FROM dedup WHERE {old}", values)

        if count:
            journal.commit(None, delete)
            self.pruned_rows += count
        return None if last is None else last[0]

    def _median_timestamp(self) -> float:
        """Return the newest time stamp that may become the horizon: the median of the younger ones.

        A later one is wrong. Its row stays, because as the horizon it would make every later Command expired.
        Keys are as good as random, so the first of them represent all.
        """
        cutoff = self._cutoff(self._dedup_retention_s)
        rows = self._journal.execute(
            "SELECT timestamp, at_wall, at_uptime FROM dedup ORDER BY key LIMIT ?", (self._batch_rows,)
        )
        young = [
            stamp
            for stamp, wall, uptime in rows
            if stamp is not None and not (wall < cutoff[0] and uptime < cutoff[1])
        ]
        return timestamps.median(young, self._journal.now().wall)

    def _prune_records(self) -> int:
        """Delete a batch of old Commands, replies, actions and status reports; return the number of rows."""
        execute, cutoff = self._journal.execute, self._cutoff(self._retention_s)
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
        ids = {
            table: [
                row[0]
                for row in execute(
                    f"SELECT id FROM {table} WHERE {condition} LIMIT ?", (*cutoff, self._batch_rows)
                )
            ]
            for table, condition in old.items()
        }

        def delete(_: JournalTime) -> None:
            for table, row_ids in ids.items():
                for row_id in row_ids:
                    execute(f"DELETE FROM {table} WHERE id = ?", (row_id,))

        count = sum(map(len, ids.values()))
        if count:
            self._journal.commit(None, delete)
        return count

    def _cutoff(self, age_s: float) -> tuple[float, float]:
        now = self._journal.now()
        return now.wall - age_s, now.uptime - age_s
