"""Faults that happen at one moment, and what ends those that last a while."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hardware.sim.module.memory import Status, Stored
from pdu import Address

if TYPE_CHECKING:
    from collections.abc import Callable

    from hardware.sim.faults import Fault, Faults

NOISE = bytes.fromhex("00FFF8E68098FE00")
"""A burst as seen at power-up and at a wrong speed."""

JUNK = bytes.fromhex("040B915155214365F700006290124131020004EABA7B0D")
"""A DELIVER from a stranger."""


def _rubbish(faults: Faults, _fault: Fault) -> None:
    faults.module.noise(NOISE)


def _restart(faults: Faults, fault: Fault) -> None:
    faults.module.reboot(loud=fault.name == "reboot-loud")


def _lose_settings(faults: Faults, _fault: Fault) -> None:
    faults.module.settings.take(faults.module.saved)


def _fill(faults: Faults, _fault: Fault) -> None:
    store = faults.module.stores[faults.module.settings.cpms[2]]
    while store.add(Stored(Status.READ, Address.parse("+15550001234"), JUNK)) is not None:
        pass


def _lose_registration(faults: Faults, fault: Fault) -> None:
    """The network's word; it finds the module again afterwards."""
    faults.module.registration(fault.stat)
    if fault.for_:
        faults.later(fault.for_, lambda: faults.module.registration(1))


def _remove_card(faults: Faults, fault: Fault) -> None:
    """A bad contact; back again, the card is read anew only when the radio is switched off and on."""
    module = faults.module
    module.sim.present = False
    module.link.leave()
    module.speech.unsolicited("+CPIN: NOT INSERTED")

    def put_back() -> None:
        if module.sim.present:  # somebody has done it before
            return
        module.sim.present = True
        module.card.power_down()

    if fault.for_:
        faults.later(fault.for_, put_back)


def _block(faults: Faults, fault: Fault) -> None:
    if faults.port is not None:
        faults.port.pause()
        if fault.for_:
            faults.later(fault.for_, faults.port.resume)


def _unplug(faults: Faults, fault: Fault) -> None:
    if faults.port is not None:
        faults.port.unplug()
        if fault.for_:
            faults.later(fault.for_, faults.port.plug)


LINE: dict[str, Callable[[Faults, Fault], None]] = {"write-blocked": _block, "port-gone": _unplug}

EVENTS: dict[str, Callable[[Faults, Fault], None]] = {
    "rubbish": _rubbish,
    "reboot-loud": _restart,
    "reboot-silent": _restart,
    "settings-lost": _lose_settings,
    "store-full": _fill,
    "registration-lost": _lose_registration,
    "sim-removed": _remove_card,
    **LINE,
}
