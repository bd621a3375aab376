"""Faults of the simulated module as a user writes them: their names and keys.

A fault is written `NAME` or `NAME:key=value,key=value`, for instance `final-lost:command=+CMGS,times=2`.
`FAULT_DESCRIPTIONS` explains the names. The keys are:

    after     seconds until the fault becomes active (0)
    for       seconds that a lasting fault lasts (30); 0 means until it is cancelled
    times     how often the fault occurs (1; 0 for body-refused and for those of a slot); 0 means always
    command   the command that the fault affects, or that triggers it; for code-lost the URC, such as +CMTI
    seconds   the delay of late and prompt-late (5), the silence of slot-silent (20)
    refusal   the error of refused and body-refused: `ERROR`, `CME 14`, `CMS 302` (ERROR; CMS 1 for a body)
    index     the slot of slot-silent and slot-kept, as AT commands number it (1)
    stat      the registration state of registration-lost (2)
    fun       the functionality that radio-off sets: 4, or 0, which also cuts the power of the SIM (4)
"""

from __future__ import annotations

from typing import Annotated

from hardware.sim.fault_text import FaultError, Seconds, convert_fault, split_fault
from hardware.sim.module.errors import parse_error
from hardware.table import Limits
from pdu.record import Record

FAULT_DESCRIPTIONS = {
    "mute": "ignores its input and writes nothing; a restart from outside ends it",
    "late": "executes a command after a delay; input meanwhile waits",
    "prompt-late": "gives the prompt of +CMGS after a delay",
    "prompt-missing": "accepts the text but gives no prompt",
    "refused": "refuses a command with an error",
    "ignored": "answers OK and does nothing",
    "body-refused": "refuses the body of every message with an error until it is restarted",
    "slot-silent": "is silent for a while when the message in one slot is read or listed",
    "slot-kept": "answers OK to the delete of one slot and keeps its message",
    "echo-stuck": "keeps the echo on after ATE0",
    "information-lost": "executes a command and writes only the final result code",
    "final-lost": "executes a command and writes no final result code",
    "answer-lost": "executes a command and writes nothing",
    "code-lost": "does not write an unsolicited result code",
    "rubbish": "writes a burst of noise",
    "reboot-loud": "restarts, with boot lines; unsaved settings are lost",
    "reboot-silent": "restarts without boot lines; unsaved settings are lost",
    "settings-lost": "falls back to the saved settings without a restart",
    "store-full": "has its preferred store filled with messages from an unknown sender",
    "registration-lost": "is not registered for a while",
    "radio-off": "has its radio switched off by another program",
    "sim-removed": "has no SIM for a while",
    "switched-off": "is switched off until somebody presses its power key",
    "write-blocked": "takes no bytes from the line for a while",
    "port-gone": "disappears and comes back after a while, as another device behind the same link",
}

_DEFAULTS = {
    "prompt-late": {"command": "+CMGS"},
    "body-refused": {"refusal": "CMS 1", "times": "0"},
    "slot-silent": {"seconds": "20", "times": "0"},
    "slot-kept": {"times": "0"},
}
"""The keys of some faults that have other defaults than `Fault` has."""


class Fault(Record, kw_only=True):
    """One fault with its keys."""

    name: str
    after: Seconds = 0.0
    for_: Seconds = 30.0
    times: Annotated[int, Limits(ge=0)] = 1
    command: str = ""
    seconds: Seconds = 5.0
    refusal: str = "ERROR"
    index: int = 1
    stat: int = 2
    fun: int = 4


def parse_fault(text: str) -> Fault:
    """Parse `NAME:key=value,...`; raises FaultError."""
    name, given = split_fault(text, FAULT_DESCRIPTIONS)
    keys = _DEFAULTS.get(name, {}) | given
    keys["command"] = keys.get("command", "").upper()
    try:
        parse_error(keys.get("refusal", "ERROR"))
    except ValueError as error:
        raise FaultError(f"fault {name}: {error}") from error
    return convert_fault(name, keys, Fault)
