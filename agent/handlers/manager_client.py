"""The agent's client of the handler manager: starts it, sends requests and detects its end.

It needs no thread and no child watcher: the manager has ended when its socket closes.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import agent
from agent.handlers import orphans
from agent.handlers.framing import Frame, FrameDecoder, FrameError, encode_frame
from agent.handlers.protocol import printable_line

STOP_TIMEOUT_S = 2.5
"""The manager takes up to 2 s to end all runs; the whole stop must take less than 3 s."""

_instance_numbers = itertools.count(1)


class ManagerGone(Exception):  # noqa: N818  (a state of the manager, not a mistake)
    """The manager cannot answer; the text says why."""


class ManagerNotStarted(ManagerGone):
    """The manager did not start, so no handler has run. The host may be out of files, memory or processes."""


class ManagerClient(asyncio.Protocol):
    """One manager process and the socket to it."""

    def __init__(
        self, process: subprocess.Popen[bytes], marker: str, on_log_line: Callable[[str, str], None]
    ) -> None:
        """Create the client of a started manager; use `ManagerClient.open`."""
        self._process = process
        self._marker = marker
        self._on_log_line = on_log_line
        self._decoder = FrameDecoder()
        self._request_ids = itertools.count(1)
        self._pending: dict[bytes, tuple[asyncio.Future[Frame], Callable[[Frame], None]]] = {}
        self._exited = asyncio.get_running_loop().create_future()
        self._killed = False
        self._is_ready = False
        """True once the manager has sent its first frame."""
        self._transport: asyncio.Transport | None = None

    @classmethod
    async def open(
        cls, environment: Mapping[str, str], memory_limit: int, on_log_line: Callable[[str, str], None]
    ) -> ManagerClient:
        """Start a manager and connect to it. Raises ManagerNotStarted.

        `environment` is that of the handlers; `on_log_line` gets the name of a handler and one line of its
        log output.
        """
        marker = f"{os.getpid()}-{next(_instance_numbers)}"
        try:
            process, ours = _start_manager({**environment, orphans.MARKER_VARIABLE: marker}, memory_limit)
        except OSError as error:
            raise ManagerNotStarted(f"the handler manager cannot be started: {error.strerror}") from None
        client = cls(process, marker, on_log_line)
        try:
            await asyncio.get_running_loop().create_unix_connection(lambda: client, sock=ours)
        except BaseException as error:
            ours.close()
            process.kill()
            process.wait()
            if isinstance(error, OSError):
                raise ManagerNotStarted(f"the handler manager cannot be reached: {error.strerror}") from None
            raise
        return client

    @property
    def is_gone(self) -> bool:
        """True if the manager has ended or was killed, so that a new one is needed."""
        return self._killed or self._exited.done()

    async def request(self, frame: Frame, on_partial: Callable[[Frame], None]) -> Frame:
        """Send a request and return its final response; `on_partial` gets the declarations before it.

        Raises ManagerGone, ManagerNotStarted. If the caller is cancelled, the manager kills the run.
        """
        if self.is_gone:
            raise ManagerGone("the handler manager has ended")
        request_id = b"%d" % next(self._request_ids)
        response: asyncio.Future[Frame] = asyncio.get_running_loop().create_future()
        self._pending[request_id] = (response, on_partial)
        self._send(frame | {"request_id": request_id})
        try:
            return await response
        except asyncio.CancelledError:
            if not self.is_gone:
                self._send({"verb": b"cancel", "request_id": request_id})
            raise
        finally:
            self._pending.pop(request_id, None)

    def send(self, frame: Frame) -> None:
        """Send a request that has no response. A manager that is gone does not get it."""
        if not self.is_gone:
            self._send(frame)

    def _send(self, frame: Frame) -> None:
        if self._transport is not None:
            self._transport.write(encode_frame(frame))

    def kill(self) -> None:
        """Kill a manager that does not answer."""
        self._killed = True
        self._process.kill()

    async def close(self) -> None:
        """Stop the manager, which ends all runs first; kill it if it does not end in time."""
        if not self.is_gone:
            self._send({"verb": b"stop"})
            await asyncio.wait([self._exited], timeout=STOP_TIMEOUT_S)
        if not self._exited.done():
            self.kill()
            await self._exited

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport; the event loop calls this once."""
        self._transport = transport  # type: ignore[assignment]  # of a socket: it writes too

    def data_received(self, data: bytes) -> None:
        """Dispatch the frames of the manager; kill it if they are invalid."""
        try:
            for frame in self._decoder.feed(data):
                self._on_frame(frame)
        except FrameError:
            self.kill()

    def _on_frame(self, frame: Frame) -> None:
        if frame["verb"] == b"log":
            self._on_log_line(printable_line(frame["name"]), printable_line(frame["line"]))
            return
        if frame["verb"] == b"ready":
            self._is_ready = True
            return
        response, on_partial = self._pending.get(frame["request_id"], (None, None))
        if response is None or on_partial is None or response.done():
            return
        if frame["verb"] == b"declaration":
            on_partial(frame)
        else:
            response.set_result(frame)

    def connection_lost(self, error: Exception | None) -> None:
        """Wait for the end of the manager, kill its orphans, fail all pending requests."""
        self._process.kill()
        if self._process.wait() != 0:
            orphans.kill_marked(self._marker)
        gone = ManagerGone("the handler manager has ended")
        if not self._is_ready:
            gone = ManagerNotStarted("the handler manager ended before it was ready")
        for response, _ in self._pending.values():
            if not response.done():
                response.set_exception(gone)
        self._exited.set_result(None)


def _start_manager(
    environment: Mapping[str, str], memory_limit: int
) -> tuple[subprocess.Popen[bytes], socket.socket]:
    """Start a manager; return its process and our end of its socket. Raises OSError."""
    # The import path leads to this same package, installed or not; -P keeps the current directory out of it.
    code = (
        f"import sys; sys.path.append({os.fspath(Path(agent.__file__).parents[1])!r}); "
        f"from agent.handlers.manager import main; main({memory_limit})"
    )
    ours, theirs = socket.socketpair()
    try:
        process = subprocess.Popen(
            [sys.executable, "-P", "-c", code],
            stdin=theirs.fileno(),
            stdout=subprocess.DEVNULL,
            env=environment,
            start_new_session=True,  # Ctrl-C in a terminal must reach the agent only
        )
    except OSError:
        ours.close()
        raise
    finally:
        theirs.close()
    return process, ours
