"""Status reports, and the sent messages that they belong to."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pdu
from agent.journal.journal import Journal, JournalTime
from agent.journal.models import ReplyState
from agent.journal.timestamps import DAY_S

REPORT_MATCH_WINDOW_S = 3 * DAY_S
"""A message reference is used again after 256 messages, so a report belongs to a recent one."""

TIMESTAMP_TOLERANCE_S = 120.0
"""Largest difference between the agent's time of sending and the service centre's time stamp of a message."""

_SAME_RECIPIENT = (
    "ltrim(recipient, '+') = ltrim(destination, '+')"  # networks write the same number with and without it
)
_TP_ST_STILL_TRYING = range(0x20, 0x40)
"""TP-ST (23.040 9.2.3.15): the service centre still tries, and another report follows."""


class StatusReports:
    """The table ``status_reports``. Its methods write in the caller's transaction."""

    def __init__(self, journal: Journal) -> None:
        self._execute = journal.execute

    def store(self, report: pdu.StatusReport, now: JournalTime) -> int | None:
        """Store a status report in the caller's transaction; return the id of the message that it belongs to.

        That is a message with its reference and recipient that was sent in the last three days
        (`_matching_reply`); None if there is none.
        """
        recipient = str(report.recipient_address)
        discharged = report.discharge_time.time
        report_id = self._execute(
            "INSERT INTO status_reports"
            " (message_reference, recipient, status, discharge_time, at_wall, at_uptime)"
            " VALUES (?,?,?,?,?,?)",
            (
                report.message_reference,
                recipient,
                report.status,
                None if discharged is None else discharged.isoformat(),
                now.wall,
                now.uptime,
            ),
        ).lastrowid
        sent = self._execute(
            "SELECT replies.id, replies.state, sent_wall"
            " FROM replies JOIN status_reports ON status_reports.id = ?"
            f" WHERE {_SAME_RECIPIENT} AND replies.message_reference = ?"
            " AND replies.state IN ('sent', 'delivered') AND sent_uptime > ? ORDER BY replies.id DESC",
            (report_id, report.message_reference, now.uptime - REPORT_MATCH_WINDOW_S),
        ).fetchall()
        if not sent or report_id is None:
            return None
        reply = _matching_reply(sent, report.service_centre_timestamp.time)
        self._apply(report_id, reply, report.status)
        return reply

    def match_early(self, reply_id: int, message_reference: int | None, sending_since: float) -> None:
        """Match a message that was sent with a report on it that arrived before the module confirmed it."""
        early = self._execute(
            "SELECT status_reports.id, status FROM status_reports JOIN replies ON replies.id = ?"
            f" WHERE {_SAME_RECIPIENT} AND status_reports.reply_id IS NULL"
            " AND status_reports.message_reference = ? AND status_reports.at_uptime >= ?"
            " ORDER BY status_reports.id DESC",
            (reply_id, message_reference, sending_since),
        ).fetchone()
        if early is not None:
            self._apply(early[0], reply_id, early[1])

    def _apply(self, report_id: int, reply_id: int, tp_status: int) -> None:
        self._execute("UPDATE status_reports SET reply_id = ? WHERE id = ?", (reply_id, report_id))
        if tp_status < _TP_ST_STILL_TRYING.start:
            self._execute("UPDATE replies SET state = 'delivered' WHERE id = ?", (reply_id,))
        elif tp_status not in _TP_ST_STILL_TRYING:
            self._execute(
                "UPDATE replies SET state = 'failed', reason = ? WHERE id = ?",
                (f"the service centre gave up, status {tp_status:#04x}", reply_id),
            )


def _matching_reply(candidates: list[Any], submitted_at: datetime | None) -> int:
    """Return the id of the message that a report belongs to, of several with the same reference.

    `candidates` are rows of id, state and wall time of sending, newest first. `submitted_at` is when the
    service centre received the message (23.040 9.2.2.3). If one was sent at that time by the device's clock,
    it is that one. If none was, the clock is wrong, and it is the newest that has no final report yet.
    """
    if submitted_at is not None:
        submitted = submitted_at.timestamp()
        distance, reply_id = min((abs(at - submitted), -reply_id) for reply_id, _, at in candidates)
        if distance <= TIMESTAMP_TOLERANCE_S:
            return -int(reply_id)
    without_report = (reply_id for reply_id, state, _ in candidates if state == ReplyState.SENT)
    return int(next(without_report, candidates[0][0]))
