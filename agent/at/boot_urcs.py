"""The URCs that modules print while they start, and when their SIM is inserted, removed or locked.

Sources: the manuals of the modules that have a profile, and transcripts. A profile may add codes of its own.
"""

from __future__ import annotations

from enum import Enum


class BootUrc(Enum):
    """The meaning of a boot URC."""

    STARTED = "the module has just started"
    MAYBE_STARTED = "the module has started, or is still running"
    """Many Huawei sticks print ^BOOT at the start, and again and again afterwards."""
    PART_READY = "the SIM, calls or the phonebook are ready"
    """Printed after a start, after +CFUN=1, and after the PIN."""
    SMS_READY = "messages can be read"
    """The last URC of a start."""
    SIM_CHANGED = "the SIM is absent, locked, or was removed"


BOOT_WORDS = {
    "RDY": BootUrc.STARTED,
    "APP RDY": BootUrc.STARTED,
    "Ready": BootUrc.STARTED,
    "Call Ready": BootUrc.PART_READY,
    "PB DONE": BootUrc.PART_READY,
    "SMS Ready": BootUrc.SMS_READY,
    "SMS DONE": BootUrc.SMS_READY,
}
"""Boot URCs that are whole lines."""
_BOOT_PREFIXES = (
    ("^SYSSTART", BootUrc.STARTED),
    ("*ATREADY", BootUrc.STARTED),
    ("+KSUP", BootUrc.STARTED),
    ("+AT: READY", BootUrc.STARTED),
    ("^BOOT", BootUrc.MAYBE_STARTED),
    ("+QIND: PB DONE", BootUrc.PART_READY),
    ("+QIND: SMS DONE", BootUrc.SMS_READY),
    ("+CPIN: READY", BootUrc.PART_READY),
    ("+CPIN: ", BootUrc.SIM_CHANGED),
    ("+QUSIM: 1", BootUrc.PART_READY),
    ("+QUSIM: 0", BootUrc.SIM_CHANGED),
)
"""Boot URCs by the start of the line. The first match counts."""
_READY_KINDS = {BootUrc.PART_READY, BootUrc.SMS_READY}


def classify_boot_urc(text: str) -> BootUrc | None:
    """Return what a URC means for the start of the module or its SIM, None for any other URC."""
    if (kind := BOOT_WORDS.get(text)) is not None:
        return kind
    return next((kind for prefix, kind in _BOOT_PREFIXES if text.startswith(prefix)), None)


def is_ready_urc(text: str) -> bool:
    """Return True if the URC means that the SIM, or a part of what is stored on it, can be read now."""
    return classify_boot_urc(text) in _READY_KINDS
