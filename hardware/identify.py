"""Chooses the profile of a module by its USB ids and by its answers to ATI, +CGMM and +CGMI.

Pure functions: ids and answers in, names of profiles out. USB ids alone are ambiguous where makers share
product ids (SIM7600 and SIM7000), answers alone where a maker gives two versions the same name (LARA-R6).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from hardware import profile
from hardware.profile import DriverProfile
from hardware.sysfs import UsbPort
from pdu.record import Record

GENERIC = "generic"
MIN_MODEL_CHARS = 4
"""Minimum length of a word that is compared with models. Every model has at least this many characters before
a wildcard."""

PRIMARY_RANK, SECONDARY_RANK = 0, 1
"""Suitability of a port for AT commands; the lower rank is preferred."""


class PortInfo(Record):
    """Facts about a module that its port shows."""

    profiles: tuple[str, ...] = ()
    """Names of the profiles with its USB ids; empty if the port is not on USB or belongs to an adapter."""
    usb_id: str = ""
    """`1e0e:9001`, or "" if no profile has these ids."""
    role: str = ""
    """"at" or "modem" if a profile names the interface, "uart" for the module's own UART, else ""."""


def match_usb_id(vendor: str, product: str, drivers: Mapping[str, DriverProfile] | None = None) -> list[str]:
    """Return the names of the profiles of a USB product, also of those without a known AT port."""
    drivers = profile.load_driver_profiles(product) if drivers is None else drivers
    return [name for name, driver in drivers.items() if driver.usb_layouts(vendor, product)]


def rank_at_port(driver: DriverProfile, port: UsbPort) -> int | None:
    """Return the rank of a port for AT commands; None if the profile does not name its interface."""
    layouts = driver.usb_layouts(port.device.vendor, port.device.product)
    if any(
        layout.at_interface == port.interface or port.interface_class in layout.at_interface_classes
        for layout in layouts
    ):
        return PRIMARY_RANK
    is_second = any(layout.second_at_interface == port.interface for layout in layouts)
    return SECONDARY_RANK if is_second else None


def match_answers(answers: Iterable[str], candidates: Iterable[str] = ()) -> str:
    """Return the profile whose model appears in the answers to ATI, +CGMM and +CGMI, else `generic`.

    The longest matching model wins; among equals one of the `candidates`, the profiles that match by USB id.
    If no model matches, a single candidate is taken. The name of the maker is not used: it changes when a
    company is sold, and some boards answer "INCORPORATED".
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
    """Return the words that may be a model: SIMCOM and SIM7600E-H for `+CGMM: "SIMCOM_SIM7600E-H"`."""
    return [word for word in re.split(r"[^\w./*-]+|_", answer.upper()) if len(word) >= MIN_MODEL_CHARS]


def _is_match(model: str, words: set[str]) -> bool:
    """Return True if a word begins with the model and no digit follows: EG91 does not match EG915."""
    pattern = re.escape(model.upper()).replace(r"\*", ".*").replace(r"\?", ".")
    return any(re.match(pattern + r"(?![0-9])", word) for word in words)


def _literal_length(model: str) -> int:
    return len(re.sub(r"[*?]", "", model))
