"""The options of a sandbox in a test: its SIMs and modules, and whether it checks credentials."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hardware.profile import list_profiles
from hardware.sim.sandbox_faults import check_fault
from hardware.sim.sandbox_sim import SimSpec, check_sims

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_KEYS = ("service", "device", "sims", "baud", "pin", "open")


@dataclass(frozen=True, slots=True, kw_only=True)
class SandboxOptions:
    """The options of one sandbox."""

    sims: tuple[SimSpec, ...] = (SimSpec(),)
    is_open: bool = False
    """True: the REST API accepts any credentials, or none."""


def parse_options(values: Mapping[str, object]) -> SandboxOptions:
    """Return the options that keywords such as those of the pytest marker describe.

        service="programmable-wireless"            one SIM of this service, which is also its name
        sims=["super-sim", "super-sim=meter"]      several SIMs: the service of each, and perhaps a name
        device="ec25", baud=115200, pin="1234"     of all modules and SIMs
        open=True                                  accept any credentials

    Raises ValueError with one sentence.
    """
    unknown = [key for key in values if key not in _KEYS]
    if unknown:
        raise ValueError(f"there is no option {unknown[0]}; there are {', '.join(_KEYS)} and faults")
    device = values.get("device", "generic")
    if device not in list_profiles():
        raise ValueError(f"there is no module {device}; there are {', '.join(list_profiles())}")
    baud, pin = values.get("baud"), values.get("pin")
    if baud is not None and (not isinstance(baud, int) or not 300 <= baud <= 4_000_000):
        raise ValueError(f"baud must be an integer from 300 to 4000000, not {baud!r}")
    if pin is not None and (not isinstance(pin, str) or not re.fullmatch("[0-9]{4,8}", pin)):
        raise ValueError(f"pin must be a string of 4 to 8 digits, not {pin!r}")
    specs = []
    for text in _strings("sims", values.get("sims") or [values.get("service", "super-sim")]):
        service, _, name = text.partition("=")
        specs.append(
            SimSpec(service=service, unique_name=name or None, device=str(device), baud=baud, pin=pin)
        )
    check_sims(specs)
    return SandboxOptions(sims=tuple(specs), is_open=bool(values.get("open")))


def parse_faults(value: object, sims: Sequence[str]) -> list[tuple[str, str]]:
    """Return each fault of a list such as `["store-full", "mute:for=5@meter"]` with the name of its SIM.

    The name is one of `sims`, or empty if the fault is for all. Raises ValueError with one sentence.
    """
    faults = []
    for text in _strings("faults", value):
        fault, _, sim = text.partition("@")
        check_fault(fault)
        if sim and sim not in sims:
            raise ValueError(f"{text}: there is no SIM {sim}; there are {', '.join(sims)}")
        faults.append((fault, sim))
    return faults


def _strings(key: str, value: object) -> Sequence[str]:
    if not isinstance(value, list | tuple) or not all(isinstance(each, str) for each in value):
        raise ValueError(f"{key} must be a list of strings")
    return value
