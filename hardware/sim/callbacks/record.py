"""One callback: its URL and parameters, its state, and the result of each try."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from datetime import datetime

    from hardware.sim.service.callback_url import CallbackMethod, CallbackUrl, RetryCause

Parameters = tuple[tuple[str, str], ...]

CallbackKind = Literal["status", "message"]
"""`status`: the callback of a Command; `message`: the webhook for a message from a SIM."""


class CallbackState(StrEnum):
    WAITING = "waiting"
    """A try is under way or will follow."""
    ACCEPTED = "accepted"
    """The receiver answered 2xx."""
    FAILED = "failed"
    """No try was answered 2xx, and no further one follows."""
    NOT_SENT = "not sent"
    """No request was made: the host is not allowed, or too many callbacks wait."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CallbackAnswer:
    """The beginning of an HTTP answer."""

    status: int
    body: bytes


class CallbackFailed(Exception):  # noqa: N818 - the name of a condition
    """A try without a complete answer; the text says why. `cause` is `ct` or `rt` of the overrides."""

    def __init__(self, cause: RetryCause, reason: str) -> None:
        super().__init__(reason)
        self.cause: RetryCause = cause


@dataclass(frozen=True, slots=True, kw_only=True)
class CallbackTry:
    """One try."""

    at: datetime
    duration_s: float
    status: int | None
    """HTTP status of the answer; None without one."""
    body: str
    """The beginning of the answer's body, for display."""
    error: str
    """Why there is no answer; empty if there is one."""
    cause: RetryCause | None
    """The class of the failure; None for 1xx to 3xx."""

    @property
    def is_accepted(self) -> bool:
        return self.status is not None and 200 <= self.status < 300

    @property
    def outcome(self) -> str:
        """The result in a few words."""
        return self.error or f"answered {self.status}"

    def to_json(self) -> dict[str, object]:
        return {
            "at": self.at.isoformat(),
            "seconds": round(self.duration_s, 3),
            "status": self.status,
            "body": self.body,
            "error": self.error,
        }


@dataclass(slots=True, eq=False, kw_only=True)
class Callback:
    """One event for one receiver; all its tries send the same."""

    number: int
    """Order of creation in the sandbox, from 1."""
    kind: CallbackKind
    imsi: str
    sid: str
    """SID of the Command."""
    url: CallbackUrl
    method: CallbackMethod
    parameters: Parameters
    token: str
    """Marks the tries as the same event, for the idempotency headers."""
    created_at: datetime
    started_at: float = 0.0
    """Monotonic time of the first try in seconds."""
    state: CallbackState = CallbackState.WAITING
    note: str = ""
    """The reason why no request was made; empty otherwise."""
    tries: list[CallbackTry] = field(default_factory=list)

    def to_json(self) -> dict[str, object]:
        """Return what the control interface shows."""
        return {
            "callback": self.number,
            "kind": self.kind,
            "sid": self.sid,
            "method": self.method,
            "url": self.url.text,
            "parameters": dict(self.parameters),
            "at": self.created_at.isoformat(),
            "state": self.state.value,
            "note": self.note,
            "tries": [each.to_json() for each in self.tries],
        }
