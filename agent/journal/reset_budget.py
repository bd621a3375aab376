"""Rate limit for resets of the module. It is stored, so a restart of the agent does not reset it."""

from __future__ import annotations

from agent.journal.journal import Journal
from agent.journal.timestamps import DAY_S
from pdu.record import Record

HOUR_S = 3600.0
RETENTION_DAYS = 31
"""Older rows are deleted."""


class ResetLimits(Record):
    """The settings ``recovery.resets_per_hour`` and ``recovery.resets_per_day``."""

    per_hour: int = 3
    per_day: int = 12


class ResetUsage(Record):
    """Numbers of resets in the last hour and day."""

    last_hour: int
    last_day: int


class ResetBudget:
    """The table ``resets``: resets of the module by the agent, and radio cycles. Each causes a new attach."""

    def __init__(self, journal: Journal, limits: ResetLimits) -> None:
        self._journal = journal
        self._execute = journal.execute
        self.limits = limits

    def reserve(self, action: str, reason: str, *, one_per_hour: bool = False, keep_free: int = 0) -> str:
        """Commit a reset that is about to be done; return "", or the reason why it must not be done.

        It counts from now on, even if the reset fails. `one_per_hour`: allow at most one reset of any kind in
        an hour, for a device that the network rejects. `keep_free`: so many more resets must be
        left afterwards, if the limits are large enough, because this one may need another after it.

        Ages are differences of the uptime, so they do not depend on jumps of the device's clock.
        """
        if refusal := self._refusal_reason(one_per_hour=one_per_hour, keep_free=keep_free):
            with self._journal.transaction():
                pass  # commits the uptime: the rows must age even if nothing else is ever committed
            return refusal
        with self._journal.transaction() as now:
            self._execute(
                "INSERT INTO resets (action, reason, at_wall, at_uptime) VALUES (?,?,?,?)",
                (action, reason, now.wall, now.uptime),
            )
            self._execute("DELETE FROM resets WHERE at_uptime < ?", (now.uptime - RETENTION_DAYS * DAY_S,))
        return ""

    def _refusal_reason(self, *, one_per_hour: bool, keep_free: int) -> str:
        usage = self.usage()
        for count, limit, period, key in (
            (usage.last_hour, self.limits.per_hour, "an hour", "recovery.resets_per_hour"),
            (usage.last_day, self.limits.per_day, "a day", "recovery.resets_per_day"),
        ):
            text = f"{count} of {limit} resets {period} are used"
            if count >= limit:
                return f"{text} ({key})"
            if count + min(keep_free, limit - 1) >= limit:
                return f"{text} and {1 + keep_free} must be left ({key})"
        if one_per_hour and usage.last_hour:
            return "at most one reset an hour while registration is denied"
        return ""

    def usage(self) -> ResetUsage:
        """Return the numbers of resets that count now."""
        now = self._journal.now().uptime
        ages = [now - uptime for (uptime,) in self._execute("SELECT at_uptime FROM resets").fetchall()]
        return ResetUsage(sum(age < HOUR_S for age in ages), sum(age < DAY_S for age in ages))
