"""Commits received messages to the journal: Commands, parts, status reports, and what is none of these."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable

import pdu
from agent.common.runtime import Runtime
from agent.journal.executor import COMMIT_RECOVERED_EVENT, commit_failed_event, retry_until_committed
from agent.journal.inbox import CommandStore
from agent.journal.models import StoreOutcome, StoreResult
from agent.modem.stored_message import StoredMessage, Undecodable
from agent.pipeline.receiver_events import stored_event
from agent.service.classify import MessageHistory
from agent.service.message import IgnoredMessage, ReceivedMessage

Classifier = Callable[[pdu.Tpdu, str, MessageHistory], ReceivedMessage]
"""Returns the kind of a message, given its TPDU, its PDU in hexadecimal digits and the journal."""


class MessageRecorder:
    """Records received messages, and logs each of them."""

    def __init__(
        self,
        *,
        runtime: Runtime,
        command_store: CommandStore,
        classify: Classifier,
        on_stored: Callable[[], None],
    ) -> None:
        """`on_stored` is called after each commit of a new Command, a status report or an ignored message."""
        self._runtime = runtime
        self._emit = runtime.emit
        self._command_store = command_store
        self._classify_message = classify
        self._on_stored = on_stored
        self._journal_failed = False

    async def record(self, message: StoredMessage, *, run: bool = True) -> StoreResult:
        """Commit a message. If not `run`, a new Command is stored as expired. Raises sqlite3.Error."""
        result = await self._runtime.db.run(self._commit, message, run=run)
        if self._journal_failed:
            self._journal_failed = False
            self._emit(COMMIT_RECOVERED_EVENT)
        if result.outcome in (StoreOutcome.NEW, StoreOutcome.REPORT, StoreOutcome.IGNORED):
            self._on_stored()
        self._emit(stored_event(result))
        return result

    async def record_at_last(self, message: StoredMessage) -> None:
        """Commit a message at the end of a session; try until it succeeds."""
        self._emit(stored_event(await retry_until_committed(self._runtime, self._commit, message)))

    def log_failure(self, error: sqlite3.Error) -> None:
        """Log once that messages stay in the module until the journal can commit again."""
        if not self._journal_failed:
            self._journal_failed = True
            self._emit(commit_failed_event(error))

    def _commit(self, message: StoredMessage, *, run: bool = True) -> StoreResult:
        slot = None if message.slot is None else (message.slot.store, message.slot.index)
        return self._command_store.store(
            slot, message.raw, lambda history: self.classify(message, history), run=run
        )

    def classify(self, message: StoredMessage, history: MessageHistory) -> ReceivedMessage:
        """Classify a message. If that raises an error, the message is quarantined: stored raw, ignored."""
        if isinstance(message.message, Undecodable):
            return IgnoredMessage(f"cannot be read: {message.message.reason}", None, None)
        try:
            return self._classify_message(message.message, message.raw, history)
        except (sqlite3.Error, OSError, MemoryError):
            raise  # an error of the disk or the device: the message stays in the module and is read again
        except Exception as error:  # noqa: BLE001  (one message must never stop the others)
            return IgnoredMessage(f"cannot be read: {error}", None, None)
