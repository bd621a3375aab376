"""Registration with the network and what is known of the cell (27.007 7.2, 8.5, 10.1.20, 10.1.22)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hardware.sim.interfaces import TimerHandle
    from hardware.sim.module.module import SimulatedModule

SEARCHING = 2
SEARCH_RETRY_S = 10.0
"""A module that found no network looks on; real ones look every few seconds, and less often after a while."""
REGISTERED_STATES = frozenset({1, 5, 6, 7, 9, 10})
"""States in which short messages can be sent: home, roaming, SMS only, CSFB not preferred."""

PACKET_DOMAIN_STATES = {6: 1, 7: 5, 9: 1, 10: 5}
"""States of +CREG that do not apply to +CGREG and +CEREG, and what those show instead (27.007 7.2)."""


@dataclass(slots=True)
class Cell:
    """Where the module is, as +CREG shows it."""

    area_code: str = "1A2B"
    """Location or tracking area code, four hexadecimal digits."""
    cell_id: str = "0012C0DE"
    routing_area: str = "00"
    access_technology: int = 7
    """`<AcT>`: 0 GSM, 7 E-UTRAN, 8 EC-GSM-IoT, 9 NB-IoT."""
    operator_names: tuple[str, str, str] = ("Simulated", "Sim", "00101")
    """Long and short name, and the numeric form."""
    rssi: int = 21
    """`<rssi>` of +CSQ: dBm = -113 + 2 * signal."""


class NetworkRegistration:
    """The radio side of the module: off, searching, or registered."""

    def __init__(self, module: SimulatedModule) -> None:
        self._module = module
        self._search_timer: TimerHandle | None = None
        self.stat = 0
        self.reject_cause = 0
        self.operator_mode = 0
        """`<mode>` of +COPS; 2 means that the user has left the network."""
        self.cell = Cell()

    @property
    def is_registered(self) -> bool:
        """Whether messages can be sent and received."""
        return self.stat in REGISTERED_STATES

    def search(self) -> None:
        """Look for a network, unless there is one already or the user wants none."""
        module = self._module
        if (
            self.operator_mode == 2
            or self.is_registered
            or module.power.functionality != 1
            or not module.sim_access.is_ready
        ):
            return
        self._cancel_search()
        self._update_stat(SEARCHING)
        self._search_timer = module.power.call_later(module.profile.registration_s, self._finish_search)

    def deregister(self) -> None:
        """Deregister; the network keeps what comes meanwhile."""
        self._cancel_search()
        self._detach()
        self._update_stat(0)

    def reset(self) -> None:
        """Power went: nothing is said to the terminal."""
        self._cancel_search()
        self._detach()
        self.stat = 0

    def set_stat(self, stat: int, reject_cause: int = 0) -> None:
        """The network's word: another state of registration. One that does not serve detaches."""
        self._cancel_search()
        self.reject_cause = reject_cause
        if stat in REGISTERED_STATES and not self._module.attached:
            answer = self._attach()
            stat = stat if answer in REGISTERED_STATES else answer
        elif stat not in REGISTERED_STATES:
            self._detach()
        self._update_stat(stat)

    def change_cell(self, area_code: str, cell_id: str) -> None:
        """Another cell of the same network; told from level 2 on (27.007 7.2)."""
        self.cell.area_code, self.cell.cell_id = area_code, cell_id
        if self.is_registered:
            self._report_stat({name for name, level in self._module.settings.creg.items() if level >= 2})

    def domain_stat(self, command: str) -> int:
        """The state as one of the three commands shows it."""
        return self.stat if command == "+CREG" else PACKET_DOMAIN_STATES.get(self.stat, self.stat)

    def format_location(self, command: str, level: int) -> str:
        """What follows the state from level 2 on: `,"<lac>","<ci>",<AcT>`; from 3 on a cause of rejection."""
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
        """Ask the network; the state it answers. Where there is none, look again after a while."""
        module = self._module
        stat = module.network.attach(module)
        module.attached = stat in REGISTERED_STATES
        if module.attached:
            module.clock.apply_network_time()
        elif stat == SEARCHING:
            self._search_timer = module.power.call_later(SEARCH_RETRY_S, self._finish_search)
        return stat

    def _detach(self) -> None:
        if self._module.attached:
            self._module.attached = False
            self._module.network.detach(self._module)

    def _update_stat(self, stat: int) -> None:
        """Take on a state and tell the terminal, if it asked for it."""
        if stat == self.stat:
            return
        before = {name: self.domain_stat(name) for name in self._module.settings.creg}
        self.stat = stat
        self._report_stat({name for name, domain in before.items() if self.domain_stat(name) != domain})

    def _report_stat(self, commands: set[str]) -> None:
        """Say these domains, where the terminal asked for them."""
        for name, level in self._module.settings.creg.items():
            if level and name in commands and name not in self._module.profile.unsupported_commands:
                self._module.output.write_urc(
                    f"{name}: {self.domain_stat(name)}{self.format_location(name, level)}"
                )

    def _cancel_search(self) -> None:
        self._module.power.cancel(self._search_timer)
        self._search_timer = None
