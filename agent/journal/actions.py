"""The journal's side of "answer, then act": begun at most once, whatever ends the agent meanwhile."""

from __future__ import annotations

from agent.journal.journal import Journal
from agent.journal.models import COMMAND_COLUMNS, ActionRow, command_from_row


class ActionStore:
    """What handlers asked to be done after their answer. Each method that writes is one commit."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._execute = journal.execute

    def list_pending(self) -> list[ActionRow]:
        """The actions that have not begun, oldest first."""
        return self._select("pending")

    def _select(self, state: str) -> list[ActionRow]:
        rows = self._execute(
            "SELECT actions.id, actions.handler, action, requested_uptime,"
            " NOT EXISTS (SELECT 1 FROM replies WHERE replies.command_id = actions.command_id"
            " AND replies.state IN ('queued', 'sending')), "
            f"{COMMAND_COLUMNS} FROM actions JOIN commands ON commands.id = actions.command_id"
            " WHERE actions.state IN ('pending', 'running') AND actions.state = ? ORDER BY actions.id",
            (state,),
        ).fetchall()
        running = self._journal.now().uptime
        return [
            ActionRow(row[0], command_from_row(row[5:]), row[1], row[2], bool(row[4]), running - row[3])
            for row in rows
        ]

    def mark_running(self, action_id: int) -> None:
        """Committed before the action starts; what has started is never begun again."""
        self._journal.commit(
            ("act", action_id),
            lambda _: self._execute("UPDATE actions SET state = 'running' WHERE id = ?", (action_id,)),
        )

    def requeue(self, action_id: int, reason: str) -> None:
        """It did not begin after all, which is certain: it waits again."""
        self._journal.commit(
            ("not acted", action_id),
            lambda _: self._execute(
                "UPDATE actions SET state = 'pending', reason = ? WHERE id = ?", (reason, action_id)
            ),
        )

    def finish(self, action_id: int, reason: str | None) -> None:
        """It ended; `reason` says how it failed."""
        state = "done" if reason is None else "failed"
        self._journal.commit(
            ("acted", action_id),
            lambda _: self._execute(
                "UPDATE actions SET state = ?, reason = ? WHERE id = ?", (state, reason, action_id)
            ),
        )

    def close_interrupted(self) -> list[ActionRow]:
        """Actions under way when the agent ended: most likely they ended it. Asked once, at start."""
        found = self._select("running")
        if found:
            self._journal.commit(
                "interrupted actions",
                lambda _: self._execute(
                    "UPDATE actions SET state = 'done', reason = 'the agent ended while it acted'"
                    " WHERE state = 'running'"
                ),
            )
        return found
