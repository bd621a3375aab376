"""The requests of the control socket: the status, sending a message, executing an AT command."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Mapping
from typing import Any, ParamSpec, TypeVar

import pdu
from agent.at.command_line import split_command_line
from agent.at.errors import AtError
from agent.common.runtime import Runtime
from agent.daemon.control_socket import REQUEST_TIMEOUT_S, ControlError
from agent.daemon.supervisor import Supervisor
from agent.journal.repair import damaged_copies
from agent.pipeline.composer import MessageComposer
from agent.pipeline.dispatcher import Dispatcher, JournalStores
from agent.recovery.executor import RecoveryExecutor
from agent.service.compose import ComposeError
from agent.version import VERSION
from hardware.recording import redact_pins

P = ParamSpec("P")
R = TypeVar("R")
SEND_WAIT_S = REQUEST_TIMEOUT_S - 5
"""Time to wait for the outcome of a message; shorter than the timeout of the request."""


class ControlApi:
    """Handles the requests. Each handler returns JSON values and raises ControlError with one sentence."""

    def __init__(
        self,
        *,
        runtime: Runtime,
        stores: JournalStores,
        composer: MessageComposer,
        supervisor: Supervisor,
        recovery_executor: RecoveryExecutor,
        dispatcher: Dispatcher,
        on_queued: Callable[[], None],
    ) -> None:
        """`on_queued` is called after a message was queued."""
        self._journal_path = stores.journal_path
        self._volatile_reason = stores.volatile_reason
        self._db = runtime.db
        self._command_store = stores.command_store
        self._outbox_store = stores.outbox_store
        self._composer = composer
        self._service = composer.service
        self._supervisor = supervisor
        self._recovery_executor = recovery_executor
        self._dispatcher = dispatcher
        self._deadlines = runtime.deadlines
        self._random = runtime.random
        self._on_queued = on_queued
        self._reply_settled = asyncio.Event()

    def on_reply_settled(self) -> None:
        """Wake the requests that wait for the outcome of a message."""
        self._reply_settled.set()
        self._reply_settled = asyncio.Event()

    async def get_status(self, _request: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return what `modem-agent status` shows."""
        connection = self._supervisor.connection
        session = connection.session
        modem: dict[str, Any] = {"state": str(connection), "sessions": connection.session_count}
        if session is not None:
            modem |= session.describe()
        await self._recovery_executor.refresh_reset_usage()
        used, budget = self._recovery_executor.reset_usage, self._recovery_executor.reset_limits
        return {
            "version": VERSION,
            "service": self._service.name,
            "number": self._service.number,
            "modem": modem,
            "recovery": {
                "state": self._recovery_executor.policy.describe(),
                "resets_hour": used.last_hour,
                "resets_day": used.last_day,
                "resets_per_hour": budget.per_hour,
                "resets_per_day": budget.per_day,
            },
            "held": None if session is None else session.sending_blocked_by,
            "volatile_journal": self._volatile_reason or None,
            "damaged_journals": [each.name for each in damaged_copies(self._journal_path)],
            "commands": await self._run_db(self._command_store.count_by_state),
            "replies": await self._run_db(self._outbox_store.count_by_state),
            "running": self._dispatcher.active_queues,
            "handler_errors": self._dispatcher.handler_errors,
            "overdue": self._deadlines.overdue(),
        }

    async def send_message(self, request: Mapping[str, Any]) -> Mapping[str, Any]:
        """Queue a message, and wait until its outcome is known unless `wait` is false.

        The request has `text` or `hex`, and `to` if it does not go to the service.
        """
        content = _parse_content(request)
        deadline = asyncio.get_running_loop().time() + SEND_WAIT_S
        try:
            destination = str(pdu.Address.parse(str(request.get("to") or self._service.number)))
            messages = self._composer.compose(
                content, sid=None, reference=self._random.randrange(256), destination=destination
            )
        except (ComposeError, pdu.PduError) as error:
            raise ControlError(str(error)) from None
        numbers = await self._run_db(self._outbox_store.enqueue, messages)
        self._on_queued()
        while True:
            settled = self._reply_settled
            states = await self._run_db(self._outbox_store.get_states, numbers)
            if not {"queued", "sending"} & {state for state, _ in states}:
                break
            if request.get("wait") is False:
                break
            try:
                await asyncio.wait_for(settled.wait(), deadline - asyncio.get_running_loop().time())
            except TimeoutError:
                raise ControlError(
                    f"not sent within {SEND_WAIT_S:.0f} s; it stays queued and is sent when possible: see "
                    "modem-agent outbox"
                ) from None
        return {
            "to": destination,
            "text": None
            if isinstance(content, bytes)
            else "".join(each.user_data.text or "" for each in messages),
            "omitted": messages[-1].omitted,
            "messages": [
                {"reply": number, "state": state, "reason": reason}
                for number, (state, reason) in zip(numbers, states, strict=True)
            ],
        }

    async def run_at_command(self, request: Mapping[str, Any]) -> Mapping[str, Any]:
        """Execute the AT command in `line` and return the lines of its answer.

        A command of lasting effect is executed only if `force` is true.
        """
        line = str(request.get("line", "")).strip()
        if request.get("force") is not True:
            _refuse_lasting_effect(line)
        session = self._supervisor.connection.session
        if session is None:
            raise ControlError(f"there is no session with the module: {self._supervisor.connection}")
        try:
            return {"lines": await session.modem.execute_at(line)}
        except AtError as error:
            raise ControlError(str(error)) from None

    async def _run_db(self, function: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
        """Run a function of the journal. Raises ControlError if the journal cannot be used."""
        try:
            return await self._db.run(function, *args, **kwargs)
        except sqlite3.Error as error:
            raise ControlError(f"the journal cannot be used now: {error}") from None


def _refuse_lasting_effect(line: str) -> None:
    """Raise ControlError if a part of an AT command line may have a lasting effect."""
    if line[:2].upper() != "AT":
        return  # no command line, which is refused later
    names = [part.name or "it" for part in split_command_line(line) if part.has_lasting_effect]
    if names:
        raise ControlError(
            f"{redact_pins(line)} is not executed: {' and '.join(dict.fromkeys(names))} may have a lasting effect "
            "on settings, messages, SIM, radio or power of the module; --force executes it"
        )


def _parse_content(request: Mapping[str, Any]) -> str | bytes:
    if isinstance(text := request.get("text"), str) and text:
        return text
    if isinstance(digits := request.get("hex"), str) and digits:
        try:
            return bytes.fromhex(digits)
        except ValueError:
            raise ControlError("--hex takes pairs of hexadecimal digits, for example 01FF") from None
    raise ControlError("nothing to send: give a text or --hex")
