"""Which profile fits a module: by its place on USB, and by what it says of itself.

Both are pure: facts in, names of profiles out. USB alone leaves a choice where makers share product ids
(SIM7600 and SIM7000), answers alone where a maker gives two versions the same name (LARA-R6).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from hardware import profile
from hardware.profile import DriverProfile

GENERIC = "generic"
MIN_MODEL_CHARS = 4
"""A model has this many characters before its first `*` or `?`; shorter words name none."""

PRIMARY_RANK, SECONDARY_RANK = 0, 1
"""How good a port is for commands; less is better."""


@dataclass(frozen=True, slots=True)
class PortInfo:
    """What a port says of the module behind it."""

    profiles: tuple[str, ...] = ()
    """Those that its USB ids leave; none where it is not on USB, or is an adapter."""
    usb_id: str = ""
    """`1e0e:9001`, where profiles know it."""
    role: str = ""
    """"at" or "modem" where profiles name the interface, "uart" for a port that is the module's own UART."""


def match_usb_id(vendor: str, product: str, drivers: Mapping[str, DriverProfile] | None = None) -> list[str]:
    """The profiles of a USB product, AT port or not."""
    drivers = profile.load_driver_profiles(product) if drivers is None else drivers
    return [
        name
        for name, driver in drivers.items()
        if any(layout.vendor == vendor and product in layout.products for layout in driver.usb)
    ]


def rank_at_port(
    driver: DriverProfile, vendor: str, product: str, interface: int, interface_class: str
) -> int | None:
    """How good one interface of a USB product is for commands; None where the profile names none there."""
    layouts = [layout for layout in driver.usb if layout.vendor == vendor and product in layout.products]
    if any(
        layout.at_interface == interface or interface_class in layout.at_interface_classes
        for layout in layouts
    ):
        return PRIMARY_RANK
    return SECONDARY_RANK if any(layout.second_at_interface == interface for layout in layouts) else None


def match_answers(answers: Iterable[str], candidates: Iterable[str] = ()) -> str:
    """The profile whose model the answers of ATI, +CGMM, +CGMI name; `generic` when none does.

    The longest model that fits wins; among equals one of the `candidates` that USB leaves. Without an answer
    that fits, a single candidate is taken. What the maker calls itself is not looked at: it changes with
    owners, and boards have "INCORPORATED" there.
    """
    words = {word for answer in answers for word in _split_words(answer)}
    likely = list(candidates)
    fits = {
        name: max((_literal_length(model) for model in models if _is_match(model, words)), default=0)
        for name, models in (profile.load_model_patterns() if words else {}).items()
    }
    best = max(fits.values(), default=0)
    if best == 0:
        return likely[0] if len(likely) == 1 else GENERIC
    named = [name for name, length in fits.items() if length == best]
    return next((name for name in named if name in likely), named[0])


def _split_words(answer: str) -> list[str]:
    """`+CGMM: "SIMCOM_SIM7600E-H"` has two; too short ones name no model."""
    return [word for word in re.split(r"[^\w./*-]+|_", answer.upper()) if len(word) >= MIN_MODEL_CHARS]


def _is_match(model: str, words: set[str]) -> bool:
    """Whether a word begins with that model. EG91 is not EG915: no digit may follow."""
    pattern = re.escape(model.upper()).replace(r"\*", ".*").replace(r"\?", ".")
    return any(re.match(pattern + r"(?![0-9])", word) for word in words)


def _literal_length(model: str) -> int:
    return len(re.sub(r"[*?]", "", model))
