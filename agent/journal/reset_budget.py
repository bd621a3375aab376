"""How often the module was restarted: a budget on disk, so that no restart of this program refills it."""

from __future__ import annotations

from dataclasses import dataclass

from agent.journal.journal import DAY_S, Journal

HOUR_S = 3600.0
_ARTICLES = {"hour": "an", "day": "a"}
RETENTION_DAYS = 31
"""Older rows are of interest to nobody."""


@dataclass(frozen=True, slots=True)
class ResetLimits:
    """What the operator allows; keys of ``[recovery]``."""

    per_hour: int = 3
    per_day: int = 12


@dataclass(frozen=True, slots=True)
class ResetUsage:
    """Restarts in the last hour and day."""

    last_hour: int
    last_day: int


class ResetBudget:
    """Restarts of the module that this agent caused, cycles of its radio included: each attaches anew."""

    def __init__(self, journal: Journal, limits: ResetLimits) -> None:
        self._journal = journal
        self._execute = journal.execute
        self.limits = limits

    def reserve(self, action: str, reason: str, *, one_per_hour: bool = False, keep_free: int = 0) -> str:
        """Commit a reset that is about to be done; why it must not be, empty where it may.

        It counts from here on, whether or not it was carried out. `hourly`: at most one reset of any kind an
        hour, for a device that the network has turned away. `spare`: so many more must be left after it, as
        far as the budget is ever large enough, for a step that may have to be followed by another.

        Ages are judged by the running time: neither a jump of the device's clock nor a time when it was
        switched off makes one older, and none that was noted in a future stays young until then.
        """
        if refusal := self._refusal_reason(one_per_hour=one_per_hour, keep_free=keep_free):
            with self._journal.transaction():
                pass  # the running time: the budget must age also where nothing else is ever committed
            return refusal
        with self._journal.transaction() as now:
            self._execute(
                "INSERT INTO resets (action, reason, at_wall, at_uptime) VALUES (?,?,?,?)",
                (action, reason, now.wall, now.uptime),
            )
            self._execute("DELETE FROM resets WHERE at_uptime < ?", (now.uptime - RETENTION_DAYS * DAY_S,))
        return ""

    def _refusal_reason(self, *, one_per_hour: bool, keep_free: int) -> str:
        used, budget = self.usage(), self.limits
        for count, limit, span in (
            (used.last_hour, budget.per_hour, "hour"),
            (used.last_day, budget.per_day, "day"),
        ):
            said, key = (
                f"{count} of {limit} resets {_ARTICLES[span]} {span} are used",
                f"recovery.resets_per_{span}",
            )
            if count >= limit:
                return f"{said} ({key})"
            if count + min(keep_free, limit - 1) >= limit:
                return f"{said} and {1 + keep_free} must be left ({key})"
        if one_per_hour and used.last_hour:
            return "at most one reset an hour while registration is denied"
        return ""

    def usage(self) -> ResetUsage:
        """What counts now."""
        now = self._journal.now().uptime
        ages = [now - running for (running,) in self._execute("SELECT at_uptime FROM resets").fetchall()]
        return ResetUsage(sum(age < HOUR_S for age in ages), sum(age < DAY_S for age in ages))
