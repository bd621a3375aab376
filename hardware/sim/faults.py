"""Faults of the simulated module, by name: faulty behaviour of real modules.

The module calls the `FaultInjector` at four points and nowhere else: for its input (`filter_input`), before
each command (`before_command`), before it sends a body (`before_body`), and for its output (`filter_output`).
Without an active fault the four change nothing. Some faults are actions instead (`FAULT_ACTIONS`): they
happen at one moment, or when a command is executed.

`hardware.sim.fault_spec` has their names and keys.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from hardware.sim.fault_spec import Fault, parse_fault
from hardware.sim.fault_text import FaultError
from hardware.sim.module.command_parser import CommandForm, ParsedCommand
from hardware.sim.module.context import BoundedList, ModuleContext
from hardware.sim.module.errors import parse_error
from hardware.sim.module.stores import MessageStatus, StoredTpdu
from pdu import Address

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from hardware.sim.interfaces import Scheduler, TimerHandle
    from hardware.sim.module.response_writer import OutputKind

LASTING_FAULTS = frozenset({"mute", "echo-stuck"})
"""Faults that stay active for a time instead of a number of occurrences."""

FAULTS_ENDED_BY_RESTART = frozenset({"mute", "body-refused"})

SHORTEST_SILENCE_S = 0.001
"""A slot with a silence of 0 s loses the answer only."""

NOISE_BYTES = bytes.fromhex("00FFF8E68098FE00")
"""A burst as seen at power-up and at a wrong baud rate."""

FOREIGN_TPDU = bytes.fromhex("040B915155214365F700006290124131020004EABA7B0D")
"""A DELIVER from a sender that is not the service."""


class FaultTarget(Protocol):
    """The operations that faults need of a module; `hardware.sim.module.module.SimulatedModule` has them."""

    @property
    def context(self) -> ModuleContext: ...

    def batch_writes(self) -> AbstractContextManager[None]: ...

    def power_off(self) -> None: ...

    def power_on(self) -> None: ...

    def reboot(self, *, print_boot_lines: bool) -> None: ...

    def set_registration(self, stat: int) -> None: ...

    def search_network(self) -> None: ...

    def set_functionality(self, functionality: int) -> None: ...

    def remove_sim(self) -> None: ...

    def reinsert_sim(self) -> None: ...


class ControllablePort(Protocol):
    """The operations that faults need of a port; `hardware.sim.module.pty.Pty` has them."""

    def pause(self) -> None: ...

    def resume(self) -> None: ...

    def unplug(self) -> None: ...

    def plug(self) -> None: ...


@dataclass(slots=True, eq=False)
class ScheduledFault:
    """A fault that was added; it begins at once or when its timer runs."""

    text: str
    fault: Fault
    timer: TimerHandle | None = None
    """Set until the fault begins."""
    remaining: int = 0
    """The number of times that a fault that has begun may still occur; negative means without limit."""

    def matches(self, name: str, subject: str) -> bool:
        """Return True if it is the fault `name` and affects the command or URC `subject`."""
        return self.remaining != 0 and self.fault.name == name and self.fault.command in {"", subject}


class FaultInjector:
    """The faults of one module."""

    def __init__(self, module: FaultTarget, scheduler: Scheduler) -> None:
        self.module = module
        self._scheduler = scheduler
        self._faults: list[ScheduledFault] = []
        self._current_command = ""
        self.port: ControllablePort | None = None
        """The module's port, needed by the faults in `PORT_FAULTS`."""
        self.triggered: list[str] = BoundedList()
        """Names of the faults that occurred, in order."""
        self.on_triggered: Callable[[str], None] = lambda _: None
        """Called with the name of each fault that occurs."""

    def add(self, text: str) -> None:
        """Add a fault, `NAME` or `NAME:key=value,...`; raises FaultError."""
        fault = parse_fault(text)
        if fault.name in PORT_FAULTS:
            self.require_port(fault)
        added = ScheduledFault(text, fault)
        self._faults.append(added)
        added.timer = self._call_later(fault.after, lambda: self._begin(added))

    def require_port(self, fault: Fault) -> ControllablePort:
        """Return the module's port; raises FaultError if it has none."""
        if self.port is None:
            raise FaultError(f"fault {fault.name} needs a port, and this module has none")
        return self.port

    def describe(self) -> dict[str, list[object]]:
        """Return the faults that wait, may still occur or last, and the names of those that occurred."""
        faults: list[object] = [
            {"fault": added.text, "waits": added.timer is not None} for added in self._faults
        ]
        return {"faults": faults, "struck": list(self.triggered)}

    def cancel_all(self) -> None:
        """Remove all faults that have not occurred, and end those that last until they are cancelled.

        A fault that has begun and lasts for a time ends after that time.
        """
        begun = [added.fault for added in self._faults if added.timer is None]
        self.clear()
        with self.module.batch_writes():
            for fault in begun:
                if not fault.for_ and (end := FAULT_ENDINGS.get(fault.name)):
                    end(self, fault)

    def clear(self) -> None:
        """Remove all faults. The effect of one that has begun lasts until its time is over."""
        for added in self._faults:
            if added.timer is not None:
                added.timer.cancel()
        self._faults.clear()

    def handle_restart(self) -> None:
        """Remove the faults that a restart from outside ends."""
        for added in tuple(self._faults):
            if added.timer is None and added.fault.name in FAULTS_ENDED_BY_RESTART:
                self._remove(added)

    def filter_input(self, data: bytes) -> bytes:
        """Return the part of these bytes that the module receives."""
        return b"" if self._find_match("mute", "") else data

    def before_command(self, command: ParsedCommand) -> list[str] | float | None:
        """Decide on a command that is about to be executed.

        Returns None to execute it, information texts to answer instead, or a delay in seconds after which it
        is executed. Raises CommandError.
        """
        self._current_command = command.name
        for name, act in FAULT_ACTIONS.items():
            if fault := self._trigger(name, command.name):
                act(self, fault)
        if fault := self._trigger("refused", command.name):
            raise parse_error(fault.refusal)
        if self._trigger("ignored", command.name) or (
            command.name == "E" and self._find_match("echo-stuck", "")
        ):
            return []
        if command.name != "+CMGD" and (silent := self._trigger_slot("slot-silent", command)):
            self.add(f"mute:for={max(silent.seconds, SHORTEST_SILENCE_S)}")
        if command.name == "+CMGD" and self._trigger_slot("slot-kept", command):
            return []
        fault = self._trigger("late", command.name) or self._trigger("prompt-late", command.name)
        return fault.seconds if fault else None

    def before_body(self, command_name: str) -> None:
        """Decide on the body of a message that was received. Raises CommandError to refuse it."""
        if fault := self._trigger("body-refused", command_name):
            raise parse_error(fault.refusal)

    def filter_output(self, kind: OutputKind, data: bytes) -> bytes:
        """Return the part of this output that the terminal receives."""
        if not self._faults:
            return data
        match kind:
            case "information":
                lost = self._find_match("answer-lost", self._current_command) or self._trigger(
                    "information-lost", self._current_command
                )
            case "final":
                lost = self._trigger("answer-lost", self._current_command) or self._trigger(
                    "final-lost", self._current_command
                )
            case "prompt":
                lost = self._trigger("prompt-missing", self._current_command)
            case "unsolicited":
                lost = self._trigger("code-lost", data.strip(b"\r\n").split(b":")[0].decode("latin-1"))
            case "echo":
                lost = None
        return b"" if lost or self._find_match("mute", "") else data

    def end_later(self, fault: Fault) -> None:
        """End a lasting fault when its time is over; never if it lasts until it is cancelled."""
        if fault.for_:
            self._call_later(fault.for_, lambda: self._end(fault))

    def _end(self, fault: Fault) -> None:
        for added in tuple(self._faults):
            if added.fault is fault and not added.remaining:
                self._remove(added)
        FAULT_ENDINGS[fault.name](self, fault)

    def _call_later(self, delay_s: float, action: Callable[[], None]) -> TimerHandle | None:
        """Call `action` after a delay. This is not one of the module's timers: a fault outlives a restart."""

        def run() -> None:
            with self.module.batch_writes():
                action()

        if delay_s > 0:
            return self._scheduler.call_later(delay_s, run)
        run()
        return None

    def _begin(self, added: ScheduledFault) -> None:
        added.timer = None
        fault = added.fault
        added.remaining = fault.times or -1
        if fault.name in FAULT_ACTIONS and not fault.command:
            added.remaining = 1
            self._count(added)
            FAULT_ACTIONS[fault.name](self, fault)
            return
        if fault.name == "echo-stuck":
            self.module.context.settings.echo = True
        if fault.name in LASTING_FAULTS and fault.for_:
            self._call_later(fault.for_, lambda: self._remove(added))

    def _find_match(self, name: str, subject: str) -> ScheduledFault | None:
        """Return the active fault `name` that affects `subject`."""
        return next((added for added in self._faults if added.matches(name, subject)), None)

    def _trigger(self, name: str, subject: str) -> Fault | None:
        """Return the active fault `name` that affects `subject`, and count one occurrence of it."""
        added = self._find_match(name, subject)
        return None if added is None else self._count(added)

    def _trigger_slot(self, name: str, command: ParsedCommand) -> Fault | None:
        """Return the active fault `name` of a slot that holds a message, if the command concerns it."""
        context, parameters = self.module.context, command.parameters
        is_list = command.name == "+CMGL" and command.form in {CommandForm.SET, CommandForm.EXECUTE}
        if not is_list and (command.name not in {"+CMGR", "+CMGD"} or parameters.has(1)):
            return None
        for added in self._faults:
            index = added.fault.index
            is_named = is_list or parameters.get(0) == str(index)
            if is_named and added.matches(name, command.name):
                slot = index - context.profile.first_index
                if context.stores[context.settings.cpms[0]].get(slot) is not None:
                    return self._count(added)
        return None

    def _count(self, added: ScheduledFault) -> Fault:
        """Count one occurrence. A fault that is used up is removed; one that lasts for a time, at its end."""
        added.remaining -= 1
        self.triggered.append(added.fault.name)
        self.on_triggered(added.fault.name)
        if not added.remaining and added.fault.name not in FAULT_ENDINGS:
            self._remove(added)
        return added.fault

    def _remove(self, added: ScheduledFault) -> None:
        if added in self._faults:  # all may have been removed before
            self._faults.remove(added)


