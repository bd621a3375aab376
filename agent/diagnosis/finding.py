"""The result of one check: how bad it is, why, and what to type next."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any


class Level(StrEnum):
    """How bad a finding is."""

    OK = "ok"
    WARNING = "warning"
    """It works, but not well, or not for long."""
    WRONG = "wrong"
    """Commands cannot be received, run or answered."""
    SKIPPED = "skipped"
    """The check depends on another one that failed, or was not asked for."""


class Check(StrEnum):
    """The checks, in the order in which they depend on each other."""

    CONFIGURATION = "configuration"
    AGENT = "agent"
    PORT = "port"
    RIGHTS = "rights"
    HOLDER = "holder"
    MODEM_MANAGER = "ModemManager"
    POWER = "power"
    MODULE = "module"
    SIM = "SIM"
    REGISTRATION = "registration"
    MESSAGE_SERVICE = "message service"
    NOTIFICATIONS = "notifications"
    STORE = "message store"
    JOURNAL = "journal"
    CLOCK = "clock"
    HANDLERS = "handlers"
    FORWARDING = "forwarding"
    LAST_ERROR = "last error"
    LOOPBACK = "loopback"


MODULE_CHECKS = (
    Check.SIM,
    Check.REGISTRATION,
    Check.MESSAGE_SERVICE,
    Check.NOTIFICATIONS,
    Check.STORE,
)
"""The checks of what a module answers, after `MODULE` itself."""


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of one check."""

    check: Check
    level: Level
    reason: str
    """One sentence."""
    next_step: str = ""
    """What to type or do; empty if nothing, or if the reason contains it."""
    details: tuple[str, ...] = ()
    """Further facts, one clause each."""

    def to_json(self) -> dict[str, Any]:
        """Return JSON values."""
        return asdict(self)


def skip(checks: Iterable[Check], reason: str) -> list[Finding]:
    """Return a skipped finding for each of these checks."""
    return [Finding(check, Level.SKIPPED, reason) for check in checks]


def worst_level(findings: Iterable[Finding]) -> Level:
    """Return `WRONG`, `WARNING` or `OK`."""
    levels = {finding.level for finding in findings}
    return next((level for level in (Level.WRONG, Level.WARNING) if level in levels), Level.OK)
