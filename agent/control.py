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

from agent.story import Step, Tell, Weight

Answer = Callable[[Mapping[str, Any]], Awaitable[Mapping[str, Any]]]
LINE_LIMIT = 65_536
ANSWER_S = 300.0
"""Longest that a request may take; a message on a slow network needs some minutes."""
ACCEPT_S, ACCEPT_CAP_S = 1.0, 30.0
"""Waits where nobody can be let in, for want of files say; they double."""


class ControlError(Exception):
    """A request that cannot be met; the text says why."""


class ControlUnusable(Exception):  # noqa: N818  (reads as the sentence it is)
    """The socket cannot be made; the text names it and what to do."""


class ControlServer:
    """Answers requests of the command line; `answers` names what can be asked for."""

    def __init__(self, path: Path, answers: Mapping[str, Answer], tell: Tell = lambda step: None) -> None:
        self._path = path
        self._answers = answers
        self._tell = tell
        self._line: socket.socket | None = None
        self._door: asyncio.Task[None] | None = None
        self._clients: dict[asyncio.Task[None], None] = {}
        """In the order of their coming."""

    async def start(self) -> None:
        """Listen; the socket belongs to the agent's user and group (0660). Raises ControlUnusable."""
        try:
            self._line = _listen(self._path)
        except OSError as error:
            raise ControlUnusable(
                f"control socket {self._path} cannot be made: {error.strerror or error}; its folder must "
                "exist, be writable by the user that runs modem-agent, and hold nothing else of that name "
                "([control] socket)"
            ) from None
        self._door = asyncio.get_running_loop().create_task(self._let_in(self._line), name="control")

    async def stop(self) -> None:
        """Hang up on everyone and remove the socket."""
        if self._line is None or self._door is None:
            return
        tasks = [self._door, *self._clients]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._line.close()
        self._path.unlink(missing_ok=True)

    async def _let_in(self, line: socket.socket) -> None:
        """Take each client in.

        asyncio's own server asks the kernel a hundred times a second, and logs it each time, while there is
        no file left for a client.
        """
        loop = asyncio.get_running_loop()
        pause = 0.0
        while True:
            try:
                client, _ = await loop.sock_accept(line)
            except ConnectionError:
                continue  # whoever it was has gone
            except OSError as error:
                if not pause:
                    text = f"nobody can be let in: {error.strerror}; those who ask wait"
                    self._tell(Step("control socket", text, weight=Weight.WARNING))
                pause = min(2 * pause or ACCEPT_S, ACCEPT_CAP_S)
                await asyncio.sleep(pause)
                continue
            pause = 0.0
            task = loop.create_task(self._serve(client), name="control client")
            self._clients[task] = None
            task.add_done_callback(self._clients.pop)

    async def _serve(self, client: socket.socket) -> None:
        try:
            reader, writer = await asyncio.open_unix_connection(sock=client, limit=LINE_LIMIT)
        except OSError:
            client.close()
            return
        await self._converse(reader, writer)

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one client, request by request, until it goes."""
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
    """A listening socket in place of one that a dead agent left behind. Raises OSError, ControlUnusable."""
    line = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    line.setblocking(False)
    try:
        if path.is_socket():
            if _answers(path):
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
