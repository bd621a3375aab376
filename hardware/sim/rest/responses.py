"""Responses: pages of lists, errors in the documented form, and the URLs in both."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING
from urllib.parse import urlencode

import aiohttp
from aiohttp import hdrs, web

from hardware.sim.service.errors import (
    INVALID_VALUE,
    METHOD_NOT_ALLOWED,
    NO_SUCH_RESOURCE,
    UNSPECIFIED,
    ServiceError,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from aiohttp.typedefs import Handler

    from hardware.sim.service.paging import Page, Query, Row

log = logging.getLogger(__name__)


@web.middleware
async def errors_as_json(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turn exceptions of a handler, of the router or of the framework into responses."""
    try:
        return await handler(request)
    except ServiceError as error:
        return error_response(error)
    except web.HTTPNotFound as error:
        if request.path.startswith("/sandbox/"):
            paths = {each.canonical for each in request.app.router.resources()}
            control = ", ".join(
                sorted(path for path in paths if path.startswith("/sandbox") and path[-1] != "/")
            )
            message = f"The requested resource {request.path} was not found; there are {control}."
            return error_response(ServiceError(404, NO_SUCH_RESOURCE, message))
        return error_response(convert_http_error(request, error))
    except web.HTTPError as error:
        return error_response(convert_http_error(request, error))
    except web.RequestPayloadError:
        message = "The body cannot be read: it is not encoded as its header says, or incomplete."
        return error_response(ServiceError(400, INVALID_VALUE, message))
    except (ConnectionError, aiohttp.ClientConnectionError):  # the client has hung up
        raise
    except Exception:  # the client must get JSON for any error
        log.exception("%s %s failed", request.method, request.path)
        return error_response(ServiceError(500, UNSPECIFIED, "Internal error in the sandbox; see its log."))


def convert_http_error(request: web.BaseRequest, error: web.HTTPException) -> ServiceError:
    """Return an error of the router or of the framework in the form of the services."""
    if isinstance(error, web.HTTPNotFound):
        message = f"The requested resource {request.path} was not found."
        return ServiceError(404, NO_SUCH_RESOURCE, message)
    if isinstance(error, web.HTTPMethodNotAllowed):
        message = f"{request.method} is not allowed on {request.path}."
        headers = {str(hdrs.ALLOW): error.headers[hdrs.ALLOW]}
        return ServiceError(405, METHOD_NOT_ALLOWED, message, headers)
    return ServiceError(error.status, UNSPECIFIED, f"{error.reason}.")


def error_response(error: ServiceError) -> web.Response:
    """Return the documented body of an error."""
    return web.json_response(error.to_json(), status=error.status, headers=error.headers)


def list_response(
    page: Page[Row], key: str, url: str, to_json: Callable[[Row], dict[str, object]]
) -> web.Response:
    """Return the response with the rows under `key`; `url` is that of the list, without a query."""

    def link(query: Query | None) -> str | None:
        return None if query is None else f"{url}?{urlencode(query)}"

    meta = {
        "first_page_url": link(page.first),
        "key": key,
        "next_page_url": link(page.next),
        "page": page.number,
        "page_size": page.size,
        "previous_page_url": link(page.previous),
        "url": link(page.current),
    }
    return web.json_response({key: [to_json(row) for row in page.rows], "meta": meta})


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
