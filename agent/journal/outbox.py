"""The journal's side of sending: what is queued, under way, sent, refused, unknown, delivered."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

import pdu
from agent.journal.journal import DAY_S, Journal, JournalTime
from agent.journal.models import OutgoingMessage, ReplyRow

REPORT_MATCH_WINDOW_S = 3 * DAY_S
"""A message reference comes round after 256 messages, so a report only speaks of a recent one."""

TIMESTAMP_TOLERANCE_S = 120.0
"""Between our note that a message is sent and the service centre's that it has come."""

_SELECT_QUEUED = (
    "replies.id, command_id, commands.sid, destination, alphabet, user_data, user_data_length, has_header,"
    " part, parts, replies.attempts, replies.reason"
    " FROM replies LEFT JOIN commands ON commands.id = command_id WHERE replies.state = 'queued'"
)
_SAME_RECIPIENT = (
    "ltrim(recipient, '+') = ltrim(destination, '+')"  # networks write the same number both ways
)
_MAY_HAVE_LEFT = "state IN ('sending', 'sent', 'delivered', 'unknown')"
_SENT_UPTIME = "coalesce(sent_uptime, queued_uptime)"  # without the first: of an earlier version
_TP_ST_STILL_TRYING = range(0x20, 0x40)  # TP-ST 9.2.3.15: not final, another report follows


