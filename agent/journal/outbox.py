"""The journal's side of sending: what is queued, under way, sent, refused, unknown, delivered."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Any

import pdu
from agent.journal import caps
from agent.journal.journal import DAY_S, Journal, Moment
from agent.journal.rows import Outgoing, ReplyRow

REPORT_WAIT_S = 3 * DAY_S
"""A message reference comes round after 256 messages, so a report only speaks of a recent one."""

AGREES_S = 120.0
"""Between our note that a message is sent and the service centre's that it has come."""

_REPLY = (
    "replies.id, command, commands.sid, destination, alphabet, octets, length, has_header, part, parts,"
    " attempts, replies.reason FROM replies LEFT JOIN commands ON commands.id = command"
    " WHERE replies.state = 'queued'"
)
_FITS = "ltrim(recipient, '+') = ltrim(destination, '+')"  # networks write the same number both ways
_LEFT = "state IN ('sending', 'sent', 'delivered', 'unknown')"
_LEFT_AT = "coalesce(sent_running, queued_running)"  # without the first: of an earlier version
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

        One that the cap of so many a day kept back for a time gets one more day.
        """
        now = self._journal.now()
        old = [
            (*row, self._journal.age(*row[1:]))
            for row in self._execute(
                "SELECT id, queued_wall, queued_running FROM replies WHERE state = 'queued'"
                " AND queued_wall < ? AND queued_running < ? ORDER BY id",
                (now.wall - seconds, now.running - seconds),
            )
        ]
        if not old:
            return []
        since = min(running for _, _, running, _ in old)
        left = [
            at
            for (at,) in self._execute(
                f"SELECT {_LEFT_AT} AS at FROM replies WHERE {_LEFT} AND {_LEFT_AT} > ? ORDER BY at",
                (since - DAY_S,),
            )
        ]
        given_up = [
            number
            for number, _, running, age in old
            if age > seconds + DAY_S or not caps.reached(left, per_day, running)
        ]
        return [row for number in given_up if (row := self._queued(number)) is not None]

    def _queued(self, number: int) -> ReplyRow | None:
        row = self._execute(f"SELECT {_REPLY} AND replies.id = ?", (number,)).fetchone()
        return None if row is None else _reply_row(row)

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
            began = self._execute(
                "SELECT coalesce(sent_running, queued_running) FROM replies WHERE id = ?", (reply,)
            ).fetchone()
            self._execute(
                "UPDATE replies SET state = 'sent', message_reference = ?, reason = NULL,"
                " sent_wall = ?, sent_running = ? WHERE id = ?",
                (message_reference, now.wall, now.running, reply),
            )
            early = self._execute(
                f"SELECT reports.id, status FROM reports JOIN replies ON replies.id = ? WHERE {_FITS}"
                " AND reports.reply IS NULL AND reports.message_reference = ? AND reports.at_running >= ?"
                " ORDER BY reports.id DESC",
                (reply, message_reference, *began),
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

    def copy(self, reply: int, reason: str) -> None:
        """It is to be sent once more, though it may have left: queued again, at its place among the others.

        What may have left gets a row of its own, `unknown`: both count against the caps, both are shown. That
        row answers no Command, so that each Command is still answered once.
        """

        def write(_: Moment) -> None:
            columns = (
                "destination, alphabet, octets, length, has_header, text, part, parts,"
                " error_answer, attempts, queued_wall, queued_running, sent_wall, sent_running"
            )
            self._execute(
                f"INSERT INTO replies (id, state, reason, {columns})"
                f" SELECT ?, 'unknown', ?, {columns} FROM replies WHERE id = ?",
                (self._journal.number("replies"), f"{reason}; sent once more as {reply}", reply),
            )
            self._execute(
                "UPDATE replies SET state = 'queued', reason = ?, sent_wall = NULL, sent_running = NULL"
                " WHERE id = ?",
                (f"{reason}; to be sent once more", reply),
            )

        self._journal.commit(("copy", reply), write)

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

        It fits a message with its reference and recipient that was sent in the last days, see `_meant`.
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
        sent = self._execute(
            f"SELECT replies.id, replies.state, sent_wall FROM replies JOIN reports ON reports.id = ?"
            f" WHERE {_FITS} AND replies.message_reference = ? AND replies.state IN ('sent', 'delivered')"
            " AND sent_running > ? ORDER BY replies.id DESC",
            (number, report.message_reference, now.running - REPORT_WAIT_S),
        ).fetchall()
        if not sent or number is None:
            return None
        reply = _meant(sent, report.service_centre_timestamp.time)
        self._match(number, reply, report.status)
        return reply

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
            f"SELECT count(*) FROM replies WHERE {_LEFT} AND {_LEFT_AT} > ?",
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


def _meant(sent: list[Any], taken: datetime | None) -> int:
    """Which of several messages with one reference a report speaks of; newest first, with state and time.

    It names when the service centre took the message (23.040 9.2.2.3). Where the device's clock agrees with
    that for one of them, it is that one; a clock that is wrong tells nothing, then it is the newest that no
    report has settled, as one that was sent after so many others seldom waits for its report any more.
    """
    if taken is not None:
        away, number = min((abs(at - taken.timestamp()), -number) for number, _, at in sent)
        if away <= AGREES_S:
            return -int(number)
    return int(next((number for number, state, _ in sent if state == "sent"), sent[0][0]))


def _reply_row(row: tuple[Any, ...]) -> ReplyRow:
    number, command, sid, destination, alphabet, octets, length, has_header, *others = row
    data = pdu.UserData(octets, length, pdu.Alphabet(alphabet), has_header=bool(has_header))
    return ReplyRow(number, command, sid, destination, data, *others)
