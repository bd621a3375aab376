"""The packet domain: 27.007 10.1. Contexts can be defined; the SIM has no data, so none becomes active."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hardware.sim.module.command_outcome import CommandOutcome
from hardware.sim.module.errors import cme_error, no_carrier
from hardware.sim.module.parts import CommandDef, number_setting, remembered_numbers

if TYPE_CHECKING:
    from hardware.sim.module.command_parser import CommandParameters
    from hardware.sim.module.parts import ModuleParts

CONTEXT_IDS = range(1, 16)
PDP_TYPES = ("IP", "IPV6", "IPV4V6")
DATA_NOT_SUBSCRIBED = 133
"""+CME ERROR for a request that the subscription does not include (27.007 9.2.2.1)."""


def _set_attachment(module: ModuleParts, parameters: CommandParameters) -> CommandOutcome:
    """+CGATT: the packet domain, which here is attached whenever the module is registered."""
    if parameters.get_number(0, range(2)):
        module.line.call_after_result(module.registration.search)
    return []


def _set_context(module: ModuleParts, parameters: CommandParameters) -> CommandOutcome:
    """+CGDCONT=<cid>[,<type>,<apn>[,...]]: stored without effect; data connections are not simulated."""
    cid = parameters.get_number(0, CONTEXT_IDS)
    if len(parameters.items) == 1:
        module.settings.pdp_contexts.pop(cid, None)
        return []
    pdp_type = parameters.get_string(1).upper()
    if pdp_type not in PDP_TYPES:
        raise cme_error(50)
    module.settings.pdp_contexts[cid] = (pdp_type, parameters.get_string(2, ""))
    return []


def _lines(lines: list[str]) -> CommandOutcome:
    return ["\r\n".join(lines)] if lines else []


def _show_contexts(module: ModuleParts) -> CommandOutcome:
    contexts = sorted(module.settings.pdp_contexts.items())
    return _lines(
        [f'+CGDCONT: {cid},"{pdp_type}","{apn}","0.0.0.0",0,0' for cid, (pdp_type, apn) in contexts]
    )


def _list_context_values(_module: ModuleParts) -> CommandOutcome:
    return _lines([f'+CGDCONT: (1-15),"{pdp_type}",,,(0),(0)' for pdp_type in PDP_TYPES])


def _set_activity(_module: ModuleParts, parameters: CommandParameters) -> CommandOutcome:
    """+CGACT=[<state>[,<cid>...]]: all contexts can be deactivated, and none activated."""
    for place in range(1, len(parameters.items)):
        parameters.get_number(place, CONTEXT_IDS)
    if parameters.get_number(0, range(2), 1):
        raise cme_error(DATA_NOT_SUBSCRIBED)
    return []


def _show_activity(module: ModuleParts) -> CommandOutcome:
    return _lines([f"+CGACT: {cid},0" for cid in sorted(module.settings.pdp_contexts)])


def _show_addresses(module: ModuleParts, parameters: CommandParameters) -> CommandOutcome:
    """+CGPADDR[=<cid>...]: the contexts have no addresses."""
    wanted = [parameters.get_number(place, CONTEXT_IDS) for place in range(len(parameters.items))]
    defined = sorted(module.settings.pdp_contexts)
    return _lines([f"+CGPADDR: {cid}" for cid in defined if cid in wanted or not wanted])


def _connect(_module: ModuleParts, _parameters: CommandParameters) -> CommandOutcome:
    """+CGDATA: as a call, there is no connection."""
    raise no_carrier()


def _show_active_parameters(_module: ModuleParts, parameters: CommandParameters) -> CommandOutcome:
    """+CGCONTRDP[=<cid>]: the parameters of active contexts, of which there are none."""
    parameters.get_number(0, CONTEXT_IDS, 1)
    return []


def _list_defined(module: ModuleParts) -> str:
    return f"({','.join(map(str, sorted(module.settings.pdp_contexts)))})"


COMMANDS = {
    "+CGATT": CommandDef(
        set=_set_attachment,
        read=lambda module: str(int(module.registration.is_registered)),
        test=lambda _: "(0,1)",
    ),
    "+CGDCONT": CommandDef(
        set=_set_context, read=_show_contexts, test=_list_context_values, max_parameters=6
    ),
    "+CGACT": CommandDef(
        execute=_set_activity,
        set=_set_activity,
        read=_show_activity,
        test=lambda _: "(0,1)",
        max_parameters=1 + len(CONTEXT_IDS),
    ),
    "+CGPADDR": CommandDef(
        execute=_show_addresses, set=_show_addresses, test=_list_defined, max_parameters=len(CONTEXT_IDS)
    ),
    "+CGCONTRDP": CommandDef(
        execute=_show_active_parameters, set=_show_active_parameters, test=lambda _: "()"
    ),
    "+CGDATA": CommandDef(execute=_connect, set=_connect, test=lambda _: '("PPP")', max_parameters=16),
    "+CGEREP": remembered_numbers("+CGEREP", range(3), range(2), default=(0, 0)),
    "+CGSMS": number_setting("cgsms", range(4)),
}
