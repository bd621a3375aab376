"""Checks what went wrong last: what the running agent reports, the state of its service, the last reply."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from agent.diagnosis.finding import Check, Finding, Level
from agent.journal.queries import SELECT_COMMANDS, SELECT_REPLIES, JournalUnreadable, fetch_newest

LOG_STEP = "journalctl -u modem-agent -n 50"
_NEWEST = (
    ("reply", SELECT_REPLIES, {"failed", "unknown"}, "modem-agent outbox"),
    ("Command", SELECT_COMMANDS, {"failed"}, "modem-agent inbox"),
)
"""What the rows of a query are, the states that are errors, and the command that shows them."""


def check_last_error(status: Mapping[str, Any] | None, unit_problem: str, journal: Path) -> Finding:
    """Return the most important error. `unit_problem`: why the service does not run, "" if it does."""
    if status is not None and status["problems"]:
        return Finding(Check.LAST_ERROR, Level.WRONG, status["problems"][0], LOG_STEP)
    if status is None and unit_problem:
        step = f"sudo systemctl start modem-agent; {LOG_STEP}"
        return Finding(Check.LAST_ERROR, Level.WARNING, unit_problem, step)
    if status is not None:
        for key, words in (("port_conflict", "port conflict"), ("held", "replies wait")):
            if status.get(key):
                return Finding(Check.LAST_ERROR, Level.WARNING, f"{words}: {status[key]}", LOG_STEP)
        if not_done := status["recovery"]["not_done"]:
            reason = f"a recovery action was not done: {not_done}"
            return Finding(Check.LAST_ERROR, Level.WARNING, reason, LOG_STEP)
    for noun, query, states, step in _NEWEST:
        try:
            rows = fetch_newest(journal, query, 1)
        except (JournalUnreadable, OSError):
            continue
        if rows and rows[0]["state"] in states:
            cause = rows[0]["reason"] or "no reason given"
            if noun == "Command":  # after the colon is what the handler wrote, perhaps the text of a message
                cause = cause.partition(":")[0]
            reason = f"the last {noun} ({rows[0]['id']}) has the state {rows[0]['state']}: {cause}"
            return Finding(Check.LAST_ERROR, Level.WARNING, reason, step)
    return Finding(Check.LAST_ERROR, Level.OK, "there is no error since the last Command and the last reply")
