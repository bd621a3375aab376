"""The control socket: a unix socket on which the running agent answers requests of the command line.

Each request and each response is one JSON object on one line. A request names its command in `do`. A response
has `ok` true and the results, or `ok` false and one sentence in `error`. After the response to a request for
a stream, one object follows for each item until the client disconnects.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
import stat
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

from agent.common.events import Event, EventKind, EventSink, Severity
from agent.daemon.control_client import REQUEST_TIMEOUT_S, ControlError

RequestHandler = Callable[[Mapping[str, Any]], Awaitable[Mapping[str, Any]]]
StreamHandler = Callable[[], AsyncIterator[Mapping[str, Any]]]
MAX_LINE_BYTES = 65_536
ACCEPT_RETRY_INITIAL_S, ACCEPT_RETRY_MAX_S = 1.0, 30.0
"""Delays between attempts to accept a client when that fails, for example without free file descriptors."""


class ControlUnusable(Exception):  # noqa: N818  (a state, like PortUnavailable)
    """The socket cannot be created; the text names it and the remedy."""


class RequestServer(Protocol):
    """Answers the requests of the command line."""

    @property
    def is_directory_replaced(self) -> bool:
        """True if the directory in which the socket was created does not exist any more."""

    def add_stream(self, name: str, handler: StreamHandler) -> None:
        """Answer requests for the stream `name` with the items of `handler`."""

    async def start(self) -> None:
        """Accept clients. Raises ControlUnusable."""

    async def restore(self) -> bool:
        """Create the socket again if it is gone. Return True if it is in its place."""

    async def stop(self) -> None:
        """Disconnect all clients."""


class ControlServer:
    """The `RequestServer` on a unix socket."""

    def __init__(
        self,
        path: Path,
        request_handlers: Mapping[str, RequestHandler],
        emit: EventSink = lambda event: None,
        *,
        accept_retry_s: float = ACCEPT_RETRY_INITIAL_S,
    ) -> None:
        """Create a server that does not listen yet.

        `request_handlers` has the function for each value of `do`; it may raise ControlError.
        `accept_retry_s` is the first delay after a client could not be accepted.
        """
        self._path = path
        self._request_handlers = request_handlers
        self._stream_handlers: dict[str, StreamHandler] = {}
        self._emit = emit
        self._accept_retry_s = accept_retry_s
        self._listener: socket.socket | None = None
        self._inode: tuple[int, int] | None = None
        """Device and inode of the socket file, to recognise that it was deleted or replaced."""
        self._directory_inode: tuple[int, int] | None = None
        self._directory_mode = 0
        self._restore_error = ""
        """Why the socket could not be created again; logged once."""
        self._accept_task: asyncio.Task[None] | None = None
        self._client_tasks: dict[asyncio.Task[None], None] = {}
        """In the order in which they connected (an ordered set)."""

    def add_stream(self, name: str, handler: StreamHandler) -> None:
        """Answer requests for the stream `name` with the items of `handler`."""
        self._stream_handlers[name] = handler

    async def start(self) -> None:
        """Create the socket with mode 0660 and accept clients. Raises ControlUnusable."""
        try:
            self._listen()
            self._directory_mode = stat.S_IMODE(self._path.parent.stat().st_mode)
        except OSError as error:
            raise ControlUnusable(
                f"control socket {self._path} cannot be created: {error.strerror or error}; its directory "
                "must exist, be writable by the user that runs modem-agent, and contain no other file of "
                "that name ([control] socket)"
            ) from None

    @property
    def is_directory_replaced(self) -> bool:
        """True if the directory in which the socket was created does not exist any more."""
        return _read_inode(self._path.parent) != self._directory_inode

    async def restore(self) -> bool:
        """Create the socket and its directory again if they are gone. Log it, and once why it is impossible.

        Return True if the socket is in its place. Clients that are connected stay so.
        """
        if self._is_in_place():
            return True
        try:
            if not self._path.parent.exists():
                self._path.parent.mkdir(parents=True)
                self._path.parent.chmod(self._directory_mode)  # mkdir applies the umask
            await self._stop_listening()
            self._listen()
        except (OSError, ControlUnusable) as error:
            text = f"{self._path} is gone and cannot be created again: {error}"
            if text != self._restore_error:
                self._emit(Event(EventKind.CONTROL_SOCKET, text, severity=Severity.WARNING))
            self._restore_error = text
            return False
        self._restore_error = ""
        text = f"{self._path} was deleted or replaced; it was created again"
        self._emit(Event(EventKind.CONTROL_SOCKET, text, severity=Severity.WARNING))
        return True

    async def stop(self) -> None:
        """Disconnect all clients and remove the socket."""
        if self._is_in_place():
            self._path.unlink(missing_ok=True)
        await self._stop_listening()
        for task in self._client_tasks:
            task.cancel()
        await asyncio.gather(*self._client_tasks, return_exceptions=True)

    def _listen(self) -> None:
        """Create the socket and accept clients. Raises OSError, ControlUnusable."""
        listener = self._listener = _open_listener(self._path)
        self._inode, self._directory_inode = _read_inode(self._path), _read_inode(self._path.parent)
        self._accept_task = asyncio.get_running_loop().create_task(
            self._accept_clients(listener), name="control"
        )

    async def _stop_listening(self) -> None:
        if self._accept_task is not None:
            self._accept_task.cancel()
            await asyncio.gather(self._accept_task, return_exceptions=True)
            self._accept_task = None
        if self._listener is not None:
            self._listener.close()
            self._listener = None

    def _is_in_place(self) -> bool:
        return self._listener is not None and _read_inode(self._path) == self._inode

    async def _accept_clients(self, listener: socket.socket) -> None:
        """Accept each client.

        asyncio's own server would retry a hundred times a second, with a log line each time, while no file
        descriptor is free for a client.
        """
        loop = asyncio.get_running_loop()
        pause = 0.0
        while True:
            try:
                client, _ = await loop.sock_accept(listener)
            except ConnectionError:
                continue  # the client has gone
            except OSError as error:
                if not pause:
                    text = f"clients cannot be accepted: {error.strerror}; their requests wait"
                    self._emit(Event(EventKind.CONTROL_SOCKET, text, severity=Severity.WARNING))
                pause = min(2 * pause or self._accept_retry_s, ACCEPT_RETRY_MAX_S)
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
        """Answer the requests of one client in order, until it disconnects."""
        try:
            while line := await reader.readline():
                stream: StreamHandler | None = None
                try:
                    request = _parse_request(line)
                    stream = self._stream_handlers.get(str(request.get("do")))
                    response = {} if stream is not None else await self._handle_request(request)
                except ControlError as error:
                    response = {"ok": False, "error": str(error)}
                writer.write(json.dumps({"ok": True, **response}).encode() + b"\n")
                await writer.drain()
                if stream is not None:
                    await _write_stream(stream(), reader, writer)
                    break
        except (OSError, ValueError, asyncio.CancelledError):
            pass  # the client disconnected or sent too long a line, or the agent stops
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    async def _handle_request(self, request: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the results of a request. Raises ControlError."""
        handler = self._request_handlers.get(str(request.get("do")))
        if handler is None:
            known = ", ".join((*self._request_handlers, *self._stream_handlers))
            raise ControlError(f"unknown request {request.get('do')!r}; the requests are {known}")
        try:
            async with asyncio.timeout(REQUEST_TIMEOUT_S):
                return await handler(request)
        except TimeoutError:
            raise ControlError(f"no result within {REQUEST_TIMEOUT_S:.0f} s") from None


