"""Faults of the network by name: what happens to the messages of one SIM between its module and the service.

Keys of a fault, all optional:

    direction  to_sim (default) or from_sim: which messages it affects
    times      number of messages that it affects, 0 without limit; default 1, and 0 with a chance and for
               message-delayed, parts-delayed and rate-limited
    chance     probability with which it affects a message, from 0 to 1 (default)
    after      seconds until it begins (default 0)
    for        seconds until it ends; default 0, until it has happened `times` times, or is cancelled
    seconds    length of a delay, or a range from which it is drawn: 5 (default) or 1-20
    rate       messages a minute that rate-limited lets pass (default 6)
    status     TP-ST of the report of receipt-failed (default 70, the validity period has expired)
"""

from __future__ import annotations

import math
import random
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal

from hardware.sim.fault_text import FaultError, Seconds, convert_fault, split_fault
from hardware.table import Limits
from pdu.record import Record

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

RATE_WINDOW_S = 60.0
MAX_TRIGGERED = 1000
"""Number of the latest occurrences that are kept."""

Direction = Literal["to_sim", "from_sim"]

NETWORK_FAULT_DESCRIPTIONS = {
    "message-delayed": "a message takes `seconds` longer between the service and the network",
    "message-lost": "a message is lost between the service and the network, and nobody is told",
    "message-duplicated": "a message arrives twice",
    "messages-swapped": "a message arrives after the next one of its direction",
    "transmission-lost": "a message is lost on the air; the network tries again, a module reports an error",
    "acknowledgement-lost": "a message arrives, its acknowledgement does not; the sender may send it again",
    "parts-delayed": "the next part of a long message to the SIM waits for `seconds`",
    "rate-limited": "only `rate` messages a minute pass; more wait, or are refused if they come from the SIM",
    "receipt-delayed": "a delivery receipt that the sender has requested comes `seconds` later",
    "receipt-lost": "a delivery receipt that the sender has requested is lost",
    "receipt-failed": "a status report that the module has requested says that delivery has failed",
    "post-repeated": "a request that creates a Command is executed twice, `seconds` apart",
}
"""What happens to a message."""

LASTING_NETWORK_FAULTS = frozenset({"message-delayed", "parts-delayed", "rate-limited"})
"""Faults without a limit of times, unless one is given."""

DIRECTIONS_OF_FAULTS: dict[str, Direction] = {
    "parts-delayed": "to_sim",
    "post-repeated": "to_sim",
    "receipt-failed": "from_sim",
}
"""Faults that exist in one direction only."""


class NetworkFault(Record, kw_only=True):
    """One fault with its keys."""

    name: str
    direction: Direction
    times: Annotated[int, Limits(ge=0)]
    chance: Annotated[float, Limits(ge=0, le=1)] = 1.0
    after: Seconds = 0.0
    for_: Seconds = 0.0
    seconds: str = "5"
    rate: Annotated[int, Limits(ge=1)] = 6
    status: Annotated[int, Limits(ge=0, le=255)] = 70

    @property
    def seconds_range(self) -> tuple[float, float]:
        """The shortest and the longest delay; raises ValueError."""
        first, _, last = self.seconds.partition("-")
        shortest, longest = float(first), float(last or first)
        if not 0 <= shortest <= longest < math.inf:
            raise ValueError
        return shortest, longest


def parse_network_fault(text: str) -> NetworkFault:
    """Parse `NAME:key=value,...`; raises FaultError."""
    name, keys = split_fault(text, NETWORK_FAULT_DESCRIPTIONS)
    only = DIRECTIONS_OF_FAULTS.get(name)
    is_lasting = name in LASTING_NETWORK_FAULTS or "chance" in keys
    defaults = {"direction": only or "to_sim", "times": "0" if is_lasting else "1"}
    fault = convert_fault(name, defaults | keys, NetworkFault)
    if only not in (None, fault.direction):
        raise FaultError(f"fault {name}: direction can only be {only}")
    try:
        _ = fault.seconds_range
    except ValueError:
        raise FaultError(
            f"fault {name}: seconds must be a number or a range such as 1-20, not {fault.seconds}"
        ) from None
    return fault


