"""Misfortunes of a module, by name: what real ones do and the honest simulated one does not.

The module asks here at three places and nowhere else: what it hears (`hear`), each command before it is
executed (`ask`), and each thing it says (`say`). With no fault active all three change nothing.

A fault is written `NAME` or `NAME:key=value,key=value`, for instance `final-lost:command=+CMGS,times=2`.
What the names mean stands in `MEANING`, the keys are:

    after     seconds until it begins (0)
    for       seconds until it is over, where it lasts (30); 0 is until somebody ends it
    times     how often it strikes (1; 0 is always)
    command   the command that it strikes, or at which it happens; for code-lost the code, such as +CMTI
    seconds   the delay of late and prompt-late (5)
    refusal   what refused says: `ERROR`, `CME 14`, `CMS 302` (ERROR)
    stat      the state of registration-lost (2)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import msgspec

from hardware.sim.bounded_list import BoundedList
from hardware.sim.fault_events import FAULT_ACTIONS, PORT_FAULTS
from hardware.sim.module.errors import parse_error

if TYPE_CHECKING:
    from collections.abc import Callable

    from hardware.sim.module.command_parser import ParsedCommand
    from hardware.sim.module.module import SimulatedModule
    from hardware.sim.module.response_writer import OutputKind

FAULT_DESCRIPTIONS = {
    "mute": "hears nothing and says nothing; a restart from outside ends it",
    "late": "takes its time before it executes a command; what is typed meanwhile waits",
    "prompt-late": "the same for +CMGS: the prompt comes late",
    "prompt-missing": "takes text but gives no prompt",
    "refused": "refuses a command",
    "ignored": "answers OK and does nothing",
    "echo-stuck": "echoes whatever ATE0 says",
    "information-lost": "executes a command and says only the final result",
    "final-lost": "executes a command and never says the final result",
    "answer-lost": "executes a command and says nothing",
    "code-lost": "does not say an unsolicited code",
    "rubbish": "says a burst of noise",
    "reboot-loud": "restarts, settings lost, and says so",
    "reboot-silent": "restarts, settings lost, without a word",
    "settings-lost": "falls back to the saved settings without a restart",
    "store-full": "finds its preferred store full of a stranger's messages",
    "registration-lost": "is not registered for a while",
    "sim-removed": "has no SIM for a while",
    "write-blocked": "does not take bytes from the line for a while",
    "port-gone": "vanishes and comes back after a while, under another name behind the same link",
}

LASTING_FAULTS = frozenset({"mute", "echo-stuck"})
"""Faults that stand until their time is over."""


class FaultError(ValueError):
    """A fault that is written wrongly; the text is one sentence."""


class Fault(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One misfortune, as it was ordered."""

    name: str
    after: float = 0.0
    for_: float = msgspec.field(default=30.0, name="for")
    times: int = 1
    command: str = ""
    seconds: float = 5.0
    refusal: str = "ERROR"
    stat: int = 2


class ControllablePort(Protocol):
    """The line itself, for faults of the line; `hardware.sim.module.pty.Pty` is one."""

    def pause(self) -> None: ...

    def resume(self) -> None: ...

    def unplug(self) -> None: ...

    def plug(self) -> None: ...


def parse_fault(text: str) -> Fault:
    """Read `NAME:key=value,...`; raises FaultError."""
    name, _, rest = text.partition(":")
    if name not in FAULT_DESCRIPTIONS:
        raise FaultError(f'there is no fault "{name}"; known are {", ".join(FAULT_DESCRIPTIONS)}')
    keys = dict(item.partition("=")[::2] for item in rest.split(",") if item)
    if "command" in keys:
        keys["command"] = keys["command"].upper()
    elif name == "prompt-late":
        keys["command"] = "+CMGS"
    try:
        parse_error(keys.get("refusal", "ERROR"))
        return msgspec.convert({"name": name, **keys}, Fault, strict=False)
    except ValueError as error:
        raise FaultError(f"fault {name}: {error}") from error


@dataclass(slots=True)
class ActiveFault:
    """A fault that lies in wait."""

    fault: Fault
    remaining: int
    """How often it still strikes; negative is always."""

    def matches(self, name: str, subject: str) -> bool:
        """Whether it is this fault and would strike this."""
        return self.remaining != 0 and self.fault.name == name and self.fault.command in {"", subject}


class FaultInjector:
    """The faults of one module."""

    def __init__(self, module: SimulatedModule) -> None:
        self.module = module
        self._active: list[ActiveFault] = []
        self._current_command = ""
        self.port: ControllablePort | None = None
        """For faults of the line."""
        self.triggered: list[str] = BoundedList()
        """Names of the faults that struck, in order."""

    def add(self, fault: Fault | str) -> None:
        """Order a fault; raises FaultError."""
        fault = parse_fault(fault) if isinstance(fault, str) else fault
        if fault.name in PORT_FAULTS and self.port is None:
            raise FaultError(f"fault {fault.name} needs a port, and this module has none")
        self.call_later(fault.after, lambda: self._activate(fault))

    def clear(self) -> None:
        """Nothing lies in wait any more."""
        self._active.clear()

    def clear_mute(self) -> None:
        """Somebody switched the module off and on: a mute one speaks again."""
        self._active = [standing for standing in self._active if standing.fault.name != "mute"]

    def filter_input(self, data: bytes) -> bytes:
        """What the module hears of these bytes."""
        return b"" if self._find_match("mute", "") else data

    def before_command(self, command: ParsedCommand) -> list[str] | float | None:
        """A command is about to be executed. None: do so; a list: say this instead; a number: wait so long.

        Raises RefusedError.
        """
        self._current_command = command.name
        for name in FAULT_ACTIONS:
            if fault := self._trigger(name, command.name):
                FAULT_ACTIONS[name](self, fault)
        if fault := self._trigger("refused", command.name):
            raise parse_error(fault.refusal)
        if self._trigger("ignored", command.name) or (
            command.name == "E" and self._find_match("echo-stuck", "")
        ):
            return []
        fault = self._trigger("late", command.name) or self._trigger("prompt-late", command.name)
        return fault.seconds if fault else None

    def filter_output(self, kind: OutputKind, data: bytes) -> bytes:
        """What the terminal gets of it."""
        if not self._active:
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

    def call_later(self, delay: float, action: Callable[[], None]) -> None:
        """In so many seconds; not by the module's own timers, for a fault outlives a restart."""

        def due() -> None:
            with self.module.batch_writes():
                action()

        if delay > 0:
            self.module.scheduler.call_later(delay, due)
        else:
            due()

    def _activate(self, fault: Fault) -> None:
        if fault.name in FAULT_ACTIONS and not fault.command:
            self.triggered.append(fault.name)
            FAULT_ACTIONS[fault.name](self, fault)
            return
        standing = ActiveFault(fault, fault.times or -1)
        self._active = [*(other for other in self._active if other.remaining), standing]
        if fault.name == "echo-stuck":
            self.module.settings.echo = True
        if fault.name in LASTING_FAULTS and fault.for_:
            self.call_later(fault.for_, lambda: self._deactivate(standing))

    def _deactivate(self, active: ActiveFault) -> None:
        active.remaining = 0

    def _find_match(self, name: str, subject: str) -> Fault | None:
        """The fault of that name that would strike this."""
        return next((standing.fault for standing in self._active if standing.matches(name, subject)), None)

    def _trigger(self, name: str, subject: str) -> Fault | None:
        """The same, and it has struck once more."""
        for standing in self._active:
            if standing.matches(name, subject):
                standing.remaining -= 1
                self.triggered.append(name)
                return standing.fault
        return None