class OutboxStore:
    """Messages to send. Each method that writes is one commit, but `insert` and `report`."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._execute = journal.execute

    def insert(self, command_id: int | None, reply: OutgoingMessage, now: JournalTime) -> int:
        """Queue a message inside the caller's transaction; returns its number."""
        data = reply.user_data
        number = self._journal.next_id("replies")
        self._execute(
            "INSERT INTO replies (id, command_id, state, destination, alphabet, user_data, user_data_length,"
            " has_header, text, part, parts, error_answer, queued_wall, queued_uptime)"
            " VALUES (?, ?, 'queued', ?,?,?,?,?,?,?,?,?,?,?)",
            (
                number,
                command_id,
                reply.destination,
                data.alphabet.value,
                data.octets,
                data.length,
                data.has_header,
                data.text if data.text is not None else (data.data or b"").hex().upper(),
                reply.part,
                reply.parts,
                reply.error_answer,
                now.wall,
                now.uptime,
            ),
        )
        return number

    def enqueue(self, replies: list[OutgoingMessage]) -> list[int]:
        """Queue messages sent by hand."""
        return self._journal.commit(
            None,
            lambda now: [self.insert(None, reply, now) for reply in replies],
        )

    def next_queued(self, excluded_destinations: Collection[str] = ()) -> ReplyRow | None:
        """The oldest queued message to none of the destinations that have to wait."""
        row = self._execute(
            f"SELECT {_SELECT_QUEUED} AND destination NOT IN ({', '.join('?' * len(excluded_destinations))})"
            " ORDER BY replies.id LIMIT 1",
            tuple(excluded_destinations),
        ).fetchone()
        return None if row is None else _reply_from_row(row)

    def list_expired(self, max_age_s: float, per_day: int) -> list[ReplyRow]:
        """Queued messages that have waited for longer than this, by both clocks; oldest first.

        One that the cap of so many a day kept back for a time gets one more day.
        """
        now = self._journal.now()
        old = [
            (*row, self._journal.age(*row[1:]))
            for row in self._execute(
                "SELECT id, queued_wall, queued_uptime FROM replies WHERE state = 'queued'"
                " AND queued_wall < ? AND queued_uptime < ? ORDER BY id",
                (now.wall - max_age_s, now.uptime - max_age_s),
            )
        ]
        if not old:
            return []
        since = min(running for _, _, running, _ in old)
        left = [
            at
            for (at,) in self._execute(
                f"SELECT {_SENT_UPTIME} AS at FROM replies"
                f" WHERE {_MAY_HAVE_LEFT} AND {_SENT_UPTIME} > ? ORDER BY at",
                (since - DAY_S,),
            )
        ]
        given_up = [
            number
            for number, _, running, age in old
            if age > max_age_s + DAY_S or not was_daily_cap_reached(left, per_day, running)
        ]
        return [row for number in given_up if (row := self._get_queued(number)) is not None]

    def _get_queued(self, reply_id: int) -> ReplyRow | None:
        row = self._execute(f"SELECT {_SELECT_QUEUED} AND replies.id = ?", (reply_id,)).fetchone()
        return None if row is None else _reply_from_row(row)

    def oldest_queued_age(self) -> float | None:
        """Seconds, by the smaller difference of the clocks, that the oldest queued message has waited."""
        row = self._execute(
            "SELECT queued_wall, queued_uptime FROM replies WHERE state = 'queued' ORDER BY id LIMIT 1"
        ).fetchone()
        return None if row is None else self._journal.age(*row)

    def set_wait_reason(self, reply_id: int, reason: str) -> None:
        """Why a queued message has to wait, for people who look into the outbox."""
        self._journal.commit(
            None,
            lambda _: self._execute(
                "UPDATE replies SET reason = ? WHERE id = ? AND state = 'queued'", (reason, reply_id)
            ),
        )

    def mark_sending(self, reply_id: int) -> None:
        """Committed after the prompt and before an octet of the body leaves: from now on it may be out.

        So from now on it counts against the caps, whatever becomes of it.
        """
        self._journal.commit(
            None,
            lambda now: self._execute(
                "UPDATE replies SET state = 'sending', attempts = attempts + 1,"
                " sent_wall = ?, sent_uptime = ? WHERE id = ?",
                (now.wall, now.uptime, reply_id),
            ),
        )

    def mark_sent(self, reply_id: int, message_reference: int | None) -> None:
        """The module has confirmed it; a report that came before this confirmation is matched now.

        `message_reference` is None where the module named none.
        """

        def write(now: JournalTime) -> None:
            began = self._execute(
                "SELECT coalesce(sent_uptime, queued_uptime) FROM replies WHERE id = ?", (reply_id,)
            ).fetchone()
            self._execute(
                "UPDATE replies SET state = 'sent', message_reference = ?, reason = NULL,"
                " sent_wall = ?, sent_uptime = ? WHERE id = ?",
                (message_reference, now.wall, now.uptime, reply_id),
            )
            early = self._execute(
                "SELECT status_reports.id, status FROM status_reports JOIN replies ON replies.id = ?"
                f" WHERE {_SAME_RECIPIENT} AND status_reports.reply_id IS NULL"
                " AND status_reports.message_reference = ? AND status_reports.at_uptime >= ?"
                " ORDER BY status_reports.id DESC",
                (reply_id, message_reference, *began),
            ).fetchone()
            if early is not None:
                self._apply_report(early[0], reply_id, early[1])

        self._journal.commit(("sent", reply_id), write)

    def requeue(self, reply_id: int, reason: str, *, count_attempt: bool) -> None:
        """Nothing left: queued again. `attempted` counts a try that never reached `sending`."""
        self._journal.commit(
            ("back", reply_id),
            lambda _: self._execute(
                "UPDATE replies SET state = 'queued', reason = ?, attempts = attempts + ?,"
                " sent_wall = NULL, sent_uptime = NULL WHERE id = ?",
                (reason, count_attempt, reply_id),
            ),
        )

    def requeue_possibly_sent(self, reply_id: int, reason: str) -> None:
        """It is to be sent once more, though it may have left: queued again, at its place among the others.

        What may have left gets a row of its own, `unknown`: both count against the caps, both are shown. That
        row answers no Command, so that each Command is still answered once.
        """

        def write(_: JournalTime) -> None:
            columns = (
                "destination, alphabet, user_data, user_data_length, has_header, text, part, parts,"
                " error_answer, attempts, queued_wall, queued_uptime, sent_wall, sent_uptime"
            )
            self._execute(
                f"INSERT INTO replies (id, state, reason, {columns})"
                f" SELECT ?, 'unknown', ?, {columns} FROM replies WHERE id = ?",
                (self._journal.next_id("replies"), f"{reason}; sent once more as {reply_id}", reply_id),
            )
            self._execute(
                "UPDATE replies SET state = 'queued', reason = ?, sent_wall = NULL, sent_uptime = NULL"
                " WHERE id = ?",
                (f"{reason}; to be sent once more", reply_id),
            )

        self._journal.commit(("copy", reply_id), write)

    def finish(self, reply_id: int, state: str, reason: str) -> None:
        """`failed` or `unknown`, and why."""
        self._journal.commit(
            ("end", reply_id),
            lambda _: self._execute(
                "UPDATE replies SET state = ?1, reason = ?2, sent_wall = iif(?1 = 'failed', NULL, sent_wall),"
                " sent_uptime = iif(?1 = 'failed', NULL, sent_uptime) WHERE id = ?3",
                (state, reason, reply_id),
            ),
        )

    def close_interrupted(self) -> list[int]:
        """Messages that were `sending` when the agent ended; they are unknown now. Asked once, at start."""
        rows = self._execute("SELECT id FROM replies WHERE state = 'sending' ORDER BY id").fetchall()
        if rows:
            self._journal.commit(
                "interrupted replies",
                lambda _: self._execute(
                    "UPDATE replies SET state = 'unknown',"
                    " reason = 'the agent ended while it was being sent' WHERE state = 'sending'"
                ),
            )
        return [number for (number,) in rows]

    def store_report(self, report: pdu.StatusReport, now: JournalTime) -> int | None:
        """Keep a status report inside the caller's transaction and match it; returns the reply it fits.

        It fits a message with its reference and recipient that was sent in the last days, see `_meant`.
        """
        recipient = str(report.recipient_address)
        discharged = report.discharge_time.time
        number = self._execute(
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
            (number, report.message_reference, now.uptime - REPORT_MATCH_WINDOW_S),
        ).fetchall()
        if not sent or number is None:
            return None
        reply = _matching_reply(sent, report.service_centre_timestamp.time)
        self._apply_report(number, reply, report.status)
        return reply

    def _apply_report(self, report_id: int, reply_id: int, tp_status: int) -> None:
        self._execute("UPDATE status_reports SET reply_id = ? WHERE id = ?", (reply_id, report_id))
        if tp_status < _TP_ST_STILL_TRYING.start:
            self._execute("UPDATE replies SET state = 'delivered' WHERE id = ?", (reply_id,))
        elif tp_status not in _TP_ST_STILL_TRYING:
            self._execute(
                "UPDATE replies SET state = 'failed', reason = ? WHERE id = ?",
                (f"the service centre gave up, status {tp_status:#04x}", reply_id),
            )

    # Limits

    def count_sent_within(self, seconds: float) -> int:
        """Messages whose body may have left in the last seconds, by running time."""
        since = self._journal.now().uptime - seconds
        row = self._execute(
            f"SELECT count(*) FROM replies WHERE {_MAY_HAVE_LEFT} AND {_SENT_UPTIME} > ?",
            (since,),
        ).fetchone()
        return int(row[0])

    def count_error_answers_within(self, seconds: float) -> int:
        """Error answers of our own queued in the last seconds, by running time."""
        since = self._journal.now().uptime - seconds
        row = self._execute(
            "SELECT count(*) FROM replies WHERE error_answer AND queued_uptime > ?", (since,)
        ).fetchone()
        return int(row[0])

    def get_states(self, reply_ids: list[int]) -> list[tuple[str, str | None]]:
        """State and reason of each of these messages."""
        found = [
            self._execute("SELECT state, reason FROM replies WHERE id = ?", (number,)).fetchone()
            for number in reply_ids
        ]
        return [("failed", "pruned") if row is None else (str(row[0]), row[1]) for row in found]

    def count_by_state(self) -> dict[str, int]:
        """How many messages there are in each state; for `status`."""
        return dict(self._execute("SELECT state, count(*) FROM replies GROUP BY state").fetchall())


