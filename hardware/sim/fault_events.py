"""Faults that happen at one moment, and what ends those that last a while."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hardware.sim.module.stores import MessageStatus, StoredTpdu
from pdu import Address

if TYPE_CHECKING:
    from collections.abc import Callable

    from hardware.sim.faults import Fault, FaultInjector

NOISE_BYTES = bytes.fromhex("00FFF8E68098FE00")
"""A burst as seen at power-up and at a wrong speed."""

FOREIGN_TPDU = bytes.fromhex("040B915155214365F700006290124131020004EABA7B0D")
"""A DELIVER from a stranger."""


def _emit_noise(faults: FaultInjector, _fault: Fault) -> None:
    faults.module.emit_noise(NOISE_BYTES)


def _restart(faults: FaultInjector, fault: Fault) -> None:
    faults.module.reboot(print_boot_lines=fault.name == "reboot-loud")


def _lose_settings(faults: FaultInjector, _fault: Fault) -> None:
    faults.module.settings.copy_from(faults.module.saved_settings)


def _fill_store(faults: FaultInjector, _fault: Fault) -> None:
    store = faults.module.stores[faults.module.settings.cpms[2]]
    while store.add(StoredTpdu(MessageStatus.READ, Address.parse("+15550001234"), FOREIGN_TPDU)) is not None:
        pass


def _lose_registration(faults: FaultInjector, fault: Fault) -> None:
    """The network's word; it finds the module again afterwards."""
    faults.module.set_registration(fault.stat)
    if fault.for_:
        faults.call_later(fault.for_, lambda: faults.module.set_registration(1))


def _remove_sim(faults: FaultInjector, fault: Fault) -> None:
    """A bad contact; back again, the card is read anew only when the radio is switched off and on."""
    module = faults.module
    module.sim.present = False
    module.registration.deregister()
    module.output.write_urc("+CPIN: NOT INSERTED")

    def put_back() -> None:
        if module.sim.present:  # somebody has done it before
            return
        module.sim.present = True
        module.sim_access.power_down()

    if fault.for_:
        faults.call_later(fault.for_, put_back)


def _block_port(faults: FaultInjector, fault: Fault) -> None:
    if faults.port is not None:
        faults.port.pause()
        if fault.for_:
            faults.call_later(fault.for_, faults.port.resume)


def _unplug_port(faults: FaultInjector, fault: Fault) -> None:
    if faults.port is not None:
        faults.port.unplug()
        if fault.for_:
            faults.call_later(fault.for_, faults.port.plug)


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
    "sim-removed": _remove_sim,
    **PORT_FAULTS,
}
