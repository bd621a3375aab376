"""Errors of the services, with the codes of the vendor's error dictionary.

The 33xxx codes are those of Programmable Wireless. For SMS Commands of Super SIM no codes are published, so
the same ones are used; the 20xxx codes are the platform's general ones.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

UNSPECIFIED = 33000
UNAVAILABLE = 33004
INVALID_VALUE = 33101
MISSING_PARAMETER = 33102
INVALID_PAGING = 33103
SIM_NOT_ACTIVE = 33104
NO_SUCH_SIM = 33107
TOO_MANY_QUEUED = 33118
CONFLICTING_PARAMETERS = 33121
NO_SUCH_RESOURCE = 20404
METHOD_NOT_ALLOWED = 20004
AUTHENTICATION_FAILED = 20003
FORBIDDEN = 20403
TOO_MANY_REQUESTS = 20429

MORE_INFO_URL = "https://www.twilio.com/docs/errors/"


class ServiceError(Exception):
    """A refused request: HTTP status, code of the error dictionary, a sentence, and headers of the answer."""

    def __init__(
        self, status: int, code: int, message: str, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(message)
        self.headers = headers
        self.status = status
        self.code = code
        self.message = message

    def to_json(self) -> dict[str, object]:
        """Return the body of the response, in the documented form."""
        return {
            "code": self.code,
            "message": self.message,
            "more_info": f"{MORE_INFO_URL}{self.code}",
            "status": self.status,
        }


def missing_parameter(parameter: str) -> ServiceError:
    return ServiceError(400, MISSING_PARAMETER, f"The parameter {parameter} is required and was not given.")


def invalid_parameter(parameter: str, reason: str) -> ServiceError:
    return ServiceError(400, INVALID_VALUE, f"The value of the parameter {parameter} is invalid: {reason}.")


def invalid_paging(parameter: str, reason: str) -> ServiceError:
    return ServiceError(
        400, INVALID_PAGING, f"The value of the paging parameter {parameter} is invalid: {reason}."
    )
