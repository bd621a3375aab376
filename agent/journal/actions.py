"""Actions that handlers request for the time after their reply. Each is started at most once."""

from __future__ import annotations

from agent.journal.journal import Journal
from agent.journal.models import COMMAND_COLUMNS, ActionRow, ActionState, command_from_row


class ActionStore:
    """The table ``actions``. Each method that writes is one commit."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._execute = journal.execute

    def list_pending(self) -> list[ActionRow]:
        """Return the actions that have not been started, oldest first."""
        return self._select(ActionState.PENDING)

    def _select(self, state: ActionState) -> list[ActionRow]:
        rows = self._execute(
            "SELECT actions.id, actions.handler, action, requested_uptime,"
            " NOT EXISTS (SELECT 1 FROM replies WHERE replies.command_id = actions.command_id"
            " AND replies.state IN ('queued', 'sending')), "
            f"{COMMAND_COLUMNS} FROM actions JOIN commands ON commands.id = actions.command_id"
            " WHERE actions.state IN ('pending', 'running') AND actions.state = ? ORDER BY actions.id",
            (state,),
        ).fetchall()
        uptime = self._journal.now().uptime
        return [
            ActionRow(row[0], command_from_row(row[5:]), row[1], row[2], bool(row[4]), uptime - row[3])
            for row in rows
        ]

    def mark_running(self, action_id: int) -> None:
        """Record the start of an action, before it starts; it is never started again."""
        self._journal.commit(
            ("ActionStore.mark_running", action_id),
            lambda _: self._execute("UPDATE actions SET state = 'running' WHERE id = ?", (action_id,)),
        )

    def requeue(self, action_id: int, reason: str) -> None:
        """Set an action back to `pending` that certainly did not start."""
        self._journal.commit(
            ("ActionStore.requeue", action_id),
            lambda _: self._execute(
                "UPDATE actions SET state = 'pending', reason = ? WHERE id = ?", (reason, action_id)
            ),
        )

    def finish(self, action_id: int, reason: str | None) -> None:
        """Record the end of an action; `reason` is why it failed, None if it did not."""
        state = ActionState.DONE if reason is None else ActionState.FAILED
        self._journal.commit(
            ("ActionStore.finish", action_id),
            lambda _: self._execute(
                "UPDATE actions SET state = ?, reason = ? WHERE id = ?", (state, reason, action_id)
            ),
        )

    def close_interrupted(self) -> list[ActionRow]:
        """End the actions that were running when the agent ended, and return them. Call it once, at start.

        They count as done: most likely they have ended the agent.
        """
        found = self._select(ActionState.RUNNING)
        if found:
            self._journal.commit(
                "ActionStore.close_interrupted",
                lambda _: self._execute(
                    "UPDATE actions SET state = 'done',"
                    " reason = 'the agent ended while the action was running' WHERE state = 'running'"
                ),
            )
        return found
