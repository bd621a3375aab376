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

from agent.common.events import Event, EventKind, EventSink, Severity

RequestHandler = Callable[[Mapping[str, Any]], Awaitable[Mapping[str, Any]]]
MAX_LINE_BYTES = 65_536
REQUEST_TIMEOUT_S = 300.0
"""Longest that a request may take; a message on a slow network needs some minutes."""
ACCEPT_RETRY_INITIAL_S, ACCEPT_RETRY_MAX_S = 1.0, 30.0
"""Waits where nobody can be let in, for want of files say; they double."""


class ControlError(Exception):
    """A request that cannot be met; the text says why."""


class ControlUnusable(Exception):  # noqa: N818  (reads as the sentence it is)
    """The socket cannot be made; the text names it and what to do."""


class ControlServer:
    """Answers requests of the command line; `answers` names what can be asked for."""

    def __init__(
        self, path: Path, request_handlers: Mapping[str, RequestHandler], emit: EventSink = lambda step: None
    ) -> None:
        self._path = path
        self._request_handlers = request_handlers
        self._emit = emit
        self._listener: socket.socket | None = None
        self._accept_task: asyncio.Task[None] | None = None
        self._client_tasks: dict[asyncio.Task[None], None] = {}
        """In the order of their coming."""

    async def start(self) -> None:
        """Listen; the socket belongs to the agent's user and group (0660). Raises ControlUnusable."""
        try:
            self._listener = _open_listener(self._path)
        except OSError as error:
            raise ControlUnusable(
                f"control socket {self._path} cannot be made: {error.strerror or error}; its folder must "
                "exist, be writable by the user that runs modem-agent, and hold nothing else of that name "
                "([control] socket)"
            ) from None
        self._accept_task = asyncio.get_running_loop().create_task(
            self._accept_clients(self._listener), name="control"
        )

    async def stop(self) -> None:
        """Hang up on everyone and remove the socket."""
        if self._listener is None or self._accept_task is None:
            return
        tasks = [self._accept_task, *self._client_tasks]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._listener.close()
        self._path.unlink(missing_ok=True)

    async def _accept_clients(self, listener: socket.socket) -> None:
        """Take each client in.

        asyncio's own server asks the kernel a hundred times a second, and logs it each time, while there is
        no file left for a client.
        """
        loop = asyncio.get_running_loop()
        pause = 0.0
        while True:
            try:
                client, _ = await loop.sock_accept(listener)
            except ConnectionError:
                continue  # whoever it was has gone
            except OSError as error:
                if not pause:
                    text = f"nobody can be let in: {error.strerror}; those who ask wait"
                    self._emit(Event(EventKind.CONTROL_SOCKET, text, severity=Severity.WARNING))
                pause = min(2 * pause or ACCEPT_RETRY_INITIAL_S, ACCEPT_RETRY_MAX_S)
                await asyncio.sleep(pause)
                continue
            pause = 0.0
            task = loop.create_task(self._serve_client(client), name="control client")
            self._client_tasks[task] = None
            task.add_done_callback(self._client_tasks.pop)

    async def _serve_client(self, client: socket.socket) -> None:
        try:
            reader, writer = await asyncio.open_unix_connection(sock=client, limit=MAX_LINE_BYTES)
        except OSError:
            client.close()
            return
        await self._serve_requests(reader, writer)

    async def _serve_requests(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one client, request by request, until it goes."""
        try:
            while line := await reader.readline():
                writer.write(msgspec.json.encode(await self._handle_request(line)) + b"\n")
                await writer.drain()
        except (OSError, ValueError, asyncio.CancelledError):
            pass  # the client went away, sent a line without end, or the agent stops
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    async def _handle_request(self, line: bytes) -> Mapping[str, Any]:
        try:
            request = msgspec.json.decode(line, type=dict[str, Any])
        except (ValueError, RecursionError) as error:  # msgspec's own; no UTF-8; brackets within brackets
            return {"ok": False, "error": f"the request is no JSON object: {error}"}
        answer = self._request_handlers.get(str(request.get("do")))
        if answer is None:
            known = ", ".join(self._request_handlers)
            return {"ok": False, "error": f"unknown request {request.get('do')!r}; there are {known}"}
        try:
            async with asyncio.timeout(REQUEST_TIMEOUT_S):
                return {"ok": True, **await answer(request)}
        except ControlError as error:
            return {"ok": False, "error": str(error)}
        except TimeoutError:
            return {"ok": False, "error": f"no result within {REQUEST_TIMEOUT_S:.0f} s"}


def _open_listener(path: Path) -> socket.socket:
    """A listening socket in place of one that a dead agent left behind. Raises OSError, ControlUnusable."""
    line = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    line.setblocking(False)
    try:
        if path.is_socket():
            if _has_listener(path):
                raise ControlUnusable(  # noqa: TRY301  (told like all other reasons)
                    f"control socket {path}: another agent answers there; stop that one or give this one a "
                    "socket of its own ([control] socket)"
                )
            path.unlink()
        before = os.umask(0o117)
        try:
            line.bind(str(path))
        finally:
            os.umask(before)
        line.listen(100)
    except BaseException:
        line.close()
        raise
    return line


def _has_listener(path: Path) -> bool:
    """Whether somebody listens; a dead agent has left the socket and nobody behind it."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as line:
        line.settimeout(1)
        try:
            line.connect(str(path))
        except OSError:
            return False
    return True


def send_request(
    path: Path, request: Mapping[str, Any], timeout_s: float = REQUEST_TIMEOUT_S + 5
) -> dict[str, Any]:
    """Ask the running agent, without an event loop. Raises ControlError with a sentence."""
    try:
        question = msgspec.json.encode(request) + b"\n"
    except UnicodeEncodeError as error:  # an argument of the shell in another encoding
        raise ControlError(f"{error.object!r} is no UTF-8 and cannot be handed to the agent") from None
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as line:
        line.settimeout(timeout_s)
        try:
            line.connect(str(path))
            line.sendall(question)
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
