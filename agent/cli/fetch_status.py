"""Asks the running agent for its status."""

from __future__ import annotations

from agent.daemon.control_client import ControlError, send_request

TYPE_CHECKING = False  # importing typing and pathlib takes longer than this module
if TYPE_CHECKING:
    from pathlib import Path
    from typing import Any

STATUS_TIMEOUT_S = 10.0
"""The agent answers at once, unless its host is overloaded."""


def fetch_status(path: Path | str, *, watch: bool = False) -> dict[str, Any]:
    """Return the response of the agent at a control socket.

    `watch`: registration and signal are queried soon if they are not fresh. Raises ControlError, also if the
    agent is older than this command: it goes on running after an upgrade.
    """
    request = {"do": "status"} | ({"watch": True} if watch else {})
    response = send_request(path, request, timeout_s=STATUS_TIMEOUT_S)
    if "uptime_s" not in response:
        raise ControlError(
            f"the running agent is version {response.get('version', 'unknown')} and does not report all that "
            "this command shows: restart it (sudo systemctl restart modem-agent)"
        )
    return response
