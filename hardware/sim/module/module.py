"""The simulated module: bytes from the terminal in, bytes to the terminal out, the network behind it.

This file only composes the parts; they share a `ModuleContext` (settings, stores, SIM, output, timers).
In the direction of a command: `command_reader` splits the input into lines, `command_parser` splits lines
into commands, `interpreter` executes them with the tables in `commands`, `response_writer` frames the
output. On the network side `registration` attaches, `mt_delivery` routes messages from the network, and
`mo_submit` sends. `power` starts and stops everything; the stores and the SIM outlive it. `faults` adds
faults on request. The module does no I/O, reads no clock of its own and uses no randomness.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hardware.sim.faults import FaultInjector
from hardware.sim.module.clock import Clock
from hardware.sim.module.command_outcome import TextPrompt
from hardware.sim.module.command_reader import CommandReader
from hardware.sim.module.commands import commands_for, execute_command
from hardware.sim.module.context import ModuleContext
from hardware.sim.module.indicators import Indicators
from hardware.sim.module.interpreter import Interpreter
from hardware.sim.module.message_builder import MessageBuilder
from hardware.sim.module.message_formatter import MessageFormatter
from hardware.sim.module.mo_submit import MoSubmitter
from hardware.sim.module.mt_delivery import MtDelivery
from hardware.sim.module.parts import MessageParts, ModuleParts
from hardware.sim.module.power import ModulePower
from hardware.sim.module.registration import NetworkRegistration
from hardware.sim.module.response_writer import OutputBatch

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager
    from datetime import datetime

    from hardware.profile import SimulatorProfile
    from hardware.sim.interfaces import Network, Scheduler
    from hardware.sim.module.command_outcome import CommandOutcome
    from hardware.sim.module.command_parser import ParsedCommand
    from hardware.sim.module.sim_card import SimCard
    from pdu import Address


class SimulatedModule:
    """A simulated GSM/LTE module with an AT interface; for the network a `MobileStation`. It starts off."""

    def __init__(
        self,
        *,
        scheduler: Scheduler,
        wall_clock: Callable[[], datetime],
        network: Network,
        profile: SimulatorProfile,
        sim: SimCard,
        write: Callable[[bytes], None],
    ) -> None:
        self.faults = FaultInjector(self, scheduler)
        self.context = context = ModuleContext(
            scheduler=scheduler,
            wall_clock=wall_clock,
            network=network,
            station=self,
            profile=profile,
            sim=sim,
            output_batch=OutputBatch(write, self.faults.filter_output),
        )
        self.profile = profile
        self.settings = context.settings
        self.saved_settings = context.saved_settings
        self.stores = context.stores
        self.log = context.log
        self.sim_access = context.sim_access
        clock = Clock(context)
        self.registration = NetworkRegistration(context, clock, self._is_radio_on)
        self._commands = commands_for(profile)
        self.command_reader = CommandReader(self.settings, context.output, self._execute_line)
        self._interpreter = Interpreter(
            context,
            self.command_reader,
            command_names=frozenset(self._commands),
            execute=self._execute_command,
            before_command=self.faults.before_command,
            on_line_done=self._process_deliveries,
        )
        formatter = MessageFormatter(context)
        submitter = MoSubmitter(context, self.registration, self._interpreter)
        self.mt_delivery = MtDelivery(
            context, self.registration, formatter, self.command_reader, self._interpreter
        )
        self.power = ModulePower(
            context,
            clock,
            self.registration,
            on_power_off=(
                self._interpreter.reset,
                self.command_reader.reset,
                self.mt_delivery.reset,
                submitter.reset,
                self.faults.handle_restart,
            ),
        )
        indicators = Indicators(context, self.registration)
        context.output_batch.before_end = indicators.report_changes
        self._parts = ModuleParts(
            context=context,
            line=self._interpreter,
            power=self.power,
            clock=clock,
            registration=self.registration,
            indicators=indicators,
            messages=MessageParts(
                builder=MessageBuilder(context),
                formatter=formatter,
                submitter=submitter,
                delivery=self.mt_delivery,
            ),
        )

    @property
    def sim(self) -> SimCard:
        """The SIM in the module."""
        return self.context.sim

    @property
    def attached(self) -> bool:
        """True while the module is attached to the network."""
        return self.registration.attached

    @property
    def imsi(self) -> str:
        """IMSI of the SIM; empty without a SIM."""
        return self.sim.imsi if self.sim.present else ""

    @property
    def awaits_terminal(self) -> bool:
        """True while it waits for the text of a message, or for +CNMA."""
        return self.command_reader.is_text_entry_open or self.mt_delivery.is_cnma_awaited

    # Power

    def power_on(self) -> None:
        """Boot: boot lines, then SIM, then registration. Input is lost until the boot has finished."""
        with self.batch_writes():
            self.power.power_on()

    def set_functionality(self, functionality: int) -> None:
        """Set +CFUN, as another program does on another port."""
        with self.batch_writes():
            self.power.set_functionality(functionality)

    def power_off(self) -> None:
        """Cut the power at once; stores and saved settings remain."""
        with self.batch_writes():
            self.power.power_off()

    def reboot(self, *, print_boot_lines: bool = True) -> None:
        """Restart; unsaved settings are lost."""
        with self.batch_writes():
            self.power.reboot(print_boot_lines=print_boot_lines)

    # Terminal

    def receive(self, data: bytes) -> None:
        """Process bytes from the terminal."""
        if not self.power.is_running:
            return
        with self.batch_writes():
            self.command_reader.receive(self.faults.filter_input(data))

    def batch_writes(self) -> AbstractContextManager[None]:
        """Return a context manager that joins all output written in it into one write, in order."""
        return self.context.output_batch.batch()

    # Network

    def deliver(self, reference: int, service_centre: Address, tpdu: bytes) -> None:
        """Process an RP-DATA from the network; it is lost while the module is off."""
        if self.power.is_running:
            with self.batch_writes():
                self.mt_delivery.deliver(reference, service_centre, tpdu)

    def submitted(self, token: int, cause: int | None) -> None:
        """Process the network's answer to a submission."""
        with self.batch_writes():
            self._parts.messages.submitter.handle_result(token, cause)

    def set_registration(self, stat: int, reject_cause: int = 0) -> None:
        """Set the registration state that the network decided on (27.007 7.2)."""
        with self.batch_writes():
            self.registration.set_stat(stat, reject_cause)

    def search_network(self) -> None:
        """Search for a network, unless the module is registered or must not register."""
        with self.batch_writes():
            self.registration.search()

    # SIM

    def remove_sim(self) -> None:
        """Remove the SIM from the running module, which reports it and deregisters."""
        with self.batch_writes():
            self.sim.present = False
            self.registration.deregister()
            self.context.output.write_urc("+CPIN: NOT INSERTED")

    def reinsert_sim(self) -> None:
        """Put the SIM back, if it was removed. The module reads it at the next +CFUN=0 and 1, or restart."""
        if not self.sim.present:
            self.sim.present = True
            self.sim_access.power_down()

    def _execute_line(self, line: str) -> None:
        self._interpreter.execute_line(line)

    def _execute_command(self, command: ParsedCommand) -> CommandOutcome:
        outcome = execute_command(command, self._commands, self._parts)
        if not isinstance(outcome, TextPrompt):
            return outcome

        def on_body(body: bytes) -> CommandOutcome:
            self.faults.before_body(command.name)
            return outcome.on_text(body)

        return TextPrompt(on_body, outcome.text_mode)

    def _process_deliveries(self) -> None:
        self.mt_delivery.process_pending()

    def _is_radio_on(self) -> bool:
        return self.power.functionality == 1
