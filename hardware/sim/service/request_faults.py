"""Faults of the services, by name: what a client of the real ones meets now and then.

A fault is written `NAME` or `NAME:key=value,key=value`, for instance `unavailable:times=3,method=POST`.
`REQUEST_FAULTS` explains the names. The keys are:

    times     how often the fault occurs (1); 0 means always
    method    the HTTP method that it affects; any, if it is not given
    path      a part of the paths that it affects, such as SmsCommands; any path of the services without it
    seconds   the delay of late (5)
    code      the error code of command-failed (33000)
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from hardware.sim.fault_text import convert_fault, split_fault
from hardware.sim.service.errors import TOO_MANY_REQUESTS, UNAVAILABLE, UNSPECIFIED, ServiceError
from hardware.table import Limits
from pdu.record import Record

if TYPE_CHECKING:
    from collections.abc import Callable

    from hardware.sim.service.rules import ServiceRules

REQUEST_FAULTS = {
    "unavailable": "answers 503 and does nothing",
    "internal-error": "answers 500 and does nothing",
    "too-many-requests": "answers 429 and does nothing",
    "request-lost": "closes the connection without an answer and does nothing",
    "answer-lost": "does what is requested and closes the connection without an answer",
    "late": "answers after a delay",
    "command-failed": "accepts a Command and reports it as failed",
}
COMMAND_FAILED = "command-failed"
MAX_TRIGGERED = 1000
"""Number of the latest occurrences that are kept."""


class RequestFault(Record, kw_only=True):
    """One fault with its keys."""

    name: str
    times: Annotated[int, Limits(ge=0, le=1_000_000)] = 1
    method: str = ""
    path: str = ""
    seconds: Annotated[float, Limits(ge=0, le=3600)] = 5.0
    code: Annotated[int, Limits(ge=1, le=99999)] = UNSPECIFIED

    def to_error(self) -> ServiceError | None:
        """Return the error with which the request is answered, None if it is executed."""
        match self.name:
            case "unavailable":
                return ServiceError(503, UNAVAILABLE, "The service is unavailable; try again later.")
            case "internal-error":
                return ServiceError(500, UNSPECIFIED, "An error has occurred in the service.")
            case "too-many-requests":
                return too_many_requests(1)
        return None


@dataclass(slots=True, eq=False)
class _PendingFault:
    text: str
    fault: RequestFault
    left: int
    """How often it still occurs; 0 means always."""


class RequestFaults:
    """The faults of the services of one sandbox."""

    def __init__(self) -> None:
        self._pending: list[_PendingFault] = []
        self._triggered: deque[str] = deque(maxlen=MAX_TRIGGERED)

    def add(self, text: str) -> None:
        """Add a fault; raises FaultError."""
        fault = parse_request_fault(text)
        self._pending.append(_PendingFault(text, fault, fault.times))

    def cancel_all(self) -> None:
        """Remove all faults that have not occurred as often as they should."""
        self._pending.clear()

    def take(self, method: str, path: str) -> RequestFault | None:
        """Return the oldest fault that affects a request, other than command-failed, and count it."""
        return self._take(lambda fault: fault.name != COMMAND_FAILED, method, path)

    def take_command_failure(self, path: str) -> RequestFault | None:
        """Return the fault with which a new Command fails, and count it."""
        return self._take(lambda fault: fault.name == COMMAND_FAILED, "POST", path)

    def describe(self) -> dict[str, list[object]]:
        """Return the faults that may still occur, and the names of those that occurred."""
        faults: list[object] = [{"fault": each.text, "waits": False} for each in self._pending]
        return {"faults": faults, "struck": list(self._triggered)}

    def _take(self, concerns: Callable[[RequestFault], bool], method: str, path: str) -> RequestFault | None:
        for pending in self._pending:
            fault = pending.fault
            if concerns(fault) and fault.method in ("", method) and fault.path in path:
                if pending.left == 1:
                    self._pending.remove(pending)
                pending.left = max(0, pending.left - 1)
                self._triggered.append(fault.name)
                return fault
        return None


def parse_request_fault(text: str) -> RequestFault:
    """Parse `NAME:key=value,...`; raises FaultError."""
    name, keys = split_fault(text, REQUEST_FAULTS)
    return convert_fault(name, {**keys, "method": keys.get("method", "").upper()}, RequestFault)


def too_many_requests(retry_after_s: int) -> ServiceError:
    return ServiceError(429, TOO_MANY_REQUESTS, "Too many requests.", {"Retry-After": str(retry_after_s)})


class RequestLimit:
    """Admits as many requests per second as the rules allow; a pause saves up at most one second's number."""

    def __init__(self, rules: Callable[[], ServiceRules], time: Callable[[], float]) -> None:
        self._rules = rules
        self._time = time
        self._tokens = 0.0
        self._rate = 0
        self._counted_at = 0.0

    def admit(self) -> None:
        """Count a request; raises ServiceError (429)."""
        rate, now = self._rules().requests_per_s, self._time()
        if rate != self._rate:
            self._rate, self._tokens = rate, float(rate)
        if rate == 0:
            return
        self._tokens = min(float(rate), self._tokens + (now - self._counted_at) * rate)
        self._counted_at = now
        if self._tokens < 1:
            raise too_many_requests(1)
        self._tokens -= 1
