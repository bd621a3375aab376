"""The client of the control socket. It needs no event loop, because asyncio is slow to import.

`agent/daemon/control_socket.py` describes requests and responses.
"""

from __future__ import annotations

import json
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any

REQUEST_TIMEOUT_S = 300.0
"""Longest time for one request; sending a message on a slow network takes minutes."""


class ControlError(Exception):
    """A request failed; the text is one sentence with the reason."""


class AgentNotRunning(ControlError):  # noqa: N818  (reads as the sentence it is)
    """No agent listens at the control socket."""


def send_request(
    path: Path, request: Mapping[str, Any], timeout_s: float = REQUEST_TIMEOUT_S + 5
) -> dict[str, Any]:
    """Send a request to the running agent and return the results, without an event loop.

    Raises ControlError if the agent cannot be reached or the request fails.
    """
    try:
        line = json.dumps(request, ensure_ascii=False).encode() + b"\n"
    except UnicodeEncodeError:  # an argument of the shell in another encoding; the error names it
        texts = [value for value in request.values() if isinstance(value, str)]
        shown = next((text for text in texts if text != text.encode(errors="replace").decode()), request)
        raise ControlError(f"{shown!r} is not valid UTF-8 and cannot be sent to the agent") from None
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        client.settimeout(timeout_s)
        try:
            client.connect(str(path))
            client.sendall(line)
            with client.makefile("rb") as responses:
                response = responses.readline()
        except (FileNotFoundError, ConnectionRefusedError):
            raise AgentNotRunning(f"no modem-agent answers at {path}; is it running?") from None
        except PermissionError:
            raise ControlError(
                f"control socket {path} is not accessible to this user: use sudo or join the "
                "group modem-agent"
            ) from None
        except OSError as error:
            raise ControlError(f"control socket {path}: {error.strerror or error}") from None
    if not response:
        raise ControlError("the agent closed the connection without a response; see its log")
    decoded: dict[str, Any] = json.loads(response)
    if not decoded.pop("ok", False):
        raise ControlError(str(decoded.get("error", "no reason given")))
    return decoded
