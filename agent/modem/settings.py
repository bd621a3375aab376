"""The settings that were negotiated with a module, and the status that is made of them."""

from __future__ import annotations

from typing import NamedTuple

from agent.modem.identification import IdentifiedProfile
from agent.modem.status_queries import Registration
from hardware.profile import DriverProfile
from pdu.record import Record


class StoreUsage(NamedTuple):
    """The usage of one store, as +CPMS? reports it."""

    store: str
    used: int
    total: int


MINIMUM_FUNCTIONALITY, RADIO_OFF_WITH_SIM_ON = 0, 4
"""<fun> of +CFUN (27.007 8.2). The first also cuts the power of the SIM."""


class ModemSettings(Record):
    """The settings of one module at one moment. `SettingsHolder` replaces them."""

    store: str = ""
    """<mem1> and <mem3> of +CPMS: where messages arrive. Empty if the module chooses the store."""
    secondary_stores: tuple[str, ...] = ()
    """Other stores in which messages may arrive."""
    selected_store: str | None = None
    """The current <mem1>; None if it is not known."""
    has_unknown_stores: bool = False
    """True if an answer about the stores was lost, so that they must be queried again."""
    has_stores: bool = True
    """False if the module has no readable store: messages are then delivered directly or not at all."""
    message_service: int = 0
    """+CSMS: with 1 the module waits for +CNMA after direct delivery."""
    cnmi: tuple[int, ...] = ()
    """+CNMI as it was read back; empty if it could not be set."""
    status_reports: bool = False
    """True if status reports are requested and received."""
    registration_domains: tuple[str, ...] = ()
    """The registration commands that the module supports."""
    registration: Registration = Registration()
    is_echo_on: bool = False
    """True if the module echoes commands in spite of ATE0."""
    has_volatile_format: bool = False
    """True if the module was found in the other message format: a silent restart would bring that back."""
    service_centre: str | None = None
    """+CSCA; None if it cannot be read."""
    charset: str = ""
    """+CSCS: the character set of strings; empty if it cannot be read."""
    other_stores: tuple[str, ...] = ()
    """Further stores that can be read. Only a notification that named a wrong place leads to them."""
    cpms_count: int | None = None
    """The number of stores that +CPMS took when it was accepted last; None if it has not been set yet."""
    cnmi_count: int | None = None
    """The number of values that +CNMI took; None if it has not been set."""
    cpms_positions: tuple[int, ...] = ()
    """The positions in the answer to +CPMS? of the memories that were set to `store`."""
    store_usage: tuple[StoreUsage, ...] = ()
    """The stores that +CPMS? reported."""
    cfun: int | None = None
    """+CFUN, 1 for full functionality; None if it cannot be read."""
    profile: IdentifiedProfile = IdentifiedProfile()
    """The profile that drives the module."""
    port_role: str = ""
    """The role of the port in use: "at", "modem" or "uart"; empty if unknown."""
    notes: tuple[str, ...] = ()
    """Refused settings and missing functions of the module, as sentences for the operator."""

    @property
    def is_radio_off(self) -> bool:
        """True if +CFUN has switched the radio off. Other values than 0 and 4 may be power saving modes of
        the maker, unless no network is found with them.
        """
        if self.cfun in {MINIMUM_FUNCTIONALITY, RADIO_OFF_WITH_SIM_ON}:
            return True
        return self.cfun not in (None, 1) and not self.registration.can_send

    @property
    def driver(self) -> DriverProfile:
        """The driver table of the profile."""
        return self.profile.driver

    @property
    def has_notifications(self) -> bool:
        """True if +CNMI makes the module report new messages."""
        return len(self.cnmi) > 1 and self.cnmi[0] != 0 and self.cnmi[1] != 0

    @property
    def has_direct_delivery(self) -> bool:
        """True if messages arrive by +CMT and are not stored."""
        return _is_direct_delivery(self.cnmi)


