"""State and output of one simulated module, shared by its parts.

The parts (clock, registration, message delivery ...) get this context instead of the module that is composed
of them, so that no part imports the whole.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from hardware.sim.module.response_writer import ResponseWriter
from hardware.sim.module.scripted_answers import ScriptedAnswers
from hardware.sim.module.settings import Settings, factory_settings
from hardware.sim.module.sim_card import SimAccess
from hardware.sim.module.stores import CombinedStore, FixedStore
from hardware.sim.timers import TimerGroup

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from hardware.profile import SimulatorProfile
    from hardware.sim.interfaces import MobileStation, Network, Scheduler
    from hardware.sim.module.response_writer import OutputBatch
    from hardware.sim.module.sim_card import SimCard
    from hardware.sim.module.stores import Store
    from pdu import Address


Item = TypeVar("Item")

MIN_LOG_ITEMS = 1000
"""The latest items of a `BoundedList` that are always kept; it is shorter than twice this number."""


class BoundedList(list[Item]):
    """A list that drops its oldest items when new ones are appended: a sandbox may run for months."""

    def append(self, item: Item, /) -> None:
        """Append an item; when the list has 2 * MIN_LOG_ITEMS items, the older half is dropped."""
        super().append(item)
        if len(self) == 2 * MIN_LOG_ITEMS:
            del self[:MIN_LOG_ITEMS]


class MessageProfile(NamedTuple):
    """The settings that `+CSAS` saves and `+CRES` restores (27.005 3.3.5, 3.3.6)."""

    service_centre: Address
    csmp: tuple[int, int | str, int, int]
    cscb: tuple[int, str, str]


@dataclass(slots=True)
class ModuleLog:
    """The module's activity, for tests and the demo. Only the latest entries of each list are kept."""

    boot_count: int = 0
    command_lines: list[str] = field(default_factory=BoundedList)
    """Bodies of command lines, without `AT`."""
    submitted_tpdus: list[bytes] = field(default_factory=BoundedList)
    """TPDUs passed to the network, SUBMIT and COMMAND, with the message reference filled in."""
    delivery_answers: list[tuple[int, int | None]] = field(default_factory=BoundedList)
    """Reference and cause of each answer to a delivery; None is a positive answer."""


class ModuleContext:
    """The shared state of a module: settings, stores, SIM, profile, output, timers, clocks and the network.

    `station` is the module as the network sees it.
    """

    def __init__(
        self,
        *,
        scheduler: Scheduler,
        wall_clock: Callable[[], datetime],
        network: Network,
        station: MobileStation,
        profile: SimulatorProfile,
        sim: SimCard,
        output_batch: OutputBatch,
    ) -> None:
        self.scheduler = scheduler
        self.wall_clock = wall_clock
        self.network = network
        self.station = station
        self.profile = profile
        self.sim_access = SimAccess(sim)
        self.settings = factory_settings(profile)
        self.saved_settings: Settings = self.settings.copy()
        """The saved settings, which a restart and ATZ restore."""
        self.stores: dict[str, Store] = {
            name: FixedStore(capacity) for name, capacity in profile.stores.items()
        }
        """The message stores by their name in +CPMS. SM is on the SIM, the others are in the module."""
        self.message_profiles: dict[int, MessageProfile] = {}
        self.answers = ScriptedAnswers(profile.answers)
        """Answers to commands that are not simulated, or instead of the simulated ones."""
        self.log = ModuleLog()
        self.output_batch = output_batch
        self.output = ResponseWriter(self.settings, profile, output_batch.write)
        self.timers = TimerGroup(scheduler, output_batch.batch)
        self.on_baud_change: Callable[[int], None] = lambda baud: None
        """Called with the new baud rate when the module changes it; 0 means that it detects the rate."""
        self.insert_sim(sim)

    @property
    def sim(self) -> SimCard:
        """The SIM in the module."""
        return self.sim_access.sim

    def insert_sim(self, sim: SimCard) -> None:
        """Replace the SIM of a module that is off; its messages become the store SM.

        On some modules SM is another name of ME. MT is ME and SM together, or another name of ME as well.
        """
        self.sim_access.sim = sim
        own = self.stores.get("ME")
        self.stores["SM"] = own if own is not None and self.profile.sm_is_me else sim.messages
        if own is None:
            self.stores["MT"] = sim.messages
        else:
            is_combined = self.profile.mt_is_combined and not self.profile.sm_is_me
            self.stores["MT"] = CombinedStore(own, sim.messages) if is_combined else own

    def persist_setting(self, name: str) -> None:
        """Save a setting that was just written, if this module saves it without AT&W."""
        if name in self.profile.persistent_settings:
            self.saved_settings.copy_from(self.settings, [name])
