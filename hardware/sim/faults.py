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

from hardware.sim.fault_events import EVENTS, LINE
from hardware.sim.latest import Latest
from hardware.sim.module.refusal import named

if TYPE_CHECKING:
    from collections.abc import Callable

    from hardware.sim.module.command import Asked
    from hardware.sim.module.module import SimulatedModule
    from hardware.sim.module.speech import Utterance

MEANING = {
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

LASTING = frozenset({"mute", "echo-stuck"})
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


class Port(Protocol):
    """The line itself, for faults of the line; `hardware.sim.module.pty.Pty` is one."""

    def pause(self) -> None: ...

    def resume(self) -> None: ...

    def unplug(self) -> None: ...

    def plug(self) -> None: ...


def parse(text: str) -> Fault:
    """Read `NAME:key=value,...`; raises FaultError."""
    name, _, rest = text.partition(":")
    if name not in MEANING:
        raise FaultError(f'there is no fault "{name}"; known are {", ".join(MEANING)}')
    keys = dict(item.partition("=")[::2] for item in rest.split(",") if item)
    if "command" in keys:
        keys["command"] = keys["command"].upper()
    elif name == "prompt-late":
        keys["command"] = "+CMGS"
    try:
        named(keys.get("refusal", "ERROR"))
        return msgspec.convert({"name": name, **keys}, Fault, strict=False)
    except ValueError as error:
        raise FaultError(f"fault {name}: {error}") from error


@dataclass(slots=True)
class Standing:
    """A fault that lies in wait."""

    fault: Fault
    left: int
    """How often it still strikes; negative is always."""

    def fits(self, name: str, what: str) -> bool:
        """Whether it is this fault and would strike this."""
        return self.left != 0 and self.fault.name == name and self.fault.command in {"", what}


class Faults:
    """The faults of one module."""

    def __init__(self, module: SimulatedModule) -> None:
        self.module = module
        self._standing: list[Standing] = []
        self._asked = ""
        self.port: Port | None = None
        """For faults of the line."""
        self.log: list[str] = Latest()
        """Names of the faults that struck, in order."""

    def add(self, fault: Fault | str) -> None:
        """Order a fault; raises FaultError."""
        fault = parse(fault) if isinstance(fault, str) else fault
        if fault.name in LINE and self.port is None:
            raise FaultError(f"fault {fault.name} needs a port, and this module has none")
        self.later(fault.after, lambda: self._begin(fault))

    def clear(self) -> None:
        """Nothing lies in wait any more."""
        self._standing.clear()

    def restarted(self) -> None:
        """Somebody switched the module off and on: a mute one speaks again."""
        self._standing = [standing for standing in self._standing if standing.fault.name != "mute"]

    def hear(self, data: bytes) -> bytes:
        """What the module hears of these bytes."""
        return b"" if self._waits("mute", "") else data

    def ask(self, asked: Asked) -> list[str] | float | None:
        """A command is about to be executed. None: do so; a list: say this instead; a number: wait so long.

        Raises RefusedError.
        """
        self._asked = asked.name
        for name in EVENTS:
            if fault := self._strike(name, asked.name):
                EVENTS[name](self, fault)
        if fault := self._strike("refused", asked.name):
            raise named(fault.refusal)
        if self._strike("ignored", asked.name) or (asked.name == "E" and self._waits("echo-stuck", "")):
            return []
        fault = self._strike("late", asked.name) or self._strike("prompt-late", asked.name)
        return fault.seconds if fault else None

    def say(self, kind: Utterance, data: bytes) -> bytes:
        """What the terminal gets of it."""
        if not self._standing:
            return data
        match kind:
            case "information":
                lost = self._waits("answer-lost", self._asked) or self._strike(
                    "information-lost", self._asked
                )
            case "final":
                lost = self._strike("answer-lost", self._asked) or self._strike("final-lost", self._asked)
            case "prompt":
                lost = self._strike("prompt-missing", self._asked)
            case "unsolicited":
                lost = self._strike("code-lost", data.strip(b"\r\n").split(b":")[0].decode("latin-1"))
            case "echo":
                lost = None
        return b"" if lost or self._waits("mute", "") else data

    def later(self, delay: float, action: Callable[[], None]) -> None:
        """In so many seconds; not by the module's own timers, for a fault outlives a restart."""

        def due() -> None:
            with self.module.event():
                action()

        if delay > 0:
            self.module.scheduler.call_later(delay, due)
        else:
            due()

    def _begin(self, fault: Fault) -> None:
        if fault.name in EVENTS and not fault.command:
            self.log.append(fault.name)
            EVENTS[fault.name](self, fault)
            return
        standing = Standing(fault, fault.times or -1)
        self._standing = [*(other for other in self._standing if other.left), standing]
        if fault.name == "echo-stuck":
            self.module.settings.echo = True
        if fault.name in LASTING and fault.for_:
            self.later(fault.for_, lambda: self._end(standing))

    def _end(self, standing: Standing) -> None:
        standing.left = 0

    def _waits(self, name: str, what: str) -> Fault | None:
        """The fault of that name that would strike this."""
        return next((standing.fault for standing in self._standing if standing.fits(name, what)), None)

    def _strike(self, name: str, what: str) -> Fault | None:
        """The same, and it has struck once more."""
        for standing in self._standing:
            if standing.fits(name, what):
                standing.left -= 1
                self.log.append(name)
                return standing.fault
        return None