def _parse_request(line: bytes) -> Mapping[str, Any]:
    """Return the request on a line. Raises ControlError."""
    try:
        request = json.loads(line)
    except (ValueError, RecursionError) as error:  # not JSON, not UTF-8, or nested too deeply
        raise ControlError(f"the request is not a JSON object: {error}") from None
    if not isinstance(request, dict):
        raise ControlError(f"the request is not a JSON object but {type(request).__name__}")
    return request


async def _write_stream(
    items: AsyncIterator[Mapping[str, Any]], reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    """Write the items, one on each line, until the client disconnects or sends something."""

    async def write_items() -> None:
        async for item in items:
            writer.write(json.dumps(item).encode() + b"\n")
            await writer.drain()

    tasks = {asyncio.ensure_future(write_items()), asyncio.ensure_future(reader.read(1))}
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _read_inode(path: Path) -> tuple[int, int] | None:
    """Return device and inode of a file; None if it does not exist."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _open_listener(path: Path) -> socket.socket:
    """Return a listening socket, in place of one that a killed agent left behind.

    Raises OSError or ControlUnusable.
    """
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    listener.setblocking(False)
    try:
        if path.is_socket():
            if _has_listener(path):
                raise ControlUnusable(  # noqa: TRY301  (cleaned up like all other errors)
                    f"control socket {path} is in use by another agent; stop that agent or give this one "
                    "another socket ([control] socket)"
                )
            path.unlink()
        before = os.umask(0o117)
        try:
            listener.bind(str(path))
        finally:
            os.umask(before)
        listener.listen(100)
    except BaseException:
        listener.close()
        raise
    return listener


def _has_listener(path: Path) -> bool:
    """Return True if a process listens on the socket; a killed agent leaves a socket file behind."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        client.settimeout(1)
        try:
            client.connect(str(path))
        except OSError:
            return False
    return True
