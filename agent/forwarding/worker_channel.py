"""The side of a delivering process of the socket to the agent: JSON values, one on each line."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import sys
from collections.abc import Callable
from typing import Any

RECEIVE_BYTES = 65536


class AgentGone(Exception):  # noqa: N818  (the normal end of a process)
    """The agent has ended, or asks this process to end."""


class WorkerChannel:
    """The connection to the agent, which is standard input."""

    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection
        self._buffer = b""

    def fileno(self) -> int:
        """Return the file descriptor, for `select`."""
        return self._socket.fileno()

    def receive_line(self) -> dict[str, Any]:
        """Wait for one message. Raises AgentGone."""
        while not (messages := self._take(limit=1)):
            self._fill()
        return messages[0]

    def receive_available(self) -> list[dict[str, Any]]:
        """Return the complete messages, after `select` has reported data. Raises AgentGone."""
        self._fill()
        return self._take()

    def send(self, event: str, **values: object) -> None:
        """Send a message to the agent. Raises AgentGone."""
        try:
            self._socket.sendall(json.dumps({"event": event, **values}).encode() + b"\n")
        except OSError:
            raise AgentGone from None

    def take_buffered(self) -> list[dict[str, Any]]:
        """Return the complete messages that came together with an earlier one. Raises AgentGone."""
        return self._take()

    def _fill(self) -> None:
        try:
            data = self._socket.recv(RECEIVE_BYTES)
        except OSError:
            data = b""
        if not data:
            raise AgentGone
        self._buffer += data

    def _take(self, limit: int = -1) -> list[dict[str, Any]]:
        *lines, self._buffer = self._buffer.split(b"\n", limit)
        messages = [json.loads(line) for line in lines]
        if any(message.get("do") == "stop" for message in messages):
            raise AgentGone
        return messages


def run_worker(work: Callable[[WorkerChannel, dict[str, Any]], None]) -> None:
    """Run the work of a process with its settings. An unexpected error is reported in one line."""
    channel = WorkerChannel(socket.socket(fileno=os.dup(0)))
    status = 0
    try:
        with contextlib.suppress(AgentGone):
            work(channel, channel.receive_line())
    except Exception as error:  # noqa: BLE001  (the agent starts the process again and logs the reason)
        status = 1
        with contextlib.suppress(AgentGone):
            channel.send("failed", reason=f"its process failed: {type(error).__name__}: {error}")
    sys.exit(status)


def encode_content(content: str | bytes | None) -> dict[str, str]:
    """Return an answer as fields of a message; none for no answer."""
    if content is None:
        return {}
    return {"text": content} if isinstance(content, str) else {"hex": content.hex()}
