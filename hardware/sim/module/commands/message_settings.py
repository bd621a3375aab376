"""How messages are kept, routed and shown: 27.005 3.2 and 3.3, and +CNMI (3.4.1)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hardware.sim.module import charset, tpdu
from hardware.sim.module.interpreter import Entry, Needs, Outcome
from hardware.sim.module.refusal import cms, named

if TYPE_CHECKING:
    from hardware.sim.module.command import Values
    from hardware.sim.module.module import SimulatedModule

OCTET = range(256)


def _service(module: SimulatedModule, values: Values) -> Outcome:
    """+CSMS: 1 makes direct deliveries wait for +CNMA. All three directions are supported.

    Of the other services of 27.005 3.2.1 there is none: +CMS ERROR, not ERROR.
    """
    values.at_most(1)
    service = values.number(0, OCTET)
    if service > 1:
        raise cms(303)
    module.settings.csms = service
    return ["+CSMS: 1,1,1"]


def _stores(module: SimulatedModule, values: Values) -> Outcome:
    """+CPMS="m1"[,"m2"[,"m3"]]; those left out keep their value."""
    values.at_most(3)
    chosen = list(module.settings.cpms)
    for place, allowed in enumerate(module.device.memories):
        if values.given(place) or place == 0:
            name = values.string(place).upper()
            if name not in allowed:
                raise named(module.device.cpms_refusal)
            chosen[place] = name
    module.settings.cpms = (chosen[0], chosen[1], chosen[2])
    module.keep("cpms")
    used = [f"{len(module.stores[name])},{module.stores[name].capacity}" for name in chosen]
    return [f"+CPMS: {','.join(used)}"]


def _stores_in_use(module: SimulatedModule) -> str:
    stores = ((name, module.stores[name]) for name in module.settings.cpms)
    return ",".join(f'"{name}",{len(store)},{store.capacity}' for name, store in stores)


def _stores_there_are(module: SimulatedModule) -> str:
    return ",".join("(" + ",".join(f'"{name}"' for name in names) + ")" for names in module.device.memories)


def _format(module: SimulatedModule, values: Values) -> Outcome:
    values.at_most(1)
    text_mode = bool(values.number(0, range(2), 0))
    if text_mode and not module.device.text_mode:
        raise cms(303)
    module.settings.text_mode = text_mode
    module.keep("text_mode")
    return []


def _service_centre(module: SimulatedModule, values: Values) -> Outcome:
    """+CSCA="<sca>"[,<tosca>]; kept on the card."""
    values.at_most(2)
    type_of_address = values.number(1, OCTET) if values.given(1) else None
    try:
        number = charset.heard(values.string(0), module.settings.cscs)
        module.sim.service_centre = tpdu.address(number, type_of_address)
    except ValueError:
        raise cms(304) from None
    return []


def _shown_service_centre(module: SimulatedModule) -> str:
    return module.rendering.address(module.sim.service_centre)


def _parameters(module: SimulatedModule, values: Values) -> Outcome:
    """+CSMP=[<fo>[,<vp>[,<pid>[,<dcs>]]]]; an absolute validity period is a string."""
    values.at_most(4)
    first, validity, protocol, coding = module.settings.csmp
    if values.given(1):
        validity = values.number(1, OCTET) if isinstance(values.items[1], str) else values.string(1)
    module.settings.csmp = (
        values.number(0, OCTET, first),
        validity,
        values.number(2, OCTET, protocol),
        values.number(3, OCTET, coding),
    )
    return []


def _shown_parameters(module: SimulatedModule) -> str:
    first, validity, protocol, coding = module.settings.csmp
    shown = f'"{validity}"' if isinstance(validity, str) else validity
    return f"{first},{shown},{protocol},{coding}"


def _headers(module: SimulatedModule, values: Values) -> Outcome:
    values.at_most(1)
    module.settings.csdh = values.number(0, range(2), 0)
    return []


def _broadcast(module: SimulatedModule, values: Values) -> Outcome:
    """+CSCB: remembered; there is no cell broadcast here."""
    values.at_most(3)
    mode, identifiers, schemes = module.settings.cscb
    module.settings.cscb = (
        values.number(0, range(2), mode),
        values.string(1, identifiers),
        values.string(2, schemes),
    )
    return []


PROFILES = range(4)
"""Memories of +CSAS and +CRES."""


def _save(module: SimulatedModule, values: Values) -> Outcome:
    values.at_most(1)
    profile = values.number(0, PROFILES, 0)
    settings = module.settings
    module.message_profiles[profile] = (module.sim.service_centre, settings.csmp, settings.cscb)
    return []


def _restore(module: SimulatedModule, values: Values) -> Outcome:
    values.at_most(1)
    saved = module.message_profiles.get(values.number(0, PROFILES, 0))
    if saved is not None:
        module.sim.service_centre, module.settings.csmp, module.settings.cscb = saved
    return []


LINK_HELD_S = 5.0
"""+CMMS=1 goes back to 0 when nothing was sent for 1 to 5 seconds (27.005 3.5.6)."""


def _more_messages(module: SimulatedModule, values: Values) -> Outcome:
    values.at_most(1)
    module.settings.cmms = values.number(0, range(3), 0)
    return []


def _shown_more_messages(module: SimulatedModule) -> str:
    if module.settings.cmms == 1 and module.outgoing.idle_s > LINK_HELD_S:
        module.settings.cmms = 0
    return str(module.settings.cmms)


def _indications(module: SimulatedModule, values: Values) -> Outcome:
    """+CNMI=[<mode>[,<mt>[,<bm>[,<ds>[,<bfr>]]]]]; what is left out is 0. Kept codes follow the OK."""
    values.at_most(5)
    device = module.device
    wanted = [values.number(place, OCTET, 0) for place in range(5)]
    mode, mt, bm, ds, bfr = wanted
    if any(value not in allowed for value, allowed in zip(wanted, device.cnmi_allowed, strict=True)):
        raise named(device.cnmi_refusal)
    if device.cnmi_needs_mode and (((mt == 3 or ds == 1) and mode != 1) or (mt == 2 and mode not in {1, 2})):
        raise named(device.cnmi_refusal)
    module.settings.cnmi = (mode, mt, bm, ds, bfr)
    module.keep("cnmi")
    if mode != 0 and bfr == 1:
        module.arrival.clear()
    return []


def _possible_indications(module: SimulatedModule) -> str:
    return ",".join(_range(allowed) for allowed in module.device.cnmi_allowed)


def _range(allowed: tuple[int, ...]) -> str:
    first, last = allowed[0], allowed[-1]
    if len(allowed) > 2 and allowed == tuple(range(first, last + 1)):
        return f"({first}-{last})"
    return f"({','.join(map(str, allowed))})"


ENTRIES = {
    "+CSMS": Entry(set=_service, read=lambda module: f"{module.settings.csms},1,1,1", test=lambda _: "(0,1)"),
    "+CPMS": Entry(set=_stores, read=_stores_in_use, test=_stores_there_are, needs=Needs.MESSAGES),
    "+CMGF": Entry(
        execute=_format,
        set=_format,
        read=lambda module: str(int(module.settings.text_mode)),
        test=lambda module: "(0,1)" if module.device.text_mode else "(0)",
    ),
    "+CSCA": Entry(set=_service_centre, read=_shown_service_centre, needs=Needs.MESSAGES),
    "+CSMP": Entry(set=_parameters, read=_shown_parameters),
    "+CSDH": Entry(
        execute=_headers, set=_headers, read=lambda module: str(module.settings.csdh), test=lambda _: "(0,1)"
    ),
    "+CSCB": Entry(
        set=_broadcast,
        read=lambda module: '{},"{}","{}"'.format(*module.settings.cscb),
        test=lambda _: "(0,1)",
    ),
    "+CSAS": Entry(execute=_save, set=_save, test=lambda _: "(0-3)"),
    "+CRES": Entry(execute=_restore, set=_restore, test=lambda _: "(0-3)"),
    "+CMMS": Entry(
        execute=_more_messages, set=_more_messages, read=_shown_more_messages, test=lambda _: "(0-2)"
    ),
    "+CNMI": Entry(
        set=_indications,
        read=lambda module: ",".join(map(str, module.settings.cnmi)),
        test=_possible_indications,
        needs=Needs.MESSAGES,
    ),
}