def was_daily_cap_reached(sent_times: Sequence[float], per_day: int, since: float) -> bool:
    """Return True if at some time from `since` on, `per_day` messages had been sent within the last day.

    `sent_times` are the times when each message may have left, in ascending order. All are seconds of uptime.
    A message that left exactly a day ago does not count.
    """
    recent = [at for at in sent_times if at > since - DAY_S]
    return any(last - first < DAY_S for first, last in zip(recent, recent[per_day - 1 :], strict=False))


def _matching_reply(candidates: list[Any], submitted_at: datetime | None) -> int:
    """Which of several messages with one reference a report speaks of; newest first, with state and time.

    It names when the service centre took the message (23.040 9.2.2.3). Where the device's clock agrees with
    that for one of them, it is that one; a clock that is wrong tells nothing, then it is the newest that no
    report has settled, as one that was sent after so many others seldom waits for its report any more.
    """
    if submitted_at is not None:
        away, number = min((abs(at - submitted_at.timestamp()), -number) for number, _, at in candidates)
        if away <= TIMESTAMP_TOLERANCE_S:
            return -int(number)
    return int(next((number for number, state, _ in candidates if state == "sent"), candidates[0][0]))


def _reply_from_row(row: tuple[Any, ...]) -> ReplyRow:
    number, command, sid, destination, alphabet, octets, length, has_header, *others = row
    data = pdu.UserData(octets, length, pdu.Alphabet(alphabet), has_header=bool(has_header))
    return ReplyRow(number, command, sid, destination, data, *others)
