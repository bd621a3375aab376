"""Recognises that a handler failed because the service may not do something, and says how it may."""

from __future__ import annotations

import socket
from collections.abc import Callable

_SECTION = 'see "Give handlers more rights" in /opt/modem-agent/share/modem-agent/README.md'
_NO_ROOT = (
    "handlers have no rights of root and cannot gain any: use a polkit rule, a path unit or a handler unit, "
    f"{_SECTION}"
)
_READ_ONLY = f"the service may write to its own folders only: ReadWritePaths= allows others, {_SECTION}"
_NO_POLKIT_RULE = f"the action needs a polkit rule, {_SECTION}"
_NO_NETWORK = "handlers have no network: allow it with `sudo modem-agent setup --network`"
_HINTS = {
    "read-only file system": _READ_ONLY,
    "no new privileges": _NO_ROOT,
    "operation not permitted": _NO_ROOT,
    "interactive authentication required": _NO_POLKIT_RULE,
    "not authorized": _NO_POLKIT_RULE,
    "address family not supported": _NO_NETWORK,
}
"""Remedy by a part of the message in lower case: of EROFS, EPERM, EAFNOSUPPORT, sudo, systemctl, nmcli."""
_NO_NAMES = ("resolve host", "name resolution")


def find_remedy(text: str, can_use_network: Callable[[], bool] | None = None) -> str:
    """Return a sentence for an output or failure of a handler that shows a missing right, else ""."""
    lowered = text.lower()
    for part, remedy in _HINTS.items():
        if part in lowered:
            return remedy
    if any(part in lowered for part in _NO_NAMES) and not (can_use_network or may_use_network)():
        return _NO_NETWORK
    return ""


def may_use_network() -> bool:
    """Return False if the unit does not allow sockets of the Internet (RestrictAddressFamilies=)."""
    try:
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM).close()
    except OSError:
        return False
    return True
