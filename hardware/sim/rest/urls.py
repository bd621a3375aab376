"""By which address a request came: all links in an answer begin with it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiohttp import hdrs

if TYPE_CHECKING:
    from aiohttp import web


def root_url(request: web.Request) -> str:
    """Scheme, host and port as the caller wrote them.

    A client follows the links of a list with its credentials, so they must never lead anywhere else.
    """
    host = request.headers.get(hdrs.HOST)
    if not host:  # HTTP/1.0; the framework's own fallback would name this machine
        name = request.transport.get_extra_info("sockname") if request.transport else None
        host = format_authority(*name[:2]) if name else "127.0.0.1"
    return f"{request.scheme}://{host}"


def format_authority(host: str, port: int) -> str:
    """Host and port as they stand in a URL."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
