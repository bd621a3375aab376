"""A target whose deliveries are made by a process of its own; it is started again whenever it ends.

So the agent itself loads neither TLS nor a client library, and a server that hangs hangs that process only.
Both sides exchange JSON values, one on each line. The process has ended when its socket closes.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import os
import socket
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from random import Random
from typing import Any

import agent
from agent.common.backoff import Backoff
from agent.common.events import Condition
from agent.forwarding.delivery import Accepted, Delivery, Postponed, Rejected, TargetListener
from agent.handlers.spec import HandlerSpec

RESTART_BACKOFF = Backoff(initial_s=1, max_s=300, factor=2)
"""Delay before a process that ended is started again."""
STABLE_AFTER_S = 60.0
"""A process that lived this long has not failed at its start."""
STOP_TIMEOUT_S = 1.0
"""Time in which the process says goodbye to the broker when the agent stops."""
MAX_LINE_BYTES = 1 << 20
"""Limit of a line; the largest has an answer of 64 KiB, each octet perhaps escaped as six characters."""


class WorkerTarget:
    """One target and its process."""

    def __init__(
        self,
        *,
        spec: HandlerSpec,
        module: str,
        settings: Mapping[str, Any],
        condition: Condition,
        answer_timeout_s: float,
        delivery_timeout_s: float,
        random: Random,
    ) -> None:
        """`module` is the one whose `main` the process runs; `settings` are passed to it as JSON."""
        self.spec = spec
        self.gateway = str(settings["gateway"])
        self.condition = condition
        self.answer_timeout_s = answer_timeout_s
        self.delivery_timeout_s = delivery_timeout_s
        self._module = module
        self._settings = settings
        self._random = random
        self._writer: asyncio.StreamWriter | None = None
        self._request_ids = itertools.count(1)
        self._pending: dict[int, asyncio.Future[Delivery]] = {}
        self._state: Mapping[str, Any] | None = None
        self._process: subprocess.Popen[bytes] | None = None

    async def run(self, listener: TargetListener) -> None:
        """Keep the process running until cancelled; then stop it within about a second."""
        loop = asyncio.get_running_loop()
        failures = 0
        while True:
            started_at = loop.time()
            try:
                reason = await self._run_process(listener)
            except OSError as error:
                reason = f"its process cannot be started: {error.strerror or error}"
            failures = 1 if loop.time() - started_at > STABLE_AFTER_S else failures + 1
            listener.on_disconnected(reason)
            await asyncio.sleep(RESTART_BACKOFF.delay(failures, self._random))

    async def deliver(self, message: Mapping[str, Any]) -> Delivery:
        """Deliver the fields of a message."""
        if self._writer is None:
            return Postponed("its process is being started")
        number = next(self._request_ids)
        outcome: asyncio.Future[Delivery] = asyncio.get_running_loop().create_future()
        self._pending[number] = outcome
        try:
            async with asyncio.timeout(self.delivery_timeout_s):
                self._send({"do": "deliver", "request": number, "message": message})
                return await outcome
        except TimeoutError:
            # A process that is stuck in a server cannot do anything else.
            if self._writer is not None:  # it may have ended at this moment
                self._writer.transport.abort()
            return Postponed(f"no answer within {self.delivery_timeout_s:g} s")
        finally:
            self._pending.pop(number, None)

    def publish_state(self, state: Mapping[str, Any]) -> None:
        """Pass the state to the process if it is published and has changed."""
        if self._settings.get("publish_state") or self._settings.get("home_assistant"):
            if state != self._state:
                self._send({"do": "state", "state": state})
            self._state = state

    async def _run_process(self, listener: TargetListener) -> str:
        """Run one process to its end; return the reason of the end. Raises OSError."""
        self._process, ours = _start_process(self._module)
        reason = "its process has ended"
        reader, self._writer = await asyncio.open_unix_connection(sock=ours, limit=MAX_LINE_BYTES)
        try:
            self._send({**self._settings, "jitter": self._random.random()})
            if self._state is not None:
                self._send({"do": "state", "state": self._state})
            async with asyncio.TaskGroup() as group:
                while line := await reader.readline():
                    if failure := self._on_message(json.loads(line), listener, group):
                        reason = failure
        except* (ValueError, KeyError, ConnectionError):
            reason = "its process has failed"
        finally:
            await self._end_process(self._process, reader)
        return reason

    async def _end_process(self, process: subprocess.Popen[bytes], reader: asyncio.StreamReader) -> None:
        """Ask the process to end if it has not; kill it if it does not end in time."""
        self._send({"do": "stop"})
        writer, self._writer = self._writer, None
        for outcome in self._pending.values():
            if not outcome.done():
                outcome.set_result(Postponed("its process has ended"))
        try:
            with contextlib.suppress(TimeoutError, ConnectionError):
                async with asyncio.timeout(STOP_TIMEOUT_S):
                    while await reader.read(MAX_LINE_BYTES):
                        pass
        finally:
            process.kill()
            process.wait()
            if writer is not None:
                writer.close()

    def _on_message(
        self, message: dict[str, Any], listener: TargetListener, group: asyncio.TaskGroup
    ) -> str | None:
        """Handle one message of the process. Return the reason if it is about to end."""
        match message["event"]:
            case "connected":
                listener.on_connected(str(message["detail"]))
            case "disconnected":
                listener.on_disconnected(str(message["reason"]))
            case "note":
                listener.on_note(str(message["text"]))
            case "delivery":
                outcome = self._pending.get(message["request"])
                if outcome is not None and not outcome.done():
                    outcome.set_result(_decode_delivery(message))
            case "answer":
                group.create_task(self._pass_answer(message, listener), name="answer")
            case "failed":
                return str(message["reason"])
        return None

    async def _pass_answer(self, message: dict[str, Any], listener: TargetListener) -> None:
        """Pass on an answer, and let the process acknowledge it once it is committed."""
        await listener.on_answer(str(message["id"]), _decode_content(message) or "")
        self._send({"do": "acknowledge", "answer": message["answer"]})

    def _send(self, message: Mapping[str, Any]) -> None:
        if self._writer is not None and not self._writer.is_closing():
            self._writer.write(json.dumps(message).encode() + b"\n")


def _decode_delivery(message: dict[str, Any]) -> Delivery:
    match message["outcome"]:
        case "accepted":
            return Accepted(_decode_content(message))
        case "rejected":
            return Rejected(str(message["reason"]))
        case _:
            return Postponed(str(message["reason"]), float(message.get("min_delay_s", 0.0)))


def _decode_content(message: dict[str, Any]) -> str | bytes | None:
    if "hex" in message:
        return bytes.fromhex(message["hex"])
    return None if message.get("text") is None else str(message["text"])


def _start_process(module: str) -> tuple[subprocess.Popen[bytes], socket.socket]:
    """Start a process that runs `main` of a module; return it and our end of its socket. Raises OSError."""
    # The import path leads to this same package, installed or not; -P keeps the current directory out of it.
    code = (
        f"import sys; sys.path.append({os.fspath(Path(agent.__file__).parents[1])!r}); "
        f"from {module} import main; main()"
    )
    ours, theirs = socket.socketpair()
    with contextlib.ExitStack() as stack:
        stack.callback(ours.close)
        with theirs:
            process = subprocess.Popen(
                [sys.executable, "-P", "-c", code],
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                start_new_session=True,  # Ctrl-C in a terminal must reach the agent only
            )
        stack.pop_all()
    return process, ours
