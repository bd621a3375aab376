"""What the services refuse, with the codes of the public error dictionary.

The 33xxx codes are those of Programmable Wireless. For Super SIM no codes are published for SMS Commands, so
the same ones are used there; 20404 is the platform's general code for a resource that does not exist.
"""

from __future__ import annotations

UNSPECIFIED = 33000
INVALID_VALUE = 33101
MISSING = 33102
PAGING = 33103
NOT_READY = 33104
NO_SUCH_SIM = 33107
CONFLICT = 33121
NO_SUCH_RESOURCE = 20404
NO_SUCH_METHOD = 20004

MORE_INFO = "https://www.twilio.com/docs/errors/"


class ServiceError(Exception):
    """A request that is refused: HTTP status, code of the error dictionary, sentence."""

    def __init__(self, status: int, code: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message

    def as_json(self) -> dict[str, object]:
        """The body of the answer, the one form that is described."""
        return {
            "code": self.code,
            "message": self.message,
            "more_info": f"{MORE_INFO}{self.code}",
            "status": self.status,
        }


def missing(parameter: str) -> ServiceError:
    return ServiceError(400, MISSING, f"The parameter {parameter} is required and was not given.")


def invalid(parameter: str, why: str) -> ServiceError:
    return ServiceError(400, INVALID_VALUE, f"The value of the parameter {parameter} is invalid: {why}.")


def paging(parameter: str, why: str) -> ServiceError:
    return ServiceError(400, PAGING, f"The value of the paging parameter {parameter} is invalid: {why}.")
