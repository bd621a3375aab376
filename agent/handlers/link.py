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
from agent.handlers import remains
from agent.handlers.frames import Frame, FrameError, Reader, pack

STOP_S = 2.5
"""The keeper takes up to 2 s to end what runs; a whole stop stays under 3 s."""

_count = itertools.count(1)


class KeeperGone(Exception):  # noqa: N818  (its text is the sentence)
    """There is no keeper to answer; the text says why."""


class NoKeeper(KeeperGone):
    """None came to life, so that nothing was started; the host may have lacked files, memory, processes."""


class Link(asyncio.Protocol):
    """One keeper process and the socket to it."""

    def __init__(
        self, process: subprocess.Popen[bytes], mark: str, heard_line: Callable[[str, str], None]
    ) -> None:
        """Use `Link.open`."""
        self._process = process
        self._mark = mark
        self._heard_line = heard_line
        self._reader = Reader()
        self._numbers = itertools.count(1)
        self._asked: dict[bytes, tuple[asyncio.Future[Frame], Callable[[Frame], None]]] = {}
        self._ended = asyncio.get_running_loop().create_future()
        self._killed = False
        self._lives = False
        """Whether it has said its first word."""
        self._transport: asyncio.Transport

    @classmethod
    async def open(
        cls, environment: Mapping[str, str], memory: int, heard_line: Callable[[str, str], None]
    ) -> Link:
        """Start a keeper. Raises NoKeeper when none can be started."""
        mark = f"{os.getpid()}-{next(_count)}"
        try:
            process, ours = _start({**environment, remains.MARK: mark}, memory)
        except OSError as error:
            raise NoKeeper(f"the process for handlers cannot be started: {error.strerror}") from None
        link = cls(process, mark, heard_line)
        try:
            await asyncio.get_running_loop().create_unix_connection(lambda: link, sock=ours)
        except BaseException as error:
            ours.close()
            process.kill()
            process.wait()
            if isinstance(error, OSError):
                raise NoKeeper(f"the process for handlers cannot be reached: {error.strerror}") from None
            raise
        return link

    @property
    def gone(self) -> bool:
        """Whether another keeper is needed."""
        return self._killed or self._ended.done()

    async def ask(self, request: Frame, also: Callable[[Frame], None]) -> Frame:
        """Send a request and wait for its answer; `also` is given what comes before it.

        Raises KeeperGone, NoKeeper. Cancelling has the keeper end what it does for this request.
        """
        if self.gone:
            raise KeeperGone("the process for handlers has ended")
        number = b"%d" % next(self._numbers)
        answer: asyncio.Future[Frame] = asyncio.get_running_loop().create_future()
        self._asked[number] = (answer, also)
        self._transport.write(pack(request | {"number": number}))
        try:
            return await answer
        except asyncio.CancelledError:
            if not self.gone:
                self._transport.write(pack({"verb": b"cancel", "number": number}))
            raise
        finally:
            self._asked.pop(number, None)

    def kill(self) -> None:
        """End a keeper that does not answer."""
        self._killed = True
        self._process.kill()

    async def close(self) -> None:
        """Have the keeper end all that runs, and itself."""
        if not self.gone:
            self._transport.write(pack({"verb": b"stop"}))
            await asyncio.wait([self._ended], timeout=STOP_S)
        if not self._ended.done():
            self.kill()
            await self._ended

    # Called by the transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called once by the event loop."""
        self._transport = transport  # type: ignore[assignment]  # of a socket: it writes too

    def data_received(self, data: bytes) -> None:
        """Hand answers to those who wait for them, and lines to the log."""
        try:
            for frame in self._reader.feed(data):
                self._heard(frame)
        except FrameError:
            self.kill()

    def _heard(self, frame: Frame) -> None:
        if frame["verb"] == b"log":
            self._heard_line(_printable(frame["name"]), _printable(frame["line"]))
            return
        if frame["verb"] == b"lives":
            self._lives = True
            return
        answer, also = self._asked.get(frame["number"], (None, None))
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
            remains.end(self._mark)
        gone = KeeperGone("the process for handlers has ended")
        if not self._lives:
            gone = NoKeeper("the process for handlers has ended before it began")
        for answer, _ in self._asked.values():
            if not answer.done():
                answer.set_exception(gone)
        self._ended.set_result(None)


def _start(environment: Mapping[str, str], memory: int) -> tuple[subprocess.Popen[bytes], socket.socket]:
    """A keeper and our end of its socket. Raises OSError."""
    # Its import path leads to this very package, installed or not; no folder of the moment is on it (-P).
    code = (
        f"import sys; sys.path.append({os.fspath(Path(agent.__file__).parents[1])!r}); "
        f"from agent.handlers.keeper import main; main({memory})"
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
