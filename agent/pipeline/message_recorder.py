"""Commits received messages to the journal: Commands, parts, status reports, and what is none of these."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Collection, Sequence
from functools import partial
from typing import Protocol

import pdu
from agent.common.runtime import Runtime
from agent.journal.executor import COMMIT_RECOVERED_EVENT, commit_failed_event, retry_until_committed
from agent.journal.inbox import ChooseStart, CommandStore, MessageToStore
from agent.journal.models import CommandRow, RunStart, StoreOutcome, StoreResult
from agent.modem.stored_message import StoredMessage, Undecodable
from agent.pipeline.receiver_events import stored_event
from agent.service.classify import MessageHistory
from agent.service.message import IgnoredMessage, ReceivedMessage

Classifier = Callable[[pdu.Tpdu, str, MessageHistory], ReceivedMessage]
"""Returns the kind of a message, given its TPDU, its PDU in hexadecimal digits and the journal."""


class CommandStarter(Protocol):
    """Starts handlers for Commands as they are stored. `agent.pipeline.dispatcher` implements it."""

    def choose_start(self, row: CommandRow, unfinished: Collection[int], now: float) -> RunStart | None:
        """Return the handler that may start at once for a new Command; None if it has to wait.

        `unfinished` are the ids of all other Commands that have not ended, `now` is the time of the loop. It
        is called in the thread of the journal and changes nothing.
        """

    async def run_started(self, row: CommandRow) -> None:
        """Start the handler of a Command that was stored as running."""

    def on_start_uncertain(self) -> None:
        """Look for a Command that is running in the journal although nothing has started it."""


class MessageRecorder:
    """Records received messages, and logs each of them."""

    def __init__(
        self,
        *,
        runtime: Runtime,
        command_store: CommandStore,
        classify: Classifier,
        on_stored: Callable[[], None],
        starter: CommandStarter,
    ) -> None:
        """Create the recorder of a session.

        `on_stored` is called after each commit of a Command that waits, a status report or an ignored
        message. `starter` starts the Commands that need not wait.
        """
        self._runtime = runtime
        self._emit = runtime.emit
        self._command_store = command_store
        self._classify_message = classify
        self._on_stored = on_stored
        self._starter = starter
        self._journal_failed = False

    async def record(self, *messages: StoredMessage, run: bool = True) -> list[StoreResult]:
        """Commit messages in one transaction, in their order. Return their results.

        If not `run`, new Commands are stored as expired. Raises sqlite3.Error; nothing is stored then.
        """
        now = asyncio.get_running_loop().time()
        choose_start = partial(self._starter.choose_start, now=now)
        try:
            results = await self._runtime.db.run(self._commit, messages, choose_start, run=run)
        except sqlite3.Error:
            self._starter.on_start_uncertain()
            raise
        except Exception:
            if len(messages) == 1:
                raise
            # One message must not hold up the others of its burst.
            return [result for message in messages for result in await self.record(message, run=run)]
        if self._journal_failed:
            self._journal_failed = False
            self._emit(COMMIT_RECOVERED_EVENT)
        for result in results:
            self._emit(stored_event(result))
            await self._pass_on(result)
        return results

    async def record_at_last(self, message: StoredMessage) -> None:
        """Commit a message at the end of a session; try until it succeeds."""
        (result,) = await retry_until_committed(self._runtime, self._commit, [message])
        self._emit(stored_event(result))
        await self._pass_on(result)

    async def _pass_on(self, result: StoreResult) -> None:
        if result.started is not None:
            await self._starter.run_started(result.started)
            await asyncio.sleep(0)  # the request to the handler leaves before the caller deletes the message
        elif result.outcome in (StoreOutcome.NEW, StoreOutcome.REPORT, StoreOutcome.IGNORED):
            self._on_stored()

    def log_failure(self, error: sqlite3.Error) -> None:
        """Log once that messages stay in the module until the journal can commit again."""
        if not self._journal_failed:
            self._journal_failed = True
            self._emit(commit_failed_event(error))

    def _commit(
        self,
        messages: Sequence[StoredMessage],
        choose_start: ChooseStart = lambda _row, _unfinished: None,
        *,
        run: bool = True,
    ) -> list[StoreResult]:
        return self._command_store.store_all(
            [
                MessageToStore(
                    None if message.slot is None else (message.slot.store, message.slot.index),
                    message.raw,
                    partial(self.classify, message),
                )
                for message in messages
            ],
            run=run,
            choose_start=choose_start,
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
