"""The indicators of +CIND (27.007 8.9), and their unsolicited codes +CIEV (8.10)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hardware.sim.module.stores import MessageStatus

if TYPE_CHECKING:
    from hardware.sim.module.context import ModuleContext
    from hardware.sim.module.registration import NetworkRegistration

INDICATORS = {
    "battchg": range(6),
    "signal": range(6),
    "service": range(2),
    "message": range(2),
    "call": range(2),
    "roam": range(2),
    "smsfull": range(2),
}
"""Values of each indicator, in the order of +CIND; `<ind>` of +CIEV counts from 1."""

ROAMING_STATES = frozenset({5, 7, 10})
FULL_CHARGE = 5
NO_EVENTS = (0, 0, 0, 0, 0)
"""Default of +CMER: `<mode>` and `<ind>` 0."""
ALL_ENABLED = (1,) * len(INDICATORS)
"""Default of +CIND."""


class Indicators:
    """The states of the indicators. `report_changes` writes a code for each that has changed."""

    def __init__(self, context: ModuleContext, registration: NetworkRegistration) -> None:
        self._context = context
        self._registration = registration
        self._reported = self.values()

    def values(self) -> tuple[int, ...]:
        """Return the states in the order of `INDICATORS`."""
        registration, stores = self._registration, self._context.stores
        registered = registration.is_registered
        signal = min(5, 1 + registration.cell.rssi // 6) if registered and registration.cell.rssi < 99 else 0
        unread = any(
            message.status is MessageStatus.UNREAD for store in stores.values() for _, message in store
        )
        store = stores[self._context.settings.cpms[2]]
        is_full = len(store) >= store.capacity
        is_roaming = registration.stat in ROAMING_STATES
        return (FULL_CHARGE, signal, int(registered), int(unread), 0, int(is_roaming), int(is_full))

    def report_changes(self) -> None:
        """Write +CIEV for what has changed since the last call, if +CMER has enabled it."""
        mode, *_, events, _ = self._context.settings.numbers.get("+CMER", NO_EVENTS)
        if not (mode and events):
            return
        values = self.values()
        enabled = self._context.settings.numbers.get("+CIND", ALL_ENABLED)
        for place, (before, now) in enumerate(zip(self._reported, values, strict=True)):
            if before != now and enabled[place]:
                self._context.output.write_urc(f"+CIEV: {place + 1},{now}")
        self._reported = values

    def note_states(self) -> None:
        """Report only changes from now on (+CMER)."""
        self._reported = self.values()
