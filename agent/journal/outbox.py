"""The journal's side of sending: what is queued, under way, sent, refused, unknown, delivered."""

from __future__ import annotations

import pdu
from agent.journal.journal import DAY_S, Journal, Moment
from agent.journal.rows import Outgoing, ReplyRow

REPORT_WAIT_S = 3 * DAY_S
"""A message reference comes round after 256 messages, so a report only speaks of a recent one."""

_TRYING = range(0x20, 0x40)  # TP-ST 9.2.3.15: not final, another report follows


class Outbox:
    """Messages to send. Each method that writes is one commit, but `insert` and `report`."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._execute = journal.connection.execute

    def insert(self, command: int | None, reply: Outgoing, now: Moment) -> int:
        """Queue a message inside the caller's transaction; returns its number."""
        data = reply.user_data
        number = self._execute(
            "INSERT INTO replies (command, state, destination, alphabet, octets, length, has_header, text,"
            " part, parts, error_answer, queued_wall, queued_running)"
            " VALUES (?, 'queued', ?,?,?,?,?,?,?,?,?,?,?)",
            (
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
        ).lastrowid
        return number or 0

    def queue(self, replies: list[Outgoing]) -> list[int]:
        """Queue messages sent by hand."""
        with self._journal.transaction() as now:
            return [self.insert(None, reply, now) for reply in replies]

    def next(self) -> ReplyRow | None:
        """The oldest queued message."""
        row = self._execute(
            "SELECT replies.id, command, commands.sid, destination, alphabet, octets, length, has_header,"
            " part, parts, attempts FROM replies LEFT JOIN commands ON commands.id = command"
            " WHERE replies.state = 'queued' ORDER BY replies.id LIMIT 1"
        ).fetchone()
        if row is None:
            return None
        number, command, sid, destination, alphabet, octets, length, has_header, part, parts, attempts = row
        data = pdu.UserData(octets, length, pdu.Alphabet(alphabet), has_header=bool(has_header))
        return ReplyRow(number, command, sid, destination, data, part, parts, attempts)

    def sending(self, reply: int) -> None:
        """Committed after the prompt and before an octet of the body leaves: from now on it may be out."""
        with self._journal.transaction():
            self._execute(
                "UPDATE replies SET state = 'sending', attempts = attempts + 1 WHERE id = ?", (reply,)
            )

    def sent(self, reply: int, message_reference: int | None) -> None:
        """The module has confirmed it; a report that came before this confirmation is matched now.

        `message_reference` is None where the module named none.
        """
        with self._journal.transaction() as now:
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

    def back(self, reply: int, reason: str, *, attempted: bool) -> None:
        """Nothing left: queued again. `attempted` counts a try that never reached `sending`."""
        with self._journal.transaction():
            self._execute(
                "UPDATE replies SET state = 'queued', reason = ?, attempts = attempts + ? WHERE id = ?",
                (reason, attempted, reply),
            )

    def end(self, reply: int, state: str, reason: str) -> None:
        """`failed` or `unknown`, and why."""
        with self._journal.transaction():
            self._execute("UPDATE replies SET state = ?, reason = ? WHERE id = ?", (state, reason, reply))

    def interrupted(self) -> list[int]:
        """Messages that were `sending` when the agent ended; they are unknown now. Asked once, at start."""
        rows = self._execute("SELECT id FROM replies WHERE state = 'sending' ORDER BY id").fetchall()
        if rows:
            with self._journal.transaction():
                self._execute(
                    "UPDATE replies SET state = 'unknown',"
                    " reason = 'the agent ended while it was being sent' WHERE state = 'sending'"
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
            " AND coalesce(sent_running, queued_running) > ?",
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
