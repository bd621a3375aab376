"""The requests of the control socket: the status, sending a message, executing an AT command."""

from __future__ import annotations

import asyncio
import contextlib
import re
import sqlite3
from collections.abc import Callable, Mapping
from typing import Any, ParamSpec, TypeVar

import pdu
from agent.at.command_line import split_command_line
from agent.at.errors import AtError, CommandRefused
from agent.common.runtime import Runtime
from agent.daemon.agent_status import AgentStatus
from agent.daemon.control_client import REQUEST_TIMEOUT_S, ControlError
from agent.daemon.session import Session
from agent.daemon.supervisor import Supervisor
from agent.journal.outbox import OutboxStore
from agent.pipeline.composer import MessageComposer
from agent.service.compose import ComposeError
from hardware.recording import redact_pins

P = ParamSpec("P")
R = TypeVar("R")
SEND_WAIT_S = REQUEST_TIMEOUT_S - 5
"""Time to wait for the outcome of a message; shorter than the timeout of the request."""
REASON_CHECK_INTERVAL_S = 2.0
"""Interval at which a client that waits receives the reason, if that has changed."""
WATCH_MAX_AGE_S = 10.0
"""Age at which registration and signal are queried again for a client that watches the status."""
MAX_REPLY_ID = 2**63 - 1
"""The greatest integer of SQLite."""
_DIGITS = re.compile(r"\d+")