@dataclass(slots=True, eq=False)
class AddedNetworkFault:
    """A fault that was added, and when it is active."""

    text: str
    fault: NetworkFault
    begins_at: float
    ends_at: float
    remaining: int
    """The number of messages that it may still affect; negative means without limit."""
    rng: random.Random
    """Its own: what it does depends on the messages that it meets, and on no other fault or SIM."""

    def draw_seconds(self) -> float:
        """Return the length of a delay."""
        return self.rng.uniform(*self.fault.seconds_range)

    def is_over(self, now: float) -> bool:
        """Return True if it will affect no further message."""
        return self.remaining == 0 or self.ends_at <= now


class MessageRate:
    """The messages of the last minute, for `rate-limited`."""

    def __init__(self) -> None:
        self._times: list[float] = []

    def wait_s(self, now: float, rate: int) -> float:
        """Return the seconds until another message fits into a rate of `rate` messages a minute."""
        while self._times and self._times[0] <= now - RATE_WINDOW_S:
            del self._times[0]
        return 0.0 if len(self._times) < rate else self._times[-rate] + RATE_WINDOW_S - now

    def count(self, now: float) -> None:
        """Count a message."""
        self._times.append(now)


class NetworkFaults:
    """The faults of one SIM. `time` returns monotonic seconds; `seed` decides on chances and delays."""

    __slots__ = ("_count", "_faults", "_seed", "_time", "triggered")

    def __init__(self, time: Callable[[], float], seed: str) -> None:
        self._time = time
        self._seed = seed
        self._count = 0
        """Faults added so far."""
        self._faults: list[AddedNetworkFault] = []
        self.triggered: deque[str] = deque(maxlen=MAX_TRIGGERED)
        """The names of the latest faults that occurred, in order."""

    def add(self, text: str) -> None:
        """Add a fault, `NAME` or `NAME:key=value,...`; raises FaultError."""
        fault = parse_network_fault(text)
        now = self._time()
        self._faults = [added for added in self._faults if not added.is_over(now)]
        begins_at = now + fault.after
        ends_at = begins_at + fault.for_ if fault.for_ else math.inf
        self._count += 1
        rng = random.Random(f"{self._seed} {self._count}")  # noqa: S311 - a simulation
        self._faults.append(AddedNetworkFault(text, fault, begins_at, ends_at, fault.times or -1, rng))

    def cancel_all(self) -> None:
        """Remove all faults."""
        self._faults.clear()

    def describe(self) -> dict[str, list[object]]:
        """Return the faults that wait or may still occur, and the names of those that occurred."""
        now = self._time()
        faults: list[object] = [
            {"fault": added.text, "waits": now < added.begins_at}
            for added in self._faults
            if not added.is_over(now)
        ]
        return {"faults": faults, "struck": list(self.triggered)}

    def find(self, name: str, direction: Direction) -> NetworkFault | None:
        """Return the fault that is active now, without counting anything."""
        added = next(self._active(name, direction), None)
        return added.fault if added else None

    def strike(self, name: str, direction: Direction) -> AddedNetworkFault | None:
        """Return the fault that affects the next message, and count it; None if there is none."""
        if not self._faults:
            return None
        for added in self._active(name, direction):
            if added.fault.chance >= 1 or added.rng.random() < added.fault.chance:
                added.remaining -= 1
                self.triggered.append(name)
                return added
        return None

    def _active(self, name: str, direction: Direction) -> Iterator[AddedNetworkFault]:
        now = self._time()
        for added in self._faults:
            fault = added.fault
            is_meant = fault.name == name and fault.direction == direction
            if is_meant and added.begins_at <= now and not added.is_over(now):
                yield added
