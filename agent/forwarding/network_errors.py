"""Says why a connection to a broker or server failed, and what the operator can do."""

from __future__ import annotations

import errno
import socket
import ssl

from agent.handlers.missing_rights import may_use_network

NO_NETWORK = "the service may not use the network: allow it with `sudo modem-agent setup --network`"
_NOT_ALLOWED = (errno.EAFNOSUPPORT, errno.EPERM, errno.EACCES)
"""Errors of a service whose unit has RestrictAddressFamilies= or IPAddressDeny=."""


def describe_network_error(error: object) -> str:
    """Return a clause for an exception of a socket, of name resolution or of TLS."""
    match error:
        case ssl.SSLCertVerificationError():
            advice = "set ca_file if it has a CA of its own"
            return f"its certificate is not valid here: {error.verify_message}; {advice}"
        case ssl.SSLError():
            advice = "is this the port for TLS, and is a client certificate needed?"
            return f"TLS failed: {error.reason or error}; {advice}"
        case socket.gaierror():
            return NO_NETWORK if not may_use_network() else f"its name cannot be resolved: {error.strerror}"
        case TimeoutError():
            return "no answer in time"
        case OSError() if error.errno in _NOT_ALLOWED:
            return NO_NETWORK
        case OSError():
            return error.strerror or str(error) or type(error).__name__
        case _:
            return str(error)