class ControlApi:
    """Handles the requests. Each handler returns JSON values and raises ControlError with one sentence."""

    def __init__(
        self,
        *,
        runtime: Runtime,
        outbox_store: OutboxStore,
        composer: MessageComposer,
        supervisor: Supervisor,
        agent_status: AgentStatus,
        on_queued: Callable[[], None],
        describe_alarm: Callable[[], str] = lambda: "",
    ) -> None:
        """`on_queued` is called after a message was queued; `describe_alarm` returns a line for `status`."""
        self._describe_alarm = describe_alarm
        self._db = runtime.db
        self._outbox_store = outbox_store
        self._composer = composer
        self._service = composer.service
        self._supervisor = supervisor
        self._agent_status = agent_status
        self._random = runtime.random
        self._on_queued = on_queued
        self._reply_settled = asyncio.Event()

    def on_reply_settled(self) -> None:
        """Wake the requests that wait for the outcome of a message."""
        self._reply_settled.set()
        self._reply_settled = asyncio.Event()

    async def get_status(self, request: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return what `modem-agent status` shows.

        If `watch` is true, registration and signal are queried soon, unless that was done a moment ago.
        """
        session = self._supervisor.connection.session
        if request.get("watch") is True and session is not None:
            session.refresh_status(WATCH_MAX_AGE_S)
        return {**await self._agent_status.build(), "alarm": self._describe_alarm() or None}

    async def measure_signal(self, _request: Mapping[str, Any]) -> Mapping[str, Any]:
        """Query the reception of the module and return what `modem-agent signal` shows."""
        session = self._require_session()
        if session.awaited_result:
            raise ControlError(f"the module is asked nothing now: {session.awaited_result}")
        try:
            quality = await session.measure_signal()
        except AtError as error:
            raise ControlError(str(error)) from None
        return {
            **quality.as_dict(),
            "operator": session.operator.name or None,
            "access_technology": session.operator.access_technology or None,
            "registration": str(session.modem.status.registration),
        }

    async def send_message(self, request: Mapping[str, Any]) -> Mapping[str, Any]:
        """Queue a message, and wait until its outcome is known unless `wait` is false.

        The request has `text` or `hex`, and `to` if it does not go to the service. `waiting_for` in the
        response says why messages are not sent yet.
        """
        content = _parse_content(request)
        try:
            destination = str(pdu.Address.parse(str(request.get("to") or self._service.number)))
            messages = self._composer.compose(
                content, sid=None, reference=self._random.randrange(256), destination=destination
            )
        except (ComposeError, pdu.PduError) as error:
            raise ControlError(str(error)) from None
        numbers = await self._run_db(self._outbox_store.enqueue, messages)
        self._on_queued()
        is_awaited = request.get("wait") is not False
        outcome = await (self._wait(numbers, SEND_WAIT_S) if is_awaited else self._describe_outcome(numbers))
        return {
            "to": destination,
            "text": None
            if isinstance(content, bytes)
            else "".join(each.user_data.text or "" for each in messages),
            "omitted": messages[-1].omitted,
            **outcome,
        }

    async def wait_for_outcome(self, request: Mapping[str, Any]) -> Mapping[str, Any]:
        """Wait until the messages in `replies` have their outcome, or wait for something else than `known`.

        `within_s` is the number of seconds to wait at most. The response has what is left of it.
        """
        numbers, within_s = request.get("replies"), request.get("within_s", SEND_WAIT_S)
        if not isinstance(numbers, list) or not all(
            isinstance(number, int) and 0 < number <= MAX_REPLY_ID for number in numbers
        ):
            raise ControlError("replies must be a list of the numbers of messages")
        if not isinstance(within_s, int | float) or within_s > SEND_WAIT_S:
            raise ControlError(f"within_s must be a number up to {SEND_WAIT_S:.0f}")
        loop = asyncio.get_running_loop()
        began = loop.time()
        outcome = await self._wait(numbers, within_s, str(request.get("known") or ""))
        return {**outcome, "within_s": within_s - (loop.time() - began)}

    async def _wait(self, numbers: list[int], within_s: float, known: str | None = None) -> dict[str, Any]:
        """Return the outcome of messages once it is final, or once they wait for something else than `known`.

        Raises ControlError when the time is over.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + within_s
        while True:
            settled = self._reply_settled
            outcome = await self._describe_outcome(numbers)
            waiting_for = outcome["waiting_for"]
            if waiting_for is None or (known is not None and not _is_same_reason(waiting_for, known)):
                return outcome
            left_s = deadline - loop.time()
            if left_s <= 0:
                reason = f" ({waiting_for})" if waiting_for else ""
                raise ControlError(
                    f"not sent within {SEND_WAIT_S:.0f} s{reason}; it stays queued and is sent when possible:"
                    " see modem-agent outbox"
                )
            with contextlib.suppress(TimeoutError):
                poll_s = left_s if known is None else REASON_CHECK_INTERVAL_S
                await asyncio.wait_for(settled.wait(), min(left_s, poll_s))

    async def _describe_outcome(self, numbers: list[int]) -> dict[str, Any]:
        """Return the state of messages, and what they wait for: None if all have their outcome."""
        states = await self._run_db(self._outbox_store.get_states, numbers)
        waiting_for = None
        for state, reason in states:
            if state == "sending":
                waiting_for = "it is being sent, and the module has not reported the result yet"
            elif state == "queued":
                waiting_for = self._agent_status.explain_wait() or (reason or "").removeprefix("waiting: ")
                break
        return {
            "messages": [
                {"reply": number, "state": state, "reason": reason}
                for number, (state, reason) in zip(numbers, states, strict=True)
            ],
            "waiting_for": waiting_for,
        }

    async def run_at_command(self, request: Mapping[str, Any]) -> Mapping[str, Any]:
        """Execute the AT command in `line` and return the lines of its answer.

        A command of lasting effect is executed only if `force` is true. If `result` is true, a refusal is no
        error of the request: `result` in the response has the final result code.
        """
        line, wants_result = str(request.get("line", "")).strip(), request.get("result") is True
        if request.get("force") is not True:
            _refuse_lasting_effect(line)
        session = self._require_session()
        try:
            lines = await session.modem.execute_at(line)
        except AtError as error:
            if isinstance(error, CommandRefused) and wants_result:
                return {"lines": [], "result": error.result.text}
            raise ControlError(str(error)) from None
        return {"lines": lines} | ({"result": "OK"} if wants_result else {})

    def _require_session(self) -> Session:
        """Return the session with the module. Raises ControlError if there is none."""
        session = self._supervisor.connection.session
        if session is None:
            raise ControlError(f"there is no session with the module: {self._supervisor.connection}")
        return session

    async def _run_db(self, function: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
        """Run a function of the journal. Raises ControlError if the journal cannot be used."""
        try:
            return await self._db.run(function, *args, **kwargs)
        except sqlite3.Error as error:
            raise ControlError(f"the journal cannot be used now: {error}") from None


def _is_same_reason(one: str, other: str) -> bool:
    """Compare two reasons without the numbers in them, such as the seconds until the next attempt."""
    return _DIGITS.sub("#", one) == _DIGITS.sub("#", other)


def _refuse_lasting_effect(line: str) -> None:
    """Raise ControlError if a part of an AT command line may have a lasting effect."""
    if line[:2].upper() != "AT":
        return  # no command line, which is refused later
    names = [part.name or "it" for part in split_command_line(line) if part.has_lasting_effect]
    if names:
        raise ControlError(
            f"{redact_pins(line)} is not executed: {' and '.join(dict.fromkeys(names))} may have a lasting "
            "effect on settings, messages, SIM, radio or power of the module; --force executes it"
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
