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

from hardware.sim.bounded_list import BoundedList
from hardware.sim.faults import FaultInjector
from hardware.sim.module.clock import Clock
from hardware.sim.module.command_reader import CommandReader
from hardware.sim.module.commands import commands_for
from hardware.sim.module.errors import CommandError, parse_error
from hardware.sim.module.interpreter import Interpreter, Requirement
from hardware.sim.module.message_builder import MessageBuilder
from hardware.sim.module.message_formatter import MessageFormatter
from hardware.sim.module.mo_submit import MoSubmitter
from hardware.sim.module.mt_delivery import MtDelivery
from hardware.sim.module.power import ModulePower
from hardware.sim.module.registration import NetworkRegistration
from hardware.sim.module.response_writer import OutputKind, ResponseWriter
from hardware.sim.module.settings import Settings, factory_settings
from hardware.sim.module.sim_card import SimAccess, to_cms_error
from hardware.sim.module.stores import CombinedStore, FixedStore

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime

    from hardware.profile import SimulatorProfile
    from hardware.sim.interfaces import Network, Scheduler
    from hardware.sim.module.sim_card import SimCard
    from hardware.sim.module.stores import Store
    from pdu import Address


@dataclass(slots=True)
class ModuleLog:
    """What happened, for those who watch: tests and the demo. Of each kind the latest are kept."""

    boot_count: int = 0
    command_lines: list[str] = field(default_factory=BoundedList)
    """Bodies of command lines, without `AT`."""
    submitted_tpdus: list[bytes] = field(default_factory=BoundedList)
    """TPDUs handed to the network, SUBMIT and COMMAND, with the message reference in place."""
    delivery_answers: list[tuple[int, int | None]] = field(default_factory=BoundedList)
    """Reference and cause of each delivery that the network was answered."""
    bytes_while_off: int = 0
    """Bytes from the terminal that came while the module was off or starting."""


class SimulatedModule:
    """A GSM/LTE module as an AT client sees it; a `Station` for the network. It begins switched off."""

    profile: SimulatorProfile
    sim: SimCard
    settings: Settings
    power: ModulePower
    sim_access: SimAccess
    clock: Clock
    registration: NetworkRegistration

    def __init__(
        self,
        scheduler: Scheduler,
        network: Network,
        profile: SimulatorProfile,
        sim: SimCard,
        write: Callable[[bytes], None],
        wall_clock: Callable[[], datetime],
    ) -> None:
        self.scheduler = scheduler
        self.network = network
        self.profile = profile
        self.sim = sim
        self.wall_clock = wall_clock
        self.attached = False
        self.log = ModuleLog()
        self.settings = factory_settings(profile)
        self.saved_settings: Settings = self.settings.copy()
        self.stores = _make_stores(profile, sim)
        self.message_profiles: dict[
            int, tuple[Address, tuple[int, int | str, int, int], tuple[int, str, str]]
        ] = {}
        self.faults = FaultInjector(self)
        self.on_baud_change: Callable[[int], None] = lambda rate: None
        """Called with the rate of the line when it changes, 0 where it is to be learnt; see `rate`."""
        self._write = write
        self._write_buffer = bytearray()
        self._batch_depth = 0
        self.output = ResponseWriter(self.settings, profile, self._write_output)
        self.interpreter = Interpreter(self, commands_for(profile))
        self.command_reader = CommandReader(self.settings, self.output, self.interpreter.execute_line)
        self.power = ModulePower(self)
        self.sim_access = SimAccess(sim)
        self.clock = Clock(self)
        self.registration = NetworkRegistration(self)
        self.message_formatter = MessageFormatter(self)
        self.message_builder = MessageBuilder(self)
        self.mo_submitter = MoSubmitter(self)
        self.mt_delivery = MtDelivery(self)

    @property
    def imsi(self) -> str:
        """Identity of the subscription; empty without a SIM."""
        return self.sim.imsi if self.sim.present else ""

    def power_on(self) -> None:
        """Start: boot lines, then SIM, then registration. Bytes received before are lost."""
        with self.batch_writes():
            self.power.power_on()

    def power_off(self) -> None:
        """Go dark at once; stores and saved settings stay."""
        with self.batch_writes():
            self.power.power_off()

    def reboot(self, *, print_boot_lines: bool = True) -> None:
        """Restart with unsaved settings lost; a silent one prints no boot lines."""
        with self.batch_writes():
            self.power.power_off()
            self.power.power_on(print_boot_lines=print_boot_lines)

    def receive(self, data: bytes) -> None:
        """Bytes from the terminal."""
        if not self.power.is_running:
            self.log.bytes_while_off += len(data)
            return
        with self.batch_writes():
            self.command_reader.receive(self.faults.filter_input(data))

    def deliver(self, reference: int, service_centre: Address, tpdu: bytes) -> None:
        """RP-DATA from the network; lost, as on the air, while the module is off."""
        if self.power.is_running:
            with self.batch_writes():
                self.mt_delivery.deliver(reference, service_centre, tpdu)

    def submitted(self, token: int, cause: int | None) -> None:
        """The network's answer to a submit."""
        with self.batch_writes():
            self.mo_submitter.handle_result(token, cause)

    def set_registration(self, stat: int, reject_cause: int = 0) -> None:
        """The network's word: from now on this is the state of registration (27.007 7.2)."""
        with self.batch_writes():
            self.registration.set_stat(stat, reject_cause)

    def emit_noise(self, data: bytes) -> None:
        """Bytes that are nothing a module says."""
        with self.batch_writes():
            self._write_buffer += data

    def require_ready(self, requirement: Requirement) -> None:
        """Raises the refusal of a command that comes too early."""
        if requirement is Requirement.NOTHING:
            return
        try:
            self.sim_access.require_ready()
        except CommandError as refusal:
            raise (refusal if requirement is Requirement.SIM else to_cms_error(refusal)) from None
        if requirement is Requirement.MESSAGE_SERVICE and not self.power.message_service_ready:
            raise parse_error(self.profile.sms_not_ready_refusal)

    def persist_setting(self, name: str) -> None:
        """A setting was written: some makers save some of them at once."""
        if name in self.profile.persistent_settings:
            self.saved_settings.copy_from(self.settings, [name])

    @contextmanager
    def batch_writes(self) -> Iterator[None]:
        """Everything said inside leaves in one write, in the order it was said."""
        self._batch_depth += 1
        try:
            yield
        finally:
            self._batch_depth -= 1
            if self._batch_depth == 0 and self._write_buffer:
                saying, self._write_buffer = bytes(self._write_buffer), bytearray()
                self._write(saying)

    def _write_output(self, kind: OutputKind, data: bytes) -> None:
        self._write_buffer += self.faults.filter_output(kind, data)


def _make_stores(profile: SimulatorProfile, sim: SimCard) -> dict[str, Store]:
    """By name. SM is on the card; MT is all or, on some modules, ME under another name."""
    stores: dict[str, Store] = {name: FixedStore(capacity) for name, capacity in profile.stores.items()}
    stores["SM"] = sim.messages
    stores["MT"] = (
        CombinedStore(stores["ME"], stores["SM"])
        if profile.mt_is_combined and "ME" in stores
        else stores.get("ME", stores["SM"])
    )
    return stores
