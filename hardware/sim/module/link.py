"""Registration with the network and what is known of the cell (27.007 7.2, 8.5, 10.1.20, 10.1.22)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hardware.sim.module.module import SimulatedModule
    from hardware.sim.radio import Handle

SEARCHING = 2
AGAIN_S = 10.0
"""A module that found no network looks on; real ones look every few seconds, and less often after a while."""
SERVES = frozenset({1, 5, 6, 7, 9, 10})
"""States in which short messages can be sent: home, roaming, SMS only, CSFB not preferred."""

PACKET = {6: 1, 7: 5, 9: 1, 10: 5}
"""States of +CREG that do not apply to +CGREG and +CEREG, and what those show instead (27.007 7.2)."""


@dataclass(slots=True)
class Cell:
    """Where the module is, as +CREG shows it."""

    area: str = "1A2B"
    """Location or tracking area code, four hexadecimal digits."""
    identity: str = "0012C0DE"
    routing_area: str = "00"
    access: int = 7
    """`<AcT>`: 0 GSM, 7 E-UTRAN, 8 EC-GSM-IoT, 9 NB-IoT."""
    operator: tuple[str, str, str] = ("Simulated", "Sim", "00101")
    """Long and short name, and the numeric form."""
    signal: int = 21
    """`<rssi>` of +CSQ: dBm = -113 + 2 * signal."""


class Link:
    """The radio side of the module: off, searching, or registered."""

    def __init__(self, module: SimulatedModule) -> None:
        self._module = module
        self._timer: Handle | None = None
        self.stat = 0
        self.reject_cause = 0
        self.manual_mode = 0
        """`<mode>` of +COPS; 2 means that the user has left the network."""
        self.cell = Cell()

    @property
    def registered(self) -> bool:
        """Whether messages can be sent and received."""
        return self.stat in SERVES

    def search(self) -> None:
        """Look for a network, unless there is one already or the user wants none."""
        module = self._module
        if self.manual_mode == 2 or self.registered or module.power.function != 1 or not module.card.ready:
            return
        self._stop()
        self._show(SEARCHING)
        self._timer = module.power.later(module.device.register_s, self._register)

    def leave(self) -> None:
        """Deregister; the network keeps what comes meanwhile."""
        self._stop()
        self._detach()
        self._show(0)

    def vanish(self) -> None:
        """Power went: nothing is said to the terminal."""
        self._stop()
        self._detach()
        self.stat = 0

    def change(self, stat: int, reject_cause: int = 0) -> None:
        """The network's word: another state of registration. One that does not serve detaches."""
        self._stop()
        self.reject_cause = reject_cause
        if stat in SERVES and not self._module.attached:
            answer = self._attach()
            stat = stat if answer in SERVES else answer
        elif stat not in SERVES:
            self._detach()
        self._show(stat)

    def move(self, area: str, identity: str) -> None:
        """Another cell of the same network; told from level 2 on (27.007 7.2)."""
        self.cell.area, self.cell.identity = area, identity
        if self.registered:
            self._tell({name for name, level in self._module.settings.creg.items() if level >= 2})

    def domain(self, name: str) -> int:
        """The state as one of the three commands shows it."""
        return self.stat if name == "+CREG" else PACKET.get(self.stat, self.stat)

    def location(self, name: str, level: int) -> str:
        """What follows the state from level 2 on: `,"<lac>","<ci>",<AcT>`; from 3 on a cause of rejection."""
        text = ""
        if level >= 2 and self.registered:
            text = f',"{self.cell.area}","{self.cell.identity}",{self.cell.access}'
            if name == "+CGREG":
                text += f',"{self.cell.routing_area}"'
        if level >= 3 and not self.registered and self.reject_cause:
            text += f",{',' * (4 if name == '+CGREG' else 3)}0,{self.reject_cause}"
        return text

    def _register(self) -> None:
        self._show(self._attach())

    def _attach(self) -> int:
        """Ask the network; the state it answers. Where there is none, look again after a while."""
        module = self._module
        stat = module.network.attach(module)
        module.attached = stat in SERVES
        if module.attached:
            module.clock.synchronise()
        elif stat == SEARCHING:
            self._timer = module.power.later(AGAIN_S, self._register)
        return stat

    def _detach(self) -> None:
        if self._module.attached:
            self._module.attached = False
            self._module.network.detach(self._module)

    def _show(self, stat: int) -> None:
        """Take on a state and tell the terminal, if it asked for it."""
        if stat == self.stat:
            return
        before = {name: self.domain(name) for name in self._module.settings.creg}
        self.stat = stat
        self._tell({name for name, domain in before.items() if self.domain(name) != domain})

    def _tell(self, names: set[str]) -> None:
        """Say these domains, where the terminal asked for them."""
        for name, level in self._module.settings.creg.items():
            if level and name in names and name not in self._module.device.without:
                self._module.speech.unsolicited(f"{name}: {self.domain(name)}{self.location(name, level)}")

    def _stop(self) -> None:
        self._module.power.cancel(self._timer)
        self._timer = None
