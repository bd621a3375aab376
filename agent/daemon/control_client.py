"""The client of the control socket. It needs no event loop, because asyncio is slow to import.

`agent/daemon/control_socket.py` describes requests and responses.
"""

from __future__ import annotations

import _socket  # without `socket`, whose import takes a fifth of the time of `modem-agent status`
import json

TYPE_CHECKING = False  # importing typing and pathlib takes longer than this module
if TYPE_CHECKING:
    import socket
    from collections.abc import Mapping
    from pathlib import Path
    from typing import Any

REQUEST_TIMEOUT_S = 300.0
"""Longest time for one request; sending a message on a slow network takes minutes."""


class ControlError(Exception):
    """A request failed; the text is one sentence with the reason."""

    needs_sudo = False
    """True if the request would be answered for another user."""


class ControlForbidden(ControlError):  # noqa: N818  (reads as the sentence it is)
    """The control socket is for other users."""

    needs_sudo = True


class AgentNotRunning(ControlError):  # noqa: N818  (reads as the sentence it is)
    """No agent listens at the control socket."""


def send_request(
    path: Path | str, request: Mapping[str, Any], timeout_s: float = REQUEST_TIMEOUT_S + 5
) -> dict[str, Any]:
    """Send a request to the running agent and return the results.

    Raises ControlError if the agent cannot be reached or the request fails.
    """
    client, response = _exchange(path, request, timeout_s)
    client.close()
    return response


def open_stream(path: Path | str, name: str, timeout_s: float = 10.0) -> socket.socket:
    """Return a socket from which the items of a stream can be read, one JSON object on each line.

    Raises ControlError.
    """
    import socket  # noqa: PLC0415  (see above)

    client, _ = _exchange(path, {"do": name}, timeout_s)
    return socket.socket(fileno=client.detach())


def _exchange(
    path: Path | str, request: Mapping[str, Any], timeout_s: float
) -> tuple[_socket.socket, dict[str, Any]]:
    """Send a request; return the open connection and the results. Raises ControlError."""
    try:
        line = json.dumps(request, ensure_ascii=False).encode() + b"\n"
    except UnicodeEncodeError:  # an argument of the shell in another encoding; the error names it
        texts = [value for value in request.values() if isinstance(value, str)]
        shown = next((text for text in texts if text != text.encode(errors="replace").decode()), request)
        raise ControlError(f"{shown!r} is not valid UTF-8 and cannot be sent to the agent") from None
    client = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
    try:
        client.settimeout(timeout_s)
        client.connect(str(path))
        client.sendall(line)
        return client, _decode_response(_read_line(client))
    except OSError as error:
        client.close()
        raise _explain(error, path) from None
    except BaseException:
        client.close()
        raise


def _decode_response(line: bytes) -> dict[str, Any]:
    """Return the results in a response. Raises ControlError if the request failed."""
    if not line:
        raise ControlError("the agent closed the connection without a response; see its log")
    decoded: dict[str, Any] = json.loads(line)
    if not decoded.pop("ok", False):
        raise ControlError(str(decoded.get("error", "no reason given")))
    return decoded


def _read_line(client: _socket.socket) -> bytes:
    """Return the first line, without taking what follows it; nothing if the agent has closed."""
    line = b""
    while not line.endswith(b"\n"):
        waiting = client.recv(65536, _socket.MSG_PEEK)
        if not waiting:
            return b""
        end = waiting.find(b"\n")
        line += client.recv(len(waiting) if end < 0 else end + 1)
    return line


def _explain(error: OSError, path: Path | str) -> ControlError:
    """Return the error of a socket as a sentence that says what to do."""
    if isinstance(error, (FileNotFoundError, ConnectionRefusedError)):
        return AgentNotRunning(
            f"no modem-agent answers at {path}: it does not run, or has another [control] socket; "
            "see: systemctl status modem-agent"
        )
    if isinstance(error, PermissionError):
        return ControlForbidden(f"only root and the group modem-agent may use the control socket {path}")
    return ControlError(f"control socket {path}: {error.strerror or error}")