class SettingsHolder:
    """Holds the current `ModemSettings` of one module. Only this class replaces them."""

    def __init__(self, *, status_reports: bool = False, port_role: str = "") -> None:
        self._current = ModemSettings(status_reports=status_reports, port_role=port_role)

    @property
    def current(self) -> ModemSettings:
        """The settings as they are now.

        The object does not change; read the property again for later ones.
        """
        return self._current

    # Notes

    def clear_notes(self) -> None:
        """Forget all notes: a new initialisation begins."""
        self._current = self._current.replace(notes=())

    def add_note(self, text: str) -> None:
        """Add a note unless it is already there."""
        if text not in self._current.notes:
            self._current = self._current.replace(notes=(*self._current.notes, text))

    # The module

    def set_profile(self, profile: IdentifiedProfile) -> None:
        """Record the profile that was identified."""
        self._current = self._current.replace(profile=profile)

    def set_cfun(self, cfun: int | None) -> None:
        """Record +CFUN."""
        self._current = self._current.replace(cfun=cfun)

    def set_echo_on(self, is_echo_on: bool) -> None:
        """Record whether the module echoes commands."""
        self._current = self._current.replace(is_echo_on=is_echo_on)

    # Messages

    def set_volatile_format(self, has_volatile_format: bool) -> None:
        """Record whether a restart would bring back another message format."""
        self._current = self._current.replace(has_volatile_format=has_volatile_format)

    def set_message_service(self, message_service: int) -> None:
        """Record +CSMS."""
        self._current = self._current.replace(message_service=message_service)

    def set_cnmi(self, cnmi: tuple[int, ...], count: int | None = None) -> None:
        """Record +CNMI as it was read back, empty if it could not be set, and its number of values."""
        self._current = self._current.replace(cnmi=cnmi, cnmi_count=count)

    # Stores

    def reset_stores(self) -> None:
        """Forget the names of the stores before they are negotiated again."""
        self._current = self._current.replace(store="", selected_store=None, cpms_positions=())

    def set_has_stores(self, has_stores: bool) -> None:
        """Record whether the module has a readable store at all."""
        self._current = self._current.replace(has_stores=has_stores)

    def set_store(self, store: str, cpms_positions: tuple[int, ...]) -> None:
        """Record the store that all memories were set to; it is the selected one too."""
        self._current = self._current.replace(
            store=store, selected_store=store, cpms_positions=cpms_positions
        )

    def adopt_store(self, store: str, *, is_selected: bool) -> None:
        """Record the store that the module keeps by itself."""
        self._current = self._current.replace(store=store, selected_store=store if is_selected else None)

    def set_further_stores(
        self, secondary: tuple[str, ...], others: tuple[str, ...], *, has_unknown_stores: bool
    ) -> None:
        """Record the stores beside the selected one, and whether an answer about stores was lost."""
        self._current = self._current.replace(
            secondary_stores=secondary,
            other_stores=others,
            has_unknown_stores=has_unknown_stores,
        )

    def set_cpms_count(self, count: int) -> None:
        """Record how many stores +CPMS took."""
        self._current = self._current.replace(cpms_count=count)

    def set_selected_store(self, store: str | None) -> None:
        """Record <mem1>; None if it is not known any more."""
        self._current = self._current.replace(selected_store=store)

    def set_store_usage(self, usage: tuple[StoreUsage, ...]) -> None:
        """Record what +CPMS? reported."""
        self._current = self._current.replace(store_usage=usage)

    # The network

    def set_registration_domains(self, domains: tuple[str, ...]) -> None:
        """Record the registration commands that the module supports."""
        self._current = self._current.replace(registration_domains=domains)

    def set_registration(self, registration: Registration) -> None:
        """Record the registration in all domains."""
        self._current = self._current.replace(registration=registration)

    def set_charset(self, charset: str) -> None:
        """Record +CSCS."""
        self._current = self._current.replace(charset=charset)

    def set_service_centre(self, number: str) -> None:
        """Record +CSCA; empty if the SIM has no number."""
        self._current = self._current.replace(service_centre=number)


class ModemStatus(Record):
    """The negotiated settings as `status` and the log show them."""

    profile: str
    """The name of the profile and how it was found."""
    cfun: int | None
    store: str
    secondary_stores: tuple[str, ...]
    cnmi: tuple[int, ...]
    is_notifying: bool
    message_service: int
    registration: Registration
    service_centre: str | None
    store_usage: tuple[StoreUsage, ...]
    notes: tuple[str, ...]

    @property
    def has_direct_delivery(self) -> bool:
        """True if messages arrive by +CMT and are not stored."""
        return _is_direct_delivery(self.cnmi)

    def __str__(self) -> str:
        where = f"in {self.store}" if self.store else "in a store that the module chooses"
        if self.has_direct_delivery:
            where = "by direct delivery"
        routing = f"+CNMI {','.join(map(str, self.cnmi))}" if self.cnmi else "no notifications"
        silent = () if self.is_notifying or not self.cnmi else ("it sends no notifications",)
        summary = f"messages {where}, {routing}, {self.registration}"
        return "; ".join((f"profile {self.profile}, {summary}", *silent, *self.notes))


def modem_status(settings: ModemSettings, *, is_notifying: bool) -> ModemStatus:
    """Return the status that shows these settings."""
    return ModemStatus(
        profile=str(settings.profile),
        cfun=settings.cfun,
        store=settings.store,
        secondary_stores=settings.secondary_stores,
        cnmi=settings.cnmi,
        is_notifying=is_notifying,
        message_service=settings.message_service,
        registration=settings.registration,
        service_centre=settings.service_centre,
        store_usage=settings.store_usage,
        notes=settings.notes,
    )


def _is_direct_delivery(cnmi: tuple[int, ...]) -> bool:
    """Return True if <mt> delivers messages by +CMT (27.005 3.4.1)."""
    return len(cnmi) > 1 and cnmi[1] in (2, 3)
