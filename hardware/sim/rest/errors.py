"""Errors as JSON in the documented form, whether from a service, the router or an internal error."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from aiohttp import hdrs, web

from hardware.sim.service.errors import METHOD_NOT_ALLOWED, NO_SUCH_RESOURCE, UNSPECIFIED, ServiceError

if TYPE_CHECKING:
    from aiohttp.typedefs import Handler

log = logging.getLogger(__name__)


@web.middleware
async def errors_as_json(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turn exceptions of a handler into responses."""
    try:
        return await handler(request)
    except ServiceError as error:
        return _error_response(error)
    except web.HTTPNotFound:
        message = f"The requested resource {request.path} was not found."
        return _error_response(ServiceError(404, NO_SUCH_RESOURCE, message))
    except web.HTTPMethodNotAllowed as error:
        message = f"{request.method} is not allowed on {request.path}."
        answer = _error_response(ServiceError(405, METHOD_NOT_ALLOWED, message))
        answer.headers[hdrs.ALLOW] = error.headers[hdrs.ALLOW]
        return answer
    except web.HTTPError as error:
        return _error_response(ServiceError(error.status, UNSPECIFIED, f"{error.reason}."))
    except Exception:  # the client must get JSON for any error
        log.exception("%s %s failed", request.method, request.path)
        return _error_response(ServiceError(500, UNSPECIFIED, "Internal error in the sandbox; see its log."))


def _error_response(error: ServiceError) -> web.Response:
    response = web.json_response(error.to_json(), status=error.status)
    if error.status == 401:
        response.headers[hdrs.WWW_AUTHENTICATE] = 'Basic realm="modem-agent sandbox"'
    return response
