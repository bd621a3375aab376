"""The simulated module: bytes from the terminal in, bytes to the terminal out, a network behind it.

The rooms around this one, in the order of the road: `terminal` cuts lines, `command` cuts commands,
`interpreter` executes them with the tables of `commands`, `speech` frames what is said. On the other side
`link` registers, `arrival` routes what the network delivers, `outgoing` sends. `power` begins and ends all of
it, `card` and `memory` outlive it. `faults` interferes when told to. Nothing here does I/O, reads a clock of
its own or throws dice.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from hardware.sim.faults import Faults
from hardware.sim.latest import Latest
from hardware.sim.module.arrival import Arrival
from hardware.sim.module.card import CardReader, as_message_error
from hardware.sim.module.clock import Clock
from hardware.sim.module.commands import commands
from hardware.sim.module.composing import Composing
from hardware.sim.module.interpreter import Interpreter, Needs
from hardware.sim.module.link import Link
from hardware.sim.module.memory import Joined, Slots
from hardware.sim.module.outgoing import Outgoing
from hardware.sim.module.power import Power
from hardware.sim.module.refusal import RefusedError, named
from hardware.sim.module.rendering import Rendering
from hardware.sim.module.settings import Settings, factory
from hardware.sim.module.speech import Speech, Utterance
from hardware.sim.module.terminal import Terminal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime

    from hardware.profile import DeviceProfile
    from hardware.sim.module.card import Sim
    from hardware.sim.module.memory import Store
    from hardware.sim.radio import Network, Scheduler
    from pdu import Address


@dataclass(slots=True)
class Ledger:
    """What happened, for those who watch: tests and the demo. Of each kind the latest are kept."""

    boots: int = 0
    lines: list[str] = field(default_factory=Latest)
    """Bodies of command lines, without `AT`."""
    submits: list[bytes] = field(default_factory=Latest)
    """TPDUs handed to the network, SUBMIT and COMMAND, with the message reference in place."""
    answered: list[tuple[int, int | None]] = field(default_factory=Latest)
    """Reference and cause of each delivery that the network was answered."""
    deaf: int = 0
    """Bytes from the terminal that came while the module was off or starting."""


class SimulatedModule:
    """A GSM/LTE module as an AT client sees it; a `Station` for the network. It begins switched off."""

    device: DeviceProfile
    sim: Sim
    settings: Settings
    power: Power
    card: CardReader
    clock: Clock
    link: Link

    def __init__(
        self,
        scheduler: Scheduler,
        network: Network,
        device: DeviceProfile,
        sim: Sim,
        write: Callable[[bytes], None],
        wall: Callable[[], datetime],
    ) -> None:
        self.scheduler = scheduler
        self.network = network
        self.device = device
        self.sim = sim
        self.wall = wall
        self.attached = False
        self.ledger = Ledger()
        self.settings = factory(device)
        self.saved: Settings = self.settings.copy()
        self.stores = _stores(device, sim)
        self.message_profiles: dict[
            int, tuple[Address, tuple[int, int | str, int, int], tuple[int, str, str]]
        ] = {}
        self.faults = Faults(self)
        self.tune: Callable[[int], None] = lambda rate: None
        """Called with the rate of the line when it changes, 0 where it is to be learnt; see `rate`."""
        self._write = write
        self._saying = bytearray()
        self._depth = 0
        self.speech = Speech(self.settings, device, self._say)
        self.interpreter = Interpreter(self, commands(device))
        self.terminal = Terminal(self.settings, self.speech, self.interpreter.execute)
        self.power = Power(self)
        self.card = CardReader(sim)
        self.clock = Clock(self)
        self.link = Link(self)
        self.rendering = Rendering(self)
        self.composing = Composing(self)
        self.outgoing = Outgoing(self)
        self.arrival = Arrival(self)

    @property
    def imsi(self) -> str:
        """Identity of the subscription; empty without a SIM."""
        return self.sim.imsi if self.sim.present else ""

    def power_on(self) -> None:
        """Start: boot lines, then SIM, then registration. Bytes received before are lost."""
        with self.event():
            self.power.on()

    def power_off(self) -> None:
        """Go dark at once; stores and saved settings stay."""
        with self.event():
            self.power.off()

    def reboot(self, *, loud: bool = True) -> None:
        """Restart with unsaved settings lost; a silent one prints no boot lines."""
        with self.event():
            self.power.off()
            self.power.on(loud=loud)

    def receive(self, data: bytes) -> None:
        """Bytes from the terminal."""
        if not self.power.awake:
            self.ledger.deaf += len(data)
            return
        with self.event():
            self.terminal.receive(self.faults.hear(data))

    def deliver(self, reference: int, service_centre: Address, tpdu: bytes) -> None:
        """RP-DATA from the network; lost, as on the air, while the module is off."""
        if self.power.awake:
            with self.event():
                self.arrival.deliver(reference, service_centre, tpdu)

    def submitted(self, token: int, cause: int | None) -> None:
        """The network's answer to a submit."""
        with self.event():
            self.outgoing.outcome(token, cause)

    def registration(self, stat: int, reject_cause: int = 0) -> None:
        """The network's word: from now on this is the state of registration (27.007 7.2)."""
        with self.event():
            self.link.change(stat, reject_cause)

    def noise(self, data: bytes) -> None:
        """Bytes that are nothing a module says."""
        with self.event():
            self._saying += data

    def demand(self, needs: Needs) -> None:
        """Raises the refusal of a command that comes too early."""
        if needs is Needs.NOTHING:
            return
        try:
            self.card.demand()
        except RefusedError as refusal:
            raise (refusal if needs is Needs.CARD else as_message_error(refusal)) from None
        if needs is Needs.MESSAGES and not self.power.messages_ready:
            raise named(self.device.messages_not_ready)

    def keep(self, name: str) -> None:
        """A setting was written: some makers save some of them at once."""
        if name in self.device.saves:
            self.saved.take(self.settings, [name])

    @contextmanager
    def event(self) -> Iterator[None]:
        """Everything said inside leaves in one write, in the order it was said."""
        self._depth += 1
        try:
            yield
        finally:
            self._depth -= 1
            if self._depth == 0 and self._saying:
                saying, self._saying = bytes(self._saying), bytearray()
                self._write(saying)

    def _say(self, kind: Utterance, data: bytes) -> None:
        self._saying += self.faults.say(kind, data)


def _stores(device: DeviceProfile, sim: Sim) -> dict[str, Store]:
    """By name. SM is on the card; MT is all or, on some modules, ME under another name."""
    stores: dict[str, Store] = {name: Slots(capacity) for name, capacity in device.stores.items()}
    stores["SM"] = sim.messages
    stores["MT"] = (
        Joined(stores["ME"], stores["SM"])
        if device.joins_memories and "ME" in stores
        else stores.get("ME", stores["SM"])
    )
    return stores
