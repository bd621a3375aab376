"""URLs in responses: all links begin with the address that the client used."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiohttp import hdrs

if TYPE_CHECKING:
    from aiohttp import web


def root_url(request: web.Request) -> str:
    """Return scheme, host and port as the client wrote them.

    A client follows the links of a list with its credentials, so they must lead to the same address.
    """
    host = request.headers.get(hdrs.HOST)
    if not host:  # HTTP/1.0; the framework's own fallback would name this machine
        name = request.transport.get_extra_info("sockname") if request.transport else None
        host = format_authority(*name[:2]) if name else "127.0.0.1"
    return f"{request.scheme}://{host}"


def format_authority(host: str, port: int) -> str:
    """Format host and port for a URL."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
