"""Settings of message storage, routing and display: 27.005 3.2 and 3.3, and +CNMI (3.4.1)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hardware.sim.module import charset, tpdu
from hardware.sim.module.command_outcome import CommandOutcome, Requirement
from hardware.sim.module.context import MessageProfile
from hardware.sim.module.errors import cms_error, parse_error
from hardware.sim.module.parts import CommandDef, format_range, number_setting

if TYPE_CHECKING:
    from hardware.sim.module.command_parser import CommandParameters
    from hardware.sim.module.parts import ModuleParts

OCTET = range(256)


def _select_service(module: ModuleParts, parameters: CommandParameters) -> CommandOutcome:
    """+CSMS: 1 makes direct deliveries wait for +CNMA. All three message types are supported.

    The other services of 27.005 3.2.1 give a +CMS ERROR, not ERROR.
    """
    service = parameters.get_number(0, OCTET)
    if service > 1:
        raise cms_error(303)
    module.settings.csms = service
    return ["+CSMS: 1,1,1"]


def _select_stores(module: ModuleParts, parameters: CommandParameters) -> CommandOutcome:
    """+CPMS="m1"[,"m2"[,"m3"]]; omitted stores keep their value."""
    if len(parameters.items) not in module.profile.cpms_counts:
        raise parse_error(module.profile.cpms_refusal)
    chosen = list(module.settings.cpms)
    for place, allowed in enumerate(module.profile.memories):
        if parameters.has(place) or place == 0:
            name = parameters.get_string(place).upper()
            if name not in allowed:
                raise parse_error(module.profile.cpms_refusal)
            chosen[place] = name
    module.settings.cpms = (chosen[0], chosen[1], chosen[2])
    module.context.persist_setting("cpms")
    used = [f"{len(module.stores[name])},{module.stores[name].capacity}" for name in chosen]
    return [f"+CPMS: {','.join(used)}"]


def _show_stores(module: ModuleParts) -> str:
    stores = ((name, module.stores[name]) for name in module.settings.cpms)
    return ",".join(f'"{name}",{len(store)},{store.capacity}' for name, store in stores)


def _list_stores(module: ModuleParts) -> str:
    return ",".join("(" + ",".join(f'"{name}"' for name in names) + ")" for names in module.profile.memories)


def _set_format(module: ModuleParts, parameters: CommandParameters) -> CommandOutcome:
    text_mode = bool(parameters.get_number(0, range(2), 0))
    if text_mode and not module.profile.text_mode:
        raise cms_error(303)
    module.settings.text_mode = text_mode
    module.context.persist_setting("text_mode")
    return []


def _set_service_centre(module: ModuleParts, parameters: CommandParameters) -> CommandOutcome:
    """+CSCA="<sca>"[,<tosca>]; stored on the SIM."""
    type_of_address = parameters.get_number(1, OCTET) if parameters.has(1) else None
    try:
        number = charset.decode_text(parameters.get_string(0), module.settings.cscs)
        module.sim.service_centre = tpdu.parse_address(number, type_of_address)
    except ValueError:
        raise cms_error(304) from None
    return []


def _set_text_parameters(module: ModuleParts, parameters: CommandParameters) -> CommandOutcome:
    """+CSMP=[<fo>[,<vp>[,<pid>[,<dcs>]]]]; an absolute validity period is a string."""
    first, validity, protocol, coding = module.settings.csmp
    if parameters.has(1):
        validity = (
            parameters.get_number(1, OCTET)
            if isinstance(parameters.get(1), str)
            else parameters.get_string(1)
        )
    module.settings.csmp = (
        parameters.get_number(0, OCTET, first),
        validity,
        parameters.get_number(2, OCTET, protocol),
        parameters.get_number(3, OCTET, coding),
    )
    return []


def _show_text_parameters(module: ModuleParts) -> str:
    first, validity, protocol, coding = module.settings.csmp
    shown = f'"{validity}"' if isinstance(validity, str) else validity
    return f"{first},{shown},{protocol},{coding}"


def _set_broadcast_types(module: ModuleParts, parameters: CommandParameters) -> CommandOutcome:
    """+CSCB: stored without effect; cell broadcast is not simulated."""
    mode, identifiers, schemes = module.settings.cscb
    module.settings.cscb = (
        parameters.get_number(0, range(2), mode),
        parameters.get_string(1, identifiers),
        parameters.get_string(2, schemes),
    )
    return []


MESSAGE_PROFILES = range(4)
"""Profile numbers of +CSAS and +CRES."""


def _save_profile(module: ModuleParts, parameters: CommandParameters) -> CommandOutcome:
    profile = parameters.get_number(0, MESSAGE_PROFILES, 0)
    settings = module.settings
    module.context.message_profiles[profile] = MessageProfile(
        module.sim.service_centre, settings.csmp, settings.cscb
    )
    return []


def _restore_profile(module: ModuleParts, parameters: CommandParameters) -> CommandOutcome:
    saved = module.context.message_profiles.get(parameters.get_number(0, MESSAGE_PROFILES, 0))
    if saved is not None:
        module.sim.service_centre, module.settings.csmp, module.settings.cscb = saved
    return []


LINK_RELEASE_S = 5.0
"""+CMMS=1 falls back to 0 after 1 to 5 seconds without a message (27.005 3.5.6)."""


def _set_more_messages(module: ModuleParts, parameters: CommandParameters) -> CommandOutcome:
    module.settings.cmms = parameters.get_number(0, range(3), 0)
    return []


def _show_more_messages(module: ModuleParts) -> str:
    if module.settings.cmms == 1 and module.messages.submitter.idle_s > LINK_RELEASE_S:
        module.settings.cmms = 0
    return str(module.settings.cmms)


def _set_indications(module: ModuleParts, parameters: CommandParameters) -> CommandOutcome:
    """+CNMI=[<mode>[,<mt>[,<bm>[,<ds>[,<bfr>]]]]]; omitted values are 0. Buffered URCs follow the OK."""
    device = module.profile
    wanted = [parameters.get_number(place, OCTET, 0) for place in range(5)]
    mode, mt, bm, ds, bfr = wanted
    if any(value not in allowed for value, allowed in zip(wanted, device.cnmi_allowed, strict=True)):
        raise parse_error(device.cnmi_refusal)
    if device.cnmi_needs_mode and (((mt == 3 or ds == 1) and mode != 1) or (mt == 2 and mode not in {1, 2})):
        raise parse_error(device.cnmi_refusal)
    module.settings.cnmi = (mode, mt, bm, ds, bfr)
    module.context.persist_setting("cnmi")
    if mode != 0 and bfr == 1:
        module.messages.delivery.drop_pending_urcs()
    return []


COMMANDS = {
    "+CSMS": CommandDef(
        set=_select_service, read=lambda module: f"{module.settings.csms},1,1,1", test=lambda _: "(0,1)"
    ),
    "+CPMS": CommandDef(
        set=_select_stores,
        read=_show_stores,
        test=_list_stores,
        max_parameters=3,
        requires=Requirement.MESSAGE_SERVICE,
    ),
    "+CMGF": CommandDef(
        execute=_set_format,
        set=_set_format,
        read=lambda module: str(int(module.settings.text_mode)),
        test=lambda module: "(0,1)" if module.profile.text_mode else "(0)",
    ),
    "+CSCA": CommandDef(
        set=_set_service_centre,
        read=lambda module: module.messages.formatter.format_address(module.sim.service_centre),
        max_parameters=2,
        requires=Requirement.MESSAGE_SERVICE,
    ),
    "+CSMP": CommandDef(set=_set_text_parameters, read=_show_text_parameters, max_parameters=4),
    "+CSDH": number_setting("csdh", range(2), 0),
    "+CSCB": CommandDef(
        set=_set_broadcast_types,
        read=lambda module: '{},"{}","{}"'.format(*module.settings.cscb),
        test=lambda _: "(0,1)",
        max_parameters=3,
    ),
    "+CSAS": CommandDef(execute=_save_profile, set=_save_profile, test=lambda _: "(0-3)"),
    "+CRES": CommandDef(execute=_restore_profile, set=_restore_profile, test=lambda _: "(0-3)"),
    "+CMMS": CommandDef(
        execute=_set_more_messages, set=_set_more_messages, read=_show_more_messages, test=lambda _: "(0-2)"
    ),
    "+CNMI": CommandDef(
        set=_set_indications,
        read=lambda module: ",".join(map(str, module.settings.cnmi)),
        test=lambda module: ",".join(map(format_range, module.profile.cnmi_allowed)),
        max_parameters=5,
        requires=Requirement.MESSAGE_SERVICE,
    ),
}
