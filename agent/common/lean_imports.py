"""Imports asyncio and hashlib without OpenSSL, which the service does not use.

Both import its bindings if these exist: a fifth of the import time of asyncio, and 4 MB of memory. The
process that forwards Commands over TLS is another one, and imports them as usual.
"""

from __future__ import annotations

import sys

_OPENSSL_BINDINGS = ("ssl", "_hashlib")


def import_without_openssl() -> None:
    """Import both, unless asyncio is there already. hashlib then has the implementations of Python itself."""
    if "asyncio" in sys.modules:
        return
    hidden = [name for name in _OPENSSL_BINDINGS if name not in sys.modules]
    for name in hidden:
        sys.modules[name] = None  # type: ignore[assignment]  # documented: importing it raises ImportError
    try:
        import asyncio  # noqa: F401, PLC0415  (here, where the bindings are hidden)
        import hashlib  # noqa: F401, PLC0415
        import hmac  # noqa: F401, PLC0415
    finally:
        for name in hidden:
            del sys.modules[name]
