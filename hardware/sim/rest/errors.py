"""Every refusal as the one described body, whoever raised it: a service, the router, or a mistake of ours."""

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
    """Turn exceptions into answers."""
    try:
        return await handler(request)
    except ServiceError as error:
        return _error_response(error)
    except web.HTTPNotFound:
        what = f"The requested resource {request.path} was not found."
        return _error_response(ServiceError(404, NO_SUCH_RESOURCE, what))
    except web.HTTPMethodNotAllowed as error:
        what = f"{request.method} is not allowed on {request.path}."
        answer = _error_response(ServiceError(405, METHOD_NOT_ALLOWED, what))
        answer.headers[hdrs.ALLOW] = error.headers[hdrs.ALLOW]
        return answer
    except web.HTTPError as error:
        return _error_response(ServiceError(error.status, UNSPECIFIED, f"{error.reason}."))
    except Exception:  # the last place before the caller, who gets the described body and not a page
        log.exception("%s %s failed", request.method, request.path)
        return _error_response(
            ServiceError(500, UNSPECIFIED, "The sandbox made a mistake; its log says which.")
        )


def _error_response(error: ServiceError) -> web.Response:
    return web.json_response(error.to_json(), status=error.status)
