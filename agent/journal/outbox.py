"""Messages to send, and their states."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any

import pdu
from agent.journal.journal import Journal, JournalTime
from agent.journal.models import OutgoingMessage, ReplyRow, ReplyState
from agent.journal.reply_spread import ReplySpread
from agent.journal.status_reports import StatusReports
from agent.journal.timestamps import DAY_S

_SELECT_QUEUED = (
    "replies.id, command_id, commands.sid, destination, alphabet, user_data, user_data_length, has_header,"
    " part, parts, replies.attempts, replies.reason"
    " FROM replies LEFT JOIN commands ON commands.id = command_id WHERE replies.state = 'queued'"
)
_SPREAD_END = "max(queued_uptime, ?) + spread_s"
_MAY_HAVE_LEFT = "state IN ('sending', 'sent', 'delivered', 'unknown')"
_SENT_UPTIME = "coalesce(sent_uptime, queued_uptime)"  # the first is NULL in rows of an early version


class OutboxStore:
    """The table ``replies``. Each method that writes is one commit, except `insert` and `begin_sending`."""

    def __init__(self, journal: Journal, reply_spread: ReplySpread | None = None) -> None:
        """`reply_spread` draws the wait of each reply to a Command; None: no reply waits."""
        self._journal = journal
        self._execute = journal.execute
        self._reply_spread = reply_spread
        self.reports = StatusReports(journal)
        self._spread_since = 0.0
        """Uptime at which the network came back; the waits begin no earlier."""

    def insert(self, command_id: int | None, reply: OutgoingMessage, now: JournalTime) -> int:
        """Queue a message in the caller's transaction; return its id."""
        data = reply.user_data
        reply_id = self._journal.next_id("replies")
        spread_s = 0.0 if command_id is None else self._draw_spread_s(command_id)
        self._execute(
            "INSERT INTO replies (id, command_id, state, destination, alphabet, user_data, user_data_length,"
            " has_header, text, part, parts, error_answer, omitted, spread_s, reason,"
            " queued_wall, queued_uptime) VALUES (?, ?, 'queued', ?,?,?,?,?,?,?,?,?,?,?,?,?,?)",
            (
                reply_id,
                command_id,
                reply.destination,
                data.alphabet.value,
                data.octets,
                data.length,
                data.has_header,
                data.text if data.text is not None else (data.data or b"").hex().upper(),
                reply.part,
                reply.parts,
                reply.error_reply,
                reply.omitted,
                spread_s,
                f"waits {spread_s:.0f} s (reply_spread_s)" if spread_s else None,
                now.wall,
                now.uptime,
            ),
        )
        return reply_id

    def _draw_spread_s(self, command_id: int) -> float:
        if self._reply_spread is None:
            return 0.0
        sim = self._execute("SELECT iccid FROM sims ORDER BY last_seen_wall DESC LIMIT 1").fetchone()
        (command,) = self._execute(
            "SELECT coalesce(sid, timestamp, id) FROM commands WHERE id = ?", (command_id,)
        ).fetchone()
        return self._reply_spread.delay_s(sim[0] if sim else "", str(command))

    def enqueue(self, replies: list[OutgoingMessage]) -> list[int]:
        """Queue messages that are not replies to a Command; return their ids."""
        return self._journal.commit(
            None,
            lambda now: [self.insert(None, reply, now) for reply in replies],
        )

    def enqueue_answer(self, command_id: int, replies: Sequence[OutgoingMessage]) -> bool:
        """Queue the replies to a Command that has ended. Return False if it had a reply before."""

        def write(now: JournalTime) -> bool:
            earlier = self._execute("SELECT 1 FROM replies WHERE command_id = ?", (command_id,)).fetchone()
            if earlier is None:
                for reply in replies:
                    self.insert(command_id, reply, now)
            return earlier is None

        return self._journal.commit(("OutboxStore.enqueue_answer", command_id), write)

    def next_queued(self, excluded_destinations: Collection[str] = ()) -> ReplyRow | None:
        """Return the oldest queued message whose spread is over, except to these destinations.

        Returns None if there is none.
        """
        row = self._execute(
            f"SELECT {_SELECT_QUEUED} AND {_SPREAD_END} <= ?"
            f" AND destination NOT IN ({', '.join('?' * len(excluded_destinations))})"
            " ORDER BY replies.id LIMIT 1",
            (self._spread_since, self._journal.now().uptime, *excluded_destinations),
        ).fetchone()
        return None if row is None else _reply_from_row(row)

    def spread_left_s(self) -> float | None:
        """Return the seconds until another queued message has waited for its spread; None if none waits."""
        uptime = self._journal.now().uptime
        (end,) = self._execute(
            f"SELECT min({_SPREAD_END}) FROM replies WHERE state = 'queued' AND {_SPREAD_END} > ?",
            (self._spread_since, self._spread_since, uptime),
        ).fetchone()
        return None if end is None else end - uptime

    def restart_spread(self) -> None:
        """Let the queued replies wait for their spread once more, from now on.

        It is called when the network is back: all devices of a cell come back at the same time.
        """
        self._spread_since = self._journal.now().uptime

    def list_expired(self, max_age_s: float, per_day: int) -> list[ReplyRow]:
        """Return the queued messages that are older than `max_age_s` by both clocks, oldest first.

        A message that the daily limit, `per_day`, has held up for some time may be one day older.
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
        since = min(uptime for _, _, uptime, _ in old)
        sent_times = [
            at
            for (at,) in self._execute(
                f"SELECT {_SENT_UPTIME} AS at FROM replies"
                f" WHERE {_MAY_HAVE_LEFT} AND {_SENT_UPTIME} > ? ORDER BY at",
                (since - DAY_S,),
            )
        ]
        expired = [
            reply_id
            for reply_id, _, uptime, age in old
            if age > max_age_s + DAY_S or not was_daily_cap_reached(sent_times, per_day, uptime)
        ]
        return [row for reply_id in expired if (row := self._get_queued(reply_id)) is not None]

    def _get_queued(self, reply_id: int) -> ReplyRow | None:
        row = self._execute(f"SELECT {_SELECT_QUEUED} AND replies.id = ?", (reply_id,)).fetchone()
        return None if row is None else _reply_from_row(row)

    def oldest_queued_age(self) -> float | None:
        """Return the age in seconds of the oldest queued message, None if there is none."""
        row = self._execute(
            "SELECT queued_wall, queued_uptime FROM replies WHERE state = 'queued' ORDER BY id LIMIT 1"
        ).fetchone()
        return None if row is None else self._journal.age(*row)

    def set_wait_reason(self, reply_id: int, reason: str) -> None:
        """Commit why a queued message has to wait; `modem-agent outbox` shows it."""
        self._journal.commit(
            None,
            lambda _: self._execute(
                "UPDATE replies SET reason = ? WHERE id = ? AND state = 'queued'", (reason, reply_id)
            ),
        )

    def mark_sending(self, reply_id: int) -> None:
        """Commit that a message may leave now, after the prompt and before the first octet of its body.

        From now on it counts against the limits, with any outcome.
        """
        self._journal.commit(None, lambda now: self._set_sending(reply_id, now))

    def begin_sending(self, reply_id: int, may_send: Callable[[], bool], now: JournalTime) -> ReplyRow | None:
        """Mark a message that was just queued `sending` in the caller's transaction, and return it.

        Returns None if it waits for its spread, or if `may_send` returns False. No earlier message may wait.
        """
        row = self._execute(
            f"SELECT {_SELECT_QUEUED} AND {_SPREAD_END} <= ? AND replies.id = ?",
            (self._spread_since, self._journal.now().uptime, reply_id),
        ).fetchone()
        if row is None or not may_send():
            return None
        self._set_sending(reply_id, now)
        return _reply_from_row(row)

    def _set_sending(self, reply_id: int, now: JournalTime) -> None:
        self._execute(
            "UPDATE replies SET state = 'sending', attempts = attempts + 1,"
            " sending_wall = ?1, sent_wall = ?1, sent_uptime = ?2 WHERE id = ?3",
            (now.wall, now.uptime, reply_id),
        )

    def mark_sent(self, reply_id: int, message_reference: int | None) -> None:
        """Commit that the module has confirmed a message; match a status report that arrived earlier.

        `message_reference` is None if the module returned none.
        """

        def write(now: JournalTime) -> None:
            sending_since = self._execute(
                "SELECT coalesce(sent_uptime, queued_uptime) FROM replies WHERE id = ?", (reply_id,)
            ).fetchone()
            self._execute(
                "UPDATE replies SET state = 'sent', message_reference = ?, reason = NULL,"
                " sent_wall = ?, sent_uptime = ? WHERE id = ?",
                (message_reference, now.wall, now.uptime, reply_id),
            )
            self.reports.match_early(reply_id, message_reference, *sending_since)

        self._journal.commit(("OutboxStore.mark_sent", reply_id), write)

    def requeue(self, reply_id: int, reason: str, *, count_attempt: bool) -> None:
        """Commit that no octet of the body left, and queue the message again.

        `count_attempt` counts an attempt that did not reach the state `sending`.
        """
        self._journal.commit(
            ("OutboxStore.requeue", reply_id),
            lambda _: self._execute(
                "UPDATE replies SET state = 'queued', reason = ?, attempts = attempts + ?,"
                " sent_wall = NULL, sent_uptime = NULL WHERE id = ?",
                (reason, count_attempt, reply_id),
            ),
        )

    def requeue_possibly_sent(self, reply_id: int, reason: str) -> None:
        """Queue a message again, in its old place, although it may have been sent.

        The possibly sent message becomes a separate row in the state `unknown`, so that both count against
        the limits and both are shown. That row belongs to no Command: each Command still has one reply.
        """

        def write(_: JournalTime) -> None:
            columns = (
                "destination, alphabet, user_data, user_data_length, has_header, text, part, parts,"
                " error_answer, omitted, attempts, queued_wall, queued_uptime, sending_wall, sent_wall,"
                " sent_uptime"
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

        self._journal.commit(("OutboxStore.requeue_possibly_sent", reply_id), write)

    def finish(self, reply_id: int, state: ReplyState, reason: str) -> None:
        """Commit the state FAILED or UNKNOWN, and the reason."""
        self._journal.commit(
            ("OutboxStore.finish", reply_id),
            lambda _: self._execute(
                "UPDATE replies SET state = ?1, reason = ?2, sent_wall = iif(?1 = 'failed', NULL, sent_wall),"
                " sent_uptime = iif(?1 = 'failed', NULL, sent_uptime) WHERE id = ?3",
                (state, reason, reply_id),
            ),
        )

    def close_interrupted(self) -> list[int]:
        """Set the messages to `unknown` that were being sent when the agent ended; return their ids.

        Call it once, at start.
        """
        rows = self._execute("SELECT id FROM replies WHERE state = 'sending' ORDER BY id").fetchall()
        if rows:
            self._journal.commit(
                "OutboxStore.close_interrupted",
                lambda _: self._execute(
                    "UPDATE replies SET state = 'unknown',"
                    " reason = 'the agent ended while it was being sent' WHERE state = 'sending'"
                ),
            )
        return [reply_id for (reply_id,) in rows]

    # Limits

    def was_accepted_within(self, destination: str, seconds: float) -> bool:
        """Return True if the network has accepted a message to it in the last seconds of uptime."""
        since = self._journal.now().uptime - seconds
        row = self._execute(
            "SELECT 1 FROM replies WHERE destination = ? AND state IN ('sent', 'delivered')"
            " AND sent_uptime > ? LIMIT 1",
            (destination, since),
        ).fetchone()
        return row is not None

    def count_sent_within(self, seconds: float) -> int:
        """Return the number of messages that may have left in the last seconds of uptime."""
        since = self._journal.now().uptime - seconds
        row = self._execute(
            f"SELECT count(*) FROM replies WHERE {_MAY_HAVE_LEFT} AND {_SENT_UPTIME} > ?",
            (since,),
        ).fetchone()
        return int(row[0])

    def count_error_replies_within(self, seconds: float) -> int:
        """Return the number of error replies that were queued in the last seconds of uptime."""
        since = self._journal.now().uptime - seconds
        row = self._execute(
            "SELECT count(*) FROM replies WHERE error_answer AND queued_uptime > ?", (since,)
        ).fetchone()
        return int(row[0])

    def get_states(self, reply_ids: list[int]) -> list[tuple[str, str | None]]:
        """Return state and reason of each of these messages; a pruned one counts as failed."""
        rows = [
            self._execute("SELECT state, reason FROM replies WHERE id = ?", (reply_id,)).fetchone()
            for reply_id in reply_ids
        ]
        return [("failed", "pruned") if row is None else (str(row[0]), row[1]) for row in rows]

    def count_by_state(self) -> dict[str, int]:
        """Return the number of messages in each state."""
        return dict(self._execute("SELECT state, count(*) FROM replies GROUP BY state").fetchall())


def was_daily_cap_reached(sent_times: Sequence[float], per_day: int, since: float) -> bool:
    """Return True if at some time from `since` on, `per_day` messages had been sent within the last day.

    `sent_times` are the times when each message may have left, in ascending order. All are seconds of uptime.
    A message that left exactly a day ago does not count.
    """
    recent = [at for at in sent_times if at > since - DAY_S]
    return any(last - first < DAY_S for first, last in zip(recent, recent[per_day - 1 :], strict=False))


def _reply_from_row(row: tuple[Any, ...]) -> ReplyRow:
    reply_id, command_id, sid, destination, alphabet, octets, length, has_header, *others = row
    data = pdu.UserData(octets, length, pdu.Alphabet(alphabet), has_header=bool(has_header))
    return ReplyRow(reply_id, command_id, sid, destination, data, *others)
