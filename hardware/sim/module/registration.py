"""Network registration and the serving cell (27.007 7.2, 8.5, 10.1.20, 10.1.22)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from hardware.sim.interfaces import TimerHandle
    from hardware.sim.module.clock import Clock
    from hardware.sim.module.context import ModuleContext

SEARCHING = 2
SEARCH_RETRY_S = 10.0
"""Wait after a search without result; real modules search every few seconds, later less often."""
REGISTERED_STATES = frozenset({1, 5, 6, 7, 9, 10})
"""States in which short messages can be sent: home, roaming, SMS only, CSFB not preferred."""

PACKET_DOMAIN_STATES = {6: 1, 7: 5, 9: 1, 10: 5}
"""States of +CREG that do not apply to +CGREG and +CEREG, and what those show instead (27.007 7.2)."""


@dataclass(slots=True)
class Cell:
    """The serving cell, as +CREG reports it."""

    area_code: str = "1A2B"
    """Location or tracking area code, four hexadecimal digits."""
    cell_id: str = "0012C0DE"
    routing_area: str = "00"
    access_technology: int = 7
    """`<AcT>`: 0 GSM, 7 E-UTRAN, 8 EC-GSM-IoT, 9 NB-IoT."""
    operator_names: tuple[str, str, str] = ("Simulated", "Sim", "00101")
    """Long and short name, and the numeric form."""
    rssi: int = 21
    """`<rssi>` of +CSQ: dBm = -113 + 2 * rssi."""


class NetworkRegistration:
    """The registration state of the module: off, searching, or registered.

    Registration needs `is_radio_on()` (+CFUN=1) and a ready SIM.
    """

    def __init__(self, context: ModuleContext, clock: Clock, is_radio_on: Callable[[], bool]) -> None:
        self._context = context
        self._clock = clock
        self._is_radio_on = is_radio_on
        self._search_timer: TimerHandle | None = None
        self.attached = False
        """True from an accepted attach to the detach."""
        self.stat = 0
        self.reject_cause = 0
        self.operator_mode = 0
        """`<mode>` of +COPS; 2 means that the user has deregistered."""
        self.cell = Cell()

    @property
    def is_registered(self) -> bool:
        """True while messages can be sent and received."""
        return self.stat in REGISTERED_STATES

    def search(self) -> None:
        """Search for a network, unless the module is registered or registration is not wanted."""
        if (
            self.operator_mode == 2
            or self.is_registered
            or not self._is_radio_on()
            or not self._context.sim_access.is_ready
        ):
            return
        self._cancel_search()
        self._update_stat(SEARCHING)
        self._search_timer = self._context.timers.call_after(
            self._context.profile.registration_s, self._finish_search
        )

    def deregister(self) -> None:
        """Deregister; the network keeps messages that arrive meanwhile."""
        self._cancel_search()
        self._detach()
        self._update_stat(0)

    def reset(self) -> None:
        """Deregister at power-off, without any URC."""
        self._cancel_search()
        self._detach()
        self.stat = 0

    def set_stat(self, stat: int, reject_cause: int = 0) -> None:
        """Set the state that the network decided on. A state without service detaches."""
        self._cancel_search()
        self.reject_cause = reject_cause
        if stat in REGISTERED_STATES and not self.attached:
            answer = self._attach()
            stat = stat if answer in REGISTERED_STATES else answer
        elif stat not in REGISTERED_STATES:
            self._detach()
        self._update_stat(stat)

    def domain_stat(self, command: str) -> int:
        """Return `<stat>` as +CREG, +CGREG or +CEREG reports it."""
        return self.stat if command == "+CREG" else PACKET_DOMAIN_STATES.get(self.stat, self.stat)

    def format_location(self, command: str, level: int) -> str:
        """Return what follows `<stat>`: `,"<lac>","<ci>",<AcT>` from level 2 on, from 3 on the cause."""
        text = ""
        if level >= 2 and self.is_registered:
            text = f',"{self.cell.area_code}","{self.cell.cell_id}",{self.cell.access_technology}'
            if command == "+CGREG":
                text += f',"{self.cell.routing_area}"'
        if level >= 3 and not self.is_registered and self.reject_cause:
            text += f",{',' * (4 if command == '+CGREG' else 3)}0,{self.reject_cause}"
        return text

    def _finish_search(self) -> None:
        self._update_stat(self._attach())

    def _attach(self) -> int:
        """Request registration and return `<stat>`. If there is no network, search again later."""
        stat = self._context.network.attach(self._context.station)
        self.attached = stat in REGISTERED_STATES
        if self.attached:
            self._clock.apply_network_time()
        elif stat == SEARCHING:
            self._search_timer = self._context.timers.call_after(SEARCH_RETRY_S, self._finish_search)
        return stat

    def _detach(self) -> None:
        if self.attached:
            self.attached = False
            self._context.network.detach(self._context.station)

    def _update_stat(self, stat: int) -> None:
        """Change the state and report it with the URCs that are enabled."""
        if stat == self.stat:
            return
        before = {name: self.domain_stat(name) for name in self._context.settings.creg}
        self.stat = stat
        self._report_stat({name for name, domain in before.items() if self.domain_stat(name) != domain})

    def _report_stat(self, commands: set[str]) -> None:
        """Write the URCs of these commands, if the terminal has enabled them."""
        for name, level in self._context.settings.creg.items():
            if level and name in commands and name not in self._context.profile.unsupported_commands:
                self._context.output.write_urc(
                    f"{name}: {self.domain_stat(name)}{self.format_location(name, level)}"
                )

    def _cancel_search(self) -> None:
        self._context.timers.cancel(self._search_timer)
        self._search_timer = None
