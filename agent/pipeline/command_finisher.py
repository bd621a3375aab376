"""Commits the end of a Command in one transaction with its reply, and logs both."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from functools import partial

from agent.common.events import Event, EventKind, Severity, mask_number
from agent.common.runtime import Runtime
from agent.handlers.results import Finished
from agent.handlers.spec import HandlerSpec
from agent.journal.executor import retry_until_committed
from agent.journal.inbox import CommandStore
from agent.journal.models import CommandRow, CommandState, OutgoingMessage, ReplyRow
from agent.journal.outbox import OutboxStore
from agent.pipeline.composer import MessageComposer
from agent.pipeline.reply_handover import ReplyHandover
from agent.service.classify import ERROR_REPLY_PREFIX
from agent.service.compose import ComposeError

MAX_ERROR_REPLIES_PER_HOUR = 10


class CommandFinisher:
    """Ends Commands. It waits while the journal cannot commit."""

    def __init__(
        self,
        *,
        runtime: Runtime,
        command_store: CommandStore,
        outbox_store: OutboxStore,
        composer: MessageComposer,
        handover: ReplyHandover,
    ) -> None:
        """`handover` passes replies to the sender."""
        self._runtime = runtime
        self._command_store = command_store
        self._outbox_store = outbox_store
        self._composer = composer
        self._handover = handover

    async def finish_done(self, row: CommandRow, spec: HandlerSpec, result: Finished) -> None:
        """Commit that the Command is done, with its reply and the action that follows the reply."""
        replies: Sequence[OutgoingMessage] = ()
        if result.reply and row.answerable:
            try:
                replies = self._compose_replies(row, result.reply, spec.reply_to, omitted=result.omitted)
            except ComposeError as error:
                await self.finish_failed(row, "answer", detail=str(error), stderr=result.stderr)
                return
        action = None if result.then is None else (spec.name, result.then)
        is_forwarded = spec.kind == "forwarding"
        finish = partial(
            self._command_store.finish,
            row.id,
            CommandState.DONE,
            None,
            replies,
            action,
            stderr=result.stderr,
            forwarded_to=spec.name if is_forwarded else None,
        )
        await self._commit_end(row.id, finish, replies)
        no_reply = f"forwarded to {spec.name}" if is_forwarded else "no reply"
        self.log(EventKind.DONE, row, "" if replies else no_reply)
        self._log_replies_queued(row, replies)

    async def queue_answer(self, row: CommandRow, content: str | bytes) -> None:
        """Commit the reply to a Command that is done; nothing if it has one, or could start a loop.

        An answer that the service cannot carry is logged and not sent.
        """
        if not row.answerable:
            return
        try:
            replies = self._compose_replies(row, content)
        except Exception as error:  # noqa: BLE001  (an answer must not end the forwarding of other Commands)
            self.log(EventKind.FAILED, row, f"no reply: {error}", severity=Severity.WARNING)
            return
        if await retry_until_committed(self._runtime, self._outbox_store.enqueue_answer, row.id, replies):
            self._log_replies_queued(row, replies)
        else:
            self.log(EventKind.DUPLICATE, row, "a second answer; it is not sent", severity=Severity.DEBUG)

    async def finish_empty(self, row: CommandRow) -> None:
        """Commit that an empty Command, which no handler matches, is done."""
        reason = "empty, nothing to do"
        await retry_until_committed(
            self._runtime, self._command_store.finish, row.id, CommandState.DONE, reason
        )
        self.log(EventKind.DONE, row, "an empty Command, and no handler matches it")

    async def finish_expired(self, row: CommandRow) -> None:
        """Commit that the Command is too old to run."""
        reason = "older than max_age_s allows"
        await retry_until_committed(
            self._runtime, self._command_store.finish, row.id, CommandState.EXPIRED, reason
        )
        self.log(EventKind.EXPIRED, row, reason, severity=Severity.WARNING)

    async def finish_failed(
        self, row: CommandRow, error_text: str, detail: str = "", stderr: str = ""
    ) -> None:
        """Commit that the Command failed. Queue an error reply unless it could loop or there are too many.

        The Command fails without a reply if that reply cannot be composed. `stderr` is the end of what its
        handler wrote there.
        """
        reason = detail or error_text
        replies: Sequence[OutgoingMessage] = ()
        recent_error_replies = await retry_until_committed(
            self._runtime, self._outbox_store.count_error_replies_within, 3600
        )
        if row.answerable and recent_error_replies < MAX_ERROR_REPLIES_PER_HOUR:
            try:
                replies = self._compose_replies(row, f"{ERROR_REPLY_PREFIX}{error_text}", error_reply=True)
            except Exception as error:  # noqa: BLE001  (it must not end the dispatcher and the other Commands)
                reason += f"; no error reply: {type(error).__name__}: {error}"
        finish = partial(
            self._command_store.finish, row.id, CommandState.FAILED, reason, replies, stderr=stderr
        )
        await self._commit_end(row.id, finish, replies)
        self.log(EventKind.FAILED, row, reason, severity=Severity.WARNING)
        self._log_replies_queued(row, replies)

    async def _commit_end(
        self, command_id: int, finish: Callable[..., ReplyRow | None], replies: Sequence[OutgoingMessage]
    ) -> None:
        """Commit the end of a Command by `finish`. Its first reply goes to the sender, if that is idle."""
        handover = self._handover.begin(command_id, replies[0]) if replies else None
        if handover is None:
            await retry_until_committed(self._runtime, finish)
            return
        try:
            may_send = handover.may_send if await handover.wait_for_prompt() else None
            handover.resolve(await self._runtime.db.run(finish, may_send=may_send))
        except sqlite3.Error:
            handover.resolve(None)
            # If the failed commit is on the disk nevertheless, this returns the reply, which has not left.
            reply = await retry_until_committed(self._runtime, finish)
            if reply is not None:
                await retry_until_committed(
                    self._runtime, self._outbox_store.requeue, reply.id, "", count_attempt=False
                )
        finally:
            handover.resolve(None)  # in case of a cancellation, so that the sender does not wait

    def log(
        self,
        kind: EventKind,
        row: CommandRow,
        message: str,
        content: str | bytes | None = None,
        severity: Severity = Severity.INFO,
    ) -> None:
        """Log an event of a Command."""
        self._runtime.emit(
            Event(kind, message, command_id=row.id, sid=row.sid, content=content, severity=severity)
        )

    def _compose_replies(
        self,
        row: CommandRow,
        content: str | bytes,
        reply_to: str | None = None,
        *,
        error_reply: bool = False,
        omitted: int = 0,
    ) -> list[OutgoingMessage]:
        return self._composer.compose(
            content,
            sid=row.sid,
            reference=row.id & 0xFF,
            destination=reply_to,
            error_reply=error_reply,
            omitted=omitted,
        )

    def _log_replies_queued(self, row: CommandRow, replies: Sequence[OutgoingMessage]) -> None:
        if replies:
            text = "".join(reply.user_data.text or "" for reply in replies)
            detail = f"reply to {mask_number(replies[0].destination)}"
            if omitted := replies[-1].omitted:
                detail += f"; it was cut, its last {omitted} characters are not sent"
            self.log(EventKind.QUEUED, row, detail, text or None)
            self._handover.notify_queued()
