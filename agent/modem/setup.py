"""What was agreed with the module: what the rest of the work relies on, and what `status` tells of it."""

from __future__ import annotations

from dataclasses import dataclass, field

from agent.modem.identification import Known
from agent.modem.state import Registration
from hardware.profile import DriverProfile


@dataclass(slots=True)
class Setup:
    """The settings of one module, as they stand. Written by `initialise`, read by all."""

    store: str = ""
    """<mem1>, <mem2> and <mem3> of +CPMS: where messages arrive. Empty where nobody can choose."""
    others: tuple[str, ...] = ()
    """Further stores that messages may land in."""
    selected: str | None = None
    """<mem1> as it stands now; None when that is not known."""
    stores_unclear: bool = False
    """An answer that told of the stores was lost: they are to be asked for again."""
    stores_messages: bool = True
    """Whether the module has stores at all; otherwise messages come directly or never."""
    service: int = 0
    """+CSMS: with 1 the module waits for our acknowledgement of what it hands over directly."""
    routing: tuple[int, ...] = ()
    """+CNMI as it was read back; empty where it could not be set."""
    reports: bool = False
    """Whether status reports are wanted."""
    domains: tuple[str, ...] = ()
    """The registration commands that the module knows."""
    registration: Registration = field(default_factory=Registration)
    echo: bool = False
    """Whether the module echoes although it was told not to."""
    format_drifts: bool = False
    """The module was found in the other message format: after a silent restart it would be so again."""
    service_centre: str | None = None
    """+CSCA; None where it cannot be read."""
    memories: tuple[int, ...] = ()
    """Where in the answer to +CPMS? the names stand that were set to `store`."""
    capacity: tuple[tuple[str, int, int], ...] = ()
    """Name, used and total of each store that +CPMS? told of."""
    radio: int | None = None
    """+CFUN, 1 for a radio that is on; None where it is not told."""
    known: Known = field(default_factory=Known)
    """The profile by which the module is driven."""
    role: str = ""
    """Which of its ports this is: "at", "modem", "uart"; empty where nobody knows."""
    notes: list[str] = field(default_factory=list)
    """What was tolerated."""

    @property
    def driver(self) -> DriverProfile:
        """How it is driven."""
        return self.known.driver

    @property
    def notified(self) -> bool:
        """Whether the module was brought to tell of messages."""
        return len(self.routing) > 1 and self.routing[0] != 0 and self.routing[1] != 0

    @property
    def hands_over(self) -> bool:
        """Whether messages come directly and are stored nowhere."""
        return len(self.routing) > 1 and self.routing[1] in (2, 3)


@dataclass(frozen=True, slots=True)
class Condition:
    """What was negotiated and tolerated, for people."""

    profile: str
    """By which the module is driven, and how that was found."""
    radio: int | None
    store: str
    others: tuple[str, ...]
    routing: tuple[int, ...]
    notifies: bool
    service: int
    registration: Registration
    service_centre: str | None
    capacity: tuple[tuple[str, int, int], ...]
    notes: tuple[str, ...]

    @property
    def hands_over(self) -> bool:
        """Whether messages come directly and are stored nowhere."""
        return len(self.routing) > 1 and self.routing[1] in (2, 3)

    def __str__(self) -> str:
        where = f"in {self.store}" if self.store else "in a store of its choice"
        if self.hands_over:
            where = "handed over directly"
        routing = f"+CNMI {','.join(map(str, self.routing))}" if self.routing else "no notifications"
        silent = () if self.notifies or not self.routing else ("it does not tell of messages",)
        what = f"messages {where}, {routing}, {self.registration}"
        return "; ".join((f"profile {self.profile}, {what}", *silent, *self.notes))


def condition(setup: Setup, *, notifies: bool) -> Condition:
    """What to tell of a setup."""
    return Condition(
        str(setup.known),
        setup.radio,
        setup.store,
        setup.others,
        setup.routing,
        notifies,
        setup.service,
        setup.registration,
        setup.service_centre,
        setup.capacity,
        tuple(setup.notes),
    )
