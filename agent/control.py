"""The control socket: the one way to talk to a running agent.

One JSON object a line in each direction. A request names what it wants in `do`; the answer has `ok` true
and what was asked for, or `ok` false and one sentence in `error`.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec

Answer = Callable[[Mapping[str, Any]], Awaitable[Mapping[str, Any]]]
LINE_LIMIT = 65_536
ANSWER_S = 300.0
"""Longest that a request may take; a message on a slow network needs some minutes."""


class ControlError(Exception):
    """A request that cannot be met; the text says why."""


class ControlUnusable(Exception):  # noqa: N818  (reads as the sentence it is)
    """The socket cannot be made; the text names it and what to do."""


class ControlServer:
    """Answers requests of the command line; `answers` names what can be asked for."""

    def __init__(self, path: Path, answers: Mapping[str, Answer]) -> None:
        self._path = path
        self._answers = answers
        self._server: asyncio.Server | None = None
        self._clients: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Listen; the socket belongs to the agent's user and group (0660). Raises ControlUnusable."""
        try:
            line = _listen(self._path)
        except OSError as error:
            raise ControlUnusable(
                f"control socket {self._path} cannot be made: {error.strerror or error}; its folder must "
                "exist, be writable by the user that runs modem-agent, and hold nothing else of that name "
                "([control] socket)"
            ) from None
        self._server = await asyncio.start_unix_server(self._connected, sock=line, limit=LINE_LIMIT)

    async def stop(self) -> None:
        """Hang up on everyone and remove the socket."""
        if self._server is None:
            return
        self._server.close()
        for task in self._clients:
            task.cancel()
        await asyncio.gather(*self._clients, return_exceptions=True)
        self._path.unlink(missing_ok=True)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is not None:
            self._clients.add(task)
            task.add_done_callback(self._clients.discard)
        try:
            while line := await reader.readline():
                writer.write(msgspec.json.encode(await self._answer(line)) + b"\n")
                await writer.drain()
        except (OSError, ValueError, asyncio.CancelledError):
            pass  # the client went away, sent a line without end, or the agent stops
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    async def _answer(self, line: bytes) -> Mapping[str, Any]:
        try:
            request = msgspec.json.decode(line, type=dict[str, Any])
        except (ValueError, RecursionError) as error:  # msgspec's own; no UTF-8; brackets within brackets
            return {"ok": False, "error": f"the request is no JSON object: {error}"}
        answer = self._answers.get(str(request.get("do")))
        if answer is None:
            known = ", ".join(self._answers)
            return {"ok": False, "error": f"unknown request {request.get('do')!r}; there are {known}"}
        try:
            async with asyncio.timeout(ANSWER_S):
                return {"ok": True, **await answer(request)}
        except ControlError as error:
            return {"ok": False, "error": str(error)}
        except TimeoutError:
            return {"ok": False, "error": f"no result within {ANSWER_S:.0f} s"}


def _listen(path: Path) -> socket.socket:
    """A listening socket in place of one that a dead agent left behind."""
    line = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    try:
        if path.is_socket():
            if _answers(path):
                raise OSError("another agent answers there")  # noqa: TRY301  (told like all other reasons)
            path.unlink()
        before = os.umask(0o117)
        try:
            line.bind(str(path))
        finally:
            os.umask(before)
        line.listen()
    except BaseException:
        line.close()
        raise
    return line


def _answers(path: Path) -> bool:
    """Whether somebody listens; a dead agent has left the socket and nobody behind it."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as line:
        line.settimeout(1)
        try:
            line.connect(str(path))
        except OSError:
            return False
    return True


def ask(path: Path, request: Mapping[str, Any], timeout_s: float = ANSWER_S + 5) -> dict[str, Any]:
    """Ask the running agent, without an event loop. Raises ControlError with a sentence."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as line:
        line.settimeout(timeout_s)
        try:
            line.connect(str(path))
            line.sendall(msgspec.json.encode(request) + b"\n")
            with line.makefile("rb") as answers:
                answer = answers.readline()
        except (FileNotFoundError, ConnectionRefusedError):
            raise ControlError(f"no modem-agent answers at {path}; is it running?") from None
        except PermissionError:
            raise ControlError(
                f"control socket {path} is not for this user: use sudo, or join the group modem-agent"
            ) from None
        except OSError as error:
            raise ControlError(f"control socket {path}: {error.strerror or error}") from None
    if not answer:
        raise ControlError("the agent hung up without an answer; see its log")
    decoded: dict[str, Any] = msgspec.json.decode(answer)
    if not decoded.pop("ok", False):
        raise ControlError(str(decoded.get("error", "no reason given")))
    return decoded
