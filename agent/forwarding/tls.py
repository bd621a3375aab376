"""The TLS settings of a target."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from typing import Any

from agent.forwarding.secret_file import SecretError


def make_tls_context(settings: Mapping[str, Any]) -> ssl.SSLContext:
    """Return a context that checks the server, with the client certificate. Raises SecretError."""
    try:
        context = ssl.create_default_context(cafile=settings["ca_file"])
        if settings["certificate_file"]:
            context.load_cert_chain(settings["certificate_file"], settings["key_file"])
    except OSError as error:  # also SSLError
        names = [name for name in ("ca_file", "certificate_file", "key_file") if settings[name]]
        files = " or ".join(f"{name} {settings[name]}" for name in names)
        why = error.strerror or str(error)
        if isinstance(error, ssl.SSLError):
            why = "not in PEM form, or the key of another certificate"
        raise SecretError(f"{files} cannot be used: {why}") from None
    return context