def _emit_noise(faults: FaultInjector, _fault: Fault) -> None:
    faults.module.context.output_batch.write_raw(NOISE_BYTES)


def _restart(faults: FaultInjector, fault: Fault) -> None:
    faults.module.reboot(print_boot_lines=fault.name == "reboot-loud")


def _lose_settings(faults: FaultInjector, _fault: Fault) -> None:
    context = faults.module.context
    context.settings.copy_from(context.saved_settings)


def _fill_store(faults: FaultInjector, _fault: Fault) -> None:
    """Fill the store for received messages (`<mem3>` of +CPMS) with copies of one message."""
    context = faults.module.context
    message = StoredTpdu(MessageStatus.READ, Address.parse("+15550001234"), FOREIGN_TPDU)
    while context.stores[context.settings.cpms[2]].add(message) is not None:
        pass


def _lose_registration(faults: FaultInjector, fault: Fault) -> None:
    """The network deregisters the module, and lets it search again afterwards."""
    faults.module.set_registration(fault.stat)
    faults.end_later(fault)


def _switch_radio_off(faults: FaultInjector, fault: Fault) -> None:
    faults.module.set_functionality(fault.fun)


def _remove_sim(faults: FaultInjector, fault: Fault) -> None:
    """A bad contact: when the SIM is back, the module reads it only after +CFUN=0 and 1."""
    faults.module.remove_sim()
    faults.end_later(fault)


