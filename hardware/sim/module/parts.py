"""The parts of a module that commands work with, and the form of a command definition."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from hardware.sim.module.command_outcome import CommandOutcome, Requirement

if TYPE_CHECKING:
    from collections.abc import Callable

    from hardware.profile import SimulatorProfile
    from hardware.sim.module.clock import Clock
    from hardware.sim.module.command_outcome import LineControl
    from hardware.sim.module.command_parser import CommandParameters
    from hardware.sim.module.context import ModuleContext
    from hardware.sim.module.indicators import Indicators
    from hardware.sim.module.message_builder import MessageBuilder
    from hardware.sim.module.message_formatter import MessageFormatter
    from hardware.sim.module.mo_submit import MoSubmitter
    from hardware.sim.module.mt_delivery import MtDelivery
    from hardware.sim.module.power import ModulePower
    from hardware.sim.module.registration import NetworkRegistration
    from hardware.sim.module.settings import Settings
    from hardware.sim.module.sim_card import SimAccess, SimCard
    from hardware.sim.module.stores import Store


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class MessageParts:
    """The parts that build, show, send and receive messages."""

    builder: MessageBuilder
    formatter: MessageFormatter
    submitter: MoSubmitter
    delivery: MtDelivery


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class ModuleParts:
    """The parts of a module that a command may read and change."""

    context: ModuleContext
    line: LineControl
    power: ModulePower
    clock: Clock
    registration: NetworkRegistration
    indicators: Indicators
    messages: MessageParts

    @property
    def settings(self) -> Settings:
        """The settings in effect."""
        return self.context.settings

    @property
    def profile(self) -> SimulatorProfile:
        """The properties of this model of module."""
        return self.context.profile

    @property
    def sim(self) -> SimCard:
        """The SIM in the module."""
        return self.context.sim

    @property
    def sim_access(self) -> SimAccess:
        """The access to the SIM: its PIN, and whether it is ready."""
        return self.context.sim_access

    @property
    def stores(self) -> dict[str, Store]:
        """The message stores by name."""
        return self.context.stores


@dataclass(frozen=True, slots=True)
class CommandDef:
    """A command: a function for each form. A form that is None gives ERROR, a missing test form OK."""

    execute: Callable[[ModuleParts, CommandParameters], CommandOutcome] | None = None
    set: Callable[[ModuleParts, CommandParameters], CommandOutcome] | None = None
    read: Callable[[ModuleParts], str | CommandOutcome] | None = None
    """Returns the text after the command's name in the answer, or another outcome."""
    test: Callable[[ModuleParts], str | CommandOutcome] | None = None
    """Returns the same as `read`."""
    max_parameters: int = 1
    """More parameters give ERROR."""
    requires: Requirement = Requirement.NOTHING


def number_setting(name: str, values: range | tuple[int, ...], default: int | None = None) -> CommandDef:
    """Return a command that sets the number `name` of the settings and reads it.

    With a default the parameter may be missing.
    """

    def act(module: ModuleParts, parameters: CommandParameters) -> CommandOutcome:
        setattr(module.settings, name, parameters.get_number(0, tuple(values), default))
        return []

    return CommandDef(
        execute=None if default is None else act,
        set=act,
        read=lambda module: str(getattr(module.settings, name)),
        test=lambda _: format_range(tuple(values)),
    )


def remembered_numbers(
    name: str, *values: range | tuple[int, ...], default: tuple[int, ...], read_suffix: str = ""
) -> CommandDef:
    """Return a command whose numbers are remembered and read back, and have no effect here.

    An omitted number becomes its default. `read_suffix` follows the numbers in the answer to the read form.
    """

    def act(module: ModuleParts, parameters: CommandParameters) -> CommandOutcome:
        module.settings.numbers[name] = tuple(
            parameters.get_number(place, tuple(allowed), default[place])
            for place, allowed in enumerate(values)
        )
        return []

    def read(module: ModuleParts) -> str:
        return ",".join(map(str, module.settings.numbers.get(name, default))) + read_suffix

    return CommandDef(
        execute=act,
        set=act,
        read=read,
        test=lambda _: ",".join(format_range(tuple(allowed)) for allowed in values),
        max_parameters=len(values),
    )


def format_range(values: tuple[int, ...]) -> str:
    """Return the values that a test command shows for a parameter: `(0,1)` or `(0-3)`."""
    first, last = values[0], values[-1]
    if len(values) > 2 and values == tuple(range(first, last + 1)):
        return f"({first}-{last})"
    return f"({','.join(map(str, values))})"
