"""What was agreed with the module: what the rest of the work relies on, and what `status` tells of it."""

from __future__ import annotations

from dataclasses import dataclass, field

from agent.modem.identification import IdentifiedProfile
from agent.modem.status_queries import Registration
from hardware.profile import DriverProfile


@dataclass(slots=True)
class ModemSettings:
    """The settings of one module, as they stand. Written by `initialise`, read by all."""

    store: str = ""
    """<mem1>, <mem2> and <mem3> of +CPMS: where messages arrive. Empty where nobody can choose."""
    secondary_stores: tuple[str, ...] = ()
    """Further stores that messages may land in."""
    selected_store: str | None = None
    """<mem1> as it stands now; None when that is not known."""
    has_unknown_stores: bool = False
    """An answer that told of the stores was lost: they are to be asked for again."""
    has_stores: bool = True
    """Whether the module has stores at all; otherwise messages come directly or never."""
    message_service: int = 0
    """+CSMS: with 1 the module waits for our acknowledgement of what it hands over directly."""
    cnmi: tuple[int, ...] = ()
    """+CNMI as it was read back; empty where it could not be set."""
    status_reports: bool = False
    """Whether status reports are wanted."""
    registration_domains: tuple[str, ...] = ()
    """The registration commands that the module knows."""
    registration: Registration = field(default_factory=Registration)
    is_echo_on: bool = False
    """Whether the module echoes although it was told not to."""
    has_volatile_format: bool = False
    """The module was found in the other message format: after a silent restart it would be so again."""
    service_centre: str | None = None
    """+CSCA; None where it cannot be read."""
    cpms_positions: tuple[int, ...] = ()
    """Where in the answer to +CPMS? the names stand that were set to `store`."""
    store_usage: tuple[tuple[str, int, int], ...] = ()
    """Name, used and total of each store that +CPMS? told of."""
    cfun: int | None = None
    """+CFUN, 1 for a radio that is on; None where it is not told."""
    profile: IdentifiedProfile = field(default_factory=IdentifiedProfile)
    """The profile by which the module is driven."""
    port_role: str = ""
    """Which of its ports this is: "at", "modem", "uart"; empty where nobody knows."""
    notes: list[str] = field(default_factory=list)
    """What was tolerated."""

    @property
    def driver(self) -> DriverProfile:
        """How it is driven."""
        return self.profile.driver

    @property
    def has_notifications(self) -> bool:
        """Whether the module was brought to tell of messages."""
        return len(self.cnmi) > 1 and self.cnmi[0] != 0 and self.cnmi[1] != 0

    @property
    def has_direct_delivery(self) -> bool:
        """Whether messages come directly and are stored nowhere."""
        return len(self.cnmi) > 1 and self.cnmi[1] in (2, 3)


@dataclass(frozen=True, slots=True)
class ModemStatus:
    """What was negotiated and tolerated, for people."""

    profile: str
    """By which the module is driven, and how that was found."""
    cfun: int | None
    store: str
    secondary_stores: tuple[str, ...]
    cnmi: tuple[int, ...]
    is_notifying: bool
    message_service: int
    registration: Registration
    service_centre: str | None
    store_usage: tuple[tuple[str, int, int], ...]
    notes: tuple[str, ...]

    @property
    def has_direct_delivery(self) -> bool:
        """Whether messages come directly and are stored nowhere."""
        return len(self.cnmi) > 1 and self.cnmi[1] in (2, 3)

    def __str__(self) -> str:
        where = f"in {self.store}" if self.store else "in a store of its choice"
        if self.has_direct_delivery:
            where = "handed over directly"
        routing = f"+CNMI {','.join(map(str, self.cnmi))}" if self.cnmi else "no notifications"
        silent = () if self.is_notifying or not self.cnmi else ("it does not tell of messages",)
        what = f"messages {where}, {routing}, {self.registration}"
        return "; ".join((f"profile {self.profile}, {what}", *silent, *self.notes))


def modem_status(settings: ModemSettings, *, is_notifying: bool) -> ModemStatus:
    """What to tell of a setup."""
    return ModemStatus(
        str(settings.profile),
        settings.cfun,
        settings.store,
        settings.secondary_stores,
        settings.cnmi,
        is_notifying,
        settings.message_service,
        settings.registration,
        settings.service_centre,
        settings.store_usage,
        tuple(settings.notes),
    )