def _switch_off(faults: FaultInjector, fault: Fault) -> None:
    faults.module.power_off()
    faults.end_later(fault)


def _block_port(faults: FaultInjector, fault: Fault) -> None:
    faults.require_port(fault).pause()
    faults.end_later(fault)


def _unplug_port(faults: FaultInjector, fault: Fault) -> None:
    faults.require_port(fault).unplug()
    faults.end_later(fault)


PORT_FAULTS: dict[str, Callable[[FaultInjector, Fault], None]] = {
    "write-blocked": _block_port,
    "port-gone": _unplug_port,
}

FAULT_ACTIONS: dict[str, Callable[[FaultInjector, Fault], None]] = {
    "rubbish": _emit_noise,
    "reboot-loud": _restart,
    "reboot-silent": _restart,
    "settings-lost": _lose_settings,
    "store-full": _fill_store,
    "registration-lost": _lose_registration,
    "radio-off": _switch_radio_off,
    "sim-removed": _remove_sim,
    "switched-off": _switch_off,
    **PORT_FAULTS,
}
"""Faults that happen at one moment, or when their command is executed."""

FAULT_ENDINGS: dict[str, Callable[[FaultInjector, Fault], None]] = {
    "write-blocked": lambda faults, fault: faults.require_port(fault).resume(),
    "port-gone": lambda faults, fault: faults.require_port(fault).plug(),
    "switched-off": lambda faults, _: faults.module.power_on(),
    "sim-removed": lambda faults, _: faults.module.reinsert_sim(),
    "registration-lost": lambda faults, _: faults.module.search_network(),
}
"""The ends of those among `FAULT_ACTIONS` that last for a time."""
