"""The journal's side of sending: what is queued, under way, sent, refused, unknown, delivered."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import pdu
from agent.journal.journal import DAY_S, Journal, Moment
from agent.journal.rows import Outgoing, ReplyRow

REPORT_WAIT_S = 3 * DAY_S
"""A message reference comes round after 256 messages, so a report only speaks of a recent one."""

_REPLY = (
    "replies.id, command, commands.sid, destination, alphabet, octets, length, has_header, part, parts,"
    " attempts, replies.reason FROM replies LEFT JOIN commands ON commands.id = command"
    " WHERE replies.state = 'queued'"
)
_TRYING = range(0x20, 0x40)  # TP-ST 9.2.3.15: not final, another report follows


class Outbox:
    """Messages to send. Each method that writes is one commit, but `insert` and `report`."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._execute = journal.execute

    def insert(self, command: int | None, reply: Outgoing, now: Moment) -> int:
        """Queue a message inside the caller's transaction; returns its number."""
        data = reply.user_data
        number = self._journal.number("replies")
        self._execute(
            "INSERT INTO replies (id, command, state, destination, alphabet, octets, length, has_header,"
            " text, part, parts, error_answer, queued_wall, queued_running)"
            " VALUES (?, ?, 'queued', ?,?,?,?,?,?,?,?,?,?,?)",
            (
                number,
                command,
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
                now.running,
            ),
        )
        return number

    def queue(self, replies: list[Outgoing]) -> list[int]:
        """Queue messages sent by hand."""
        return self._journal.commit(
            None,
            lambda now: [self.insert(None, reply, now) for reply in replies],
        )

    def next(self, waiting: Collection[str] = ()) -> ReplyRow | None:
        """The oldest queued message to none of the destinations that have to wait."""
        row = self._execute(
            f"SELECT {_REPLY} AND destination NOT IN ({', '.join('?' * len(waiting))})"
            " ORDER BY replies.id LIMIT 1",
            tuple(waiting),
        ).fetchone()
        return None if row is None else _reply_row(row)

    def too_old(self, seconds: float, per_day: int) -> list[ReplyRow]:
        """Queued messages that have waited for longer than this, by both clocks; oldest first.

        Where so many a day have left that the cap kept them back, they get one more day.
        """
        now = self._journal.now()
        before = "queued_wall < ? AND queued_running < ?"
        limits = (now.wall - seconds, now.running - seconds)
        oldest = self._execute(
            f"SELECT min(queued_running) FROM replies WHERE state = 'queued' AND {before}", limits
        ).fetchone()[0]
        if oldest is None:
            return []
        if self.sent_within(now.running - oldest + DAY_S) >= per_day:
            limits = (limits[0] - DAY_S, limits[1] - DAY_S)
        return [
            _reply_row(row)
            for row in self._execute(f"SELECT {_REPLY} AND {before} ORDER BY replies.id", limits)
        ]

    def oldest_age(self) -> float | None:
        """Seconds, by the smaller difference of the clocks, that the oldest queued message has waited."""
        row = self._execute(
            "SELECT queued_wall, queued_running FROM replies WHERE state = 'queued' ORDER BY id LIMIT 1"
        ).fetchone()
        return None if row is None else self._journal.age(*row)

    def note(self, reply: int, reason: str) -> None:
        """Why a queued message has to wait, for people who look into the outbox."""
        self._journal.commit(
            None,
            lambda _: self._execute(
                "UPDATE replies SET reason = ? WHERE id = ? AND state = 'queued'", (reason, reply)
            ),
        )

    def sending(self, reply: int) -> None:
        """Committed after the prompt and before an octet of the body leaves: from now on it may be out.

        So from now on it counts against the caps, whatever becomes of it.
        """
        self._journal.commit(
            None,
            lambda now: self._execute(
                "UPDATE replies SET state = 'sending', attempts = attempts + 1,"
                " sent_wall = ?, sent_running = ? WHERE id = ?",
                (now.wall, now.running, reply),
            ),
        )

    def sent(self, reply: int, message_reference: int | None) -> None:
        """The module has confirmed it; a report that came before this confirmation is matched now.

        `message_reference` is None where the module named none.
        """

        def write(now: Moment) -> None:
            self._execute(
                "UPDATE replies SET state = 'sent', message_reference = ?, reason = NULL,"
                " sent_wall = ?, sent_running = ? WHERE id = ?",
                (message_reference, now.wall, now.running, reply),
            )
            early = self._execute(
                "SELECT reports.id, status FROM reports JOIN replies ON replies.id = ?"
                " WHERE reports.reply IS NULL AND reports.message_reference = ? AND recipient = destination"
                " AND reports.at_running >= replies.queued_running ORDER BY reports.id DESC",
                (reply, message_reference),
            ).fetchone()
            if early is not None:
                self._match(early[0], reply, early[1])

        self._journal.commit(("sent", reply), write)

    def back(self, reply: int, reason: str, *, attempted: bool) -> None:
        """Nothing left: queued again. `attempted` counts a try that never reached `sending`."""
        self._journal.commit(
            ("back", reply),
            lambda _: self._execute(
                "UPDATE replies SET state = 'queued', reason = ?, attempts = attempts + ?,"
                " sent_wall = NULL, sent_running = NULL WHERE id = ?",
                (reason, attempted, reply),
            ),
        )

    def end(self, reply: int, state: str, reason: str) -> None:
        """`failed` or `unknown`, and why."""
        self._journal.commit(
            ("end", reply),
            lambda _: self._execute(
                "UPDATE replies SET state = ?1, reason = ?2, sent_wall = iif(?1 = 'failed', NULL, sent_wall),"
                " sent_running = iif(?1 = 'failed', NULL, sent_running) WHERE id = ?3",
                (state, reason, reply),
            ),
        )

    def interrupted(self) -> list[int]:
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

    def report(self, report: pdu.StatusReport, now: Moment) -> int | None:
        """Keep a status report inside the caller's transaction and match it; returns the reply it fits.

        It fits the newest message with its reference and recipient that was sent in the last days.
        """
        recipient = str(report.recipient_address)
        discharged = report.discharge_time.time
        number = self._execute(
            "INSERT INTO reports (message_reference, recipient, status, discharge_time, at_wall, at_running)"
            " VALUES (?,?,?,?,?,?)",
            (
                report.message_reference,
                recipient,
                report.status,
                None if discharged is None else discharged.isoformat(),
                now.wall,
                now.running,
            ),
        ).lastrowid
        row = self._execute(
            "SELECT id FROM replies WHERE message_reference = ? AND destination = ?"
            " AND state IN ('sent', 'delivered') AND sent_running > ? ORDER BY id DESC LIMIT 1",
            (report.message_reference, recipient, now.running - REPORT_WAIT_S),
        ).fetchone()
        if row is None or number is None:
            return None
        self._match(number, int(row[0]), report.status)
        return int(row[0])

    def _match(self, report: int, reply: int, status: int) -> None:
        self._execute("UPDATE reports SET reply = ? WHERE id = ?", (reply, report))
        if status < _TRYING.start:
            self._execute("UPDATE replies SET state = 'delivered' WHERE id = ?", (reply,))
        elif status not in _TRYING:
            self._execute(
                "UPDATE replies SET state = 'failed', reason = ? WHERE id = ?",
                (f"the service centre gave up, status {status:#04x}", reply),
            )

    # Limits

    def sent_within(self, seconds: float) -> int:
        """Messages whose body may have left in the last seconds, by running time."""
        since = self._journal.now().running - seconds
        row = self._execute(
            "SELECT count(*) FROM replies WHERE state IN ('sending', 'sent', 'delivered', 'unknown')"
            " AND coalesce(sent_running, queued_running) > ?",  # without: of an earlier version
            (since,),
        ).fetchone()
        return int(row[0])

    def error_answers_within(self, seconds: float) -> int:
        """Error answers of our own queued in the last seconds, by running time."""
        since = self._journal.now().running - seconds
        row = self._execute(
            "SELECT count(*) FROM replies WHERE error_answer AND queued_running > ?", (since,)
        ).fetchone()
        return int(row[0])

    def states(self, replies: list[int]) -> list[tuple[str, str | None]]:
        """State and reason of each of these messages."""
        found = [
            self._execute("SELECT state, reason FROM replies WHERE id = ?", (number,)).fetchone()
            for number in replies
        ]
        return [("failed", "pruned") if row is None else (str(row[0]), row[1]) for row in found]

    def counts(self) -> dict[str, int]:
        """How many messages there are in each state; for `status`."""
        return dict(self._execute("SELECT state, count(*) FROM replies GROUP BY state").fetchall())


def _reply_row(row: tuple[Any, ...]) -> ReplyRow:
    number, command, sid, destination, alphabet, octets, length, has_header, *others = row
    data = pdu.UserData(octets, length, pdu.Alphabet(alphabet), has_header=bool(has_header))
    return ReplyRow(number, command, sid, destination, data, *others)
