"""The agent's end of the keeper: starts it, asks it, notices its end.

No thread and no child watcher: the keeper's death is the end of the socket, after which it is waited for.
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

STOP_TIMEOUT_S = 2.5
"""The keeper takes up to 2 s to end what runs; a whole stop stays under 3 s."""

_instance_numbers = itertools.count(1)


class ManagerGone(Exception):  # noqa: N818  (its text is the sentence)
    """There is no keeper to answer; the text says why."""


class ManagerNotStarted(ManagerGone):
    """None came to life, so that nothing was started; the host may have lacked files, memory, processes."""


class ManagerClient(asyncio.Protocol):
    """One keeper process and the socket to it."""

    def __init__(
        self, process: subprocess.Popen[bytes], marker: str, on_log_line: Callable[[str, str], None]
    ) -> None:
        """Use `Link.open`."""
        self._process = process
        self._marker = marker
        self._on_log_line = on_log_line
        self._decoder = FrameDecoder()
        self._request_ids = itertools.count(1)
        self._pending: dict[bytes, tuple[asyncio.Future[Frame], Callable[[Frame], None]]] = {}
        self._exited = asyncio.get_running_loop().create_future()
        self._killed = False
        self._is_ready = False
        """Whether it has said its first word."""
        self._transport: asyncio.Transport

    @classmethod
    async def open(
        cls, environment: Mapping[str, str], memory_limit: int, on_log_line: Callable[[str, str], None]
    ) -> ManagerClient:
        """Start a keeper. Raises NoKeeper when none can be started."""
        mark = f"{os.getpid()}-{next(_instance_numbers)}"
        try:
            process, ours = _start_manager({**environment, orphans.MARKER_VARIABLE: mark}, memory_limit)
        except OSError as error:
            raise ManagerNotStarted(f"the process for handlers cannot be started: {error.strerror}") from None
        link = cls(process, mark, on_log_line)
        try:
            await asyncio.get_running_loop().create_unix_connection(lambda: link, sock=ours)
        except BaseException as error:
            ours.close()
            process.kill()
            process.wait()
            if isinstance(error, OSError):
                raise ManagerNotStarted(
                    f"the process for handlers cannot be reached: {error.strerror}"
                ) from None
            raise
        return link

    @property
    def is_gone(self) -> bool:
        """Whether another keeper is needed."""
        return self._killed or self._exited.done()

    async def request(self, frame: Frame, on_partial: Callable[[Frame], None]) -> Frame:
        """Send a request and wait for its answer; `also` is given what comes before it.

        Raises KeeperGone, NoKeeper. Cancelling has the keeper end what it does for this request.
        """
        if self.is_gone:
            raise ManagerGone("the process for handlers has ended")
        number = b"%d" % next(self._request_ids)
        answer: asyncio.Future[Frame] = asyncio.get_running_loop().create_future()
        self._pending[number] = (answer, on_partial)
        self._transport.write(encode_frame(frame | {"number": number}))
        try:
            return await answer
        except asyncio.CancelledError:
            if not self.is_gone:
                self._transport.write(encode_frame({"verb": b"cancel", "number": number}))
            raise
        finally:
            self._pending.pop(number, None)

    def kill(self) -> None:
        """End a keeper that does not answer."""
        self._killed = True
        self._process.kill()

    async def close(self) -> None:
        """Have the keeper end all that runs, and itself."""
        if not self.is_gone:
            self._transport.write(encode_frame({"verb": b"stop"}))
            await asyncio.wait([self._exited], timeout=STOP_TIMEOUT_S)
        if not self._exited.done():
            self.kill()
            await self._exited

    # Called by the transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called once by the event loop."""
        self._transport = transport  # type: ignore[assignment]  # of a socket: it writes too

    def data_received(self, data: bytes) -> None:
        """Hand answers to those who wait for them, and lines to the log."""
        try:
            for frame in self._decoder.feed(data):
                self._on_frame(frame)
        except FrameError:
            self.kill()

    def _on_frame(self, frame: Frame) -> None:
        if frame["verb"] == b"log":
            self._on_log_line(_printable(frame["name"]), _printable(frame["line"]))
            return
        if frame["verb"] == b"lives":
            self._is_ready = True
            return
        answer, also = self._pending.get(frame["number"], (None, None))
        if answer is None or also is None or answer.done():
            return
        if frame["verb"] == b"declares":
            also(frame)
        else:
            answer.set_result(frame)

    def connection_lost(self, error: Exception | None) -> None:
        """The keeper has ended, or is ending: its end of the socket closes with it."""
        self._process.kill()
        if self._process.wait() != 0:
            orphans.kill_marked(self._marker)
        gone = ManagerGone("the process for handlers has ended")
        if not self._is_ready:
            gone = ManagerNotStarted("the process for handlers has ended before it began")
        for answer, _ in self._pending.values():
            if not answer.done():
                answer.set_exception(gone)
        self._exited.set_result(None)


def _start_manager(
    environment: Mapping[str, str], memory_limit: int
) -> tuple[subprocess.Popen[bytes], socket.socket]:
    """A keeper and our end of its socket. Raises OSError."""
    # Its import path leads to this very package, installed or not; no folder of the moment is on it (-P).
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
            start_new_session=True,  # Ctrl-C at a terminal is for the agent
        )
    except OSError:
        ours.close()
        raise
    finally:
        theirs.close()
    return process, ours


def _printable(octets: bytes) -> str:
    """One line of a log, whatever a handler wrote."""
    text = octets.decode(errors="replace")
    return "".join(char if char.isprintable() else repr(char)[1:-1] for char in text)
