"""Calls and supplementary services, of which the SIM has none: V.250 6.3, 27.007 6.1 to 6.19, 7.6 to 7.21.

Programs that ask at their start get the answer of a SIM without voice and data: settings are remembered,
queries show that nothing is active, and a call ends with NO CARRIER.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from hardware.sim.module import charset
from hardware.sim.module.command_outcome import CommandOutcome, Requirement
from hardware.sim.module.errors import cme_error, no_carrier, plain_error
from hardware.sim.module.parts import CommandDef, remembered_numbers

if TYPE_CHECKING:
    from hardware.sim.module.command_parser import CommandParameters
    from hardware.sim.module.parts import ModuleParts

BOOLEAN = range(2)
ALL_CLASSES = 7
"""`<class>`: voice, data and fax (27.007 7.4)."""
NOT_PROVISIONED = ",0"
"""What the network answers about a service that the subscriber does not have."""
USSD_ANSWER = "The sandbox has no USSD service."
GSM7_SCHEME, UCS2_SCHEME = 15, 72
"""Data coding schemes of USSD, 23.038 5."""

_SERVICE_CODE = re.compile(r"[TP]?([*#]{1,3}[0-9][0-9*#]*#);?")
"""A dial string that is a request to the network (22.030 6.5)."""
_DATA_CALL = re.compile(r"[TP]?\*9[89]\D.*")
"""A dial string that requests a packet data connection (27.007 10.2)."""


def _dial(module: ModuleParts, parameters: CommandParameters) -> CommandOutcome:
    """ATD: a service code goes to the network, every call fails."""
    text = parameters.get_string_or_word(0)
    code = _SERVICE_CODE.fullmatch(text)
    if code and not _DATA_CALL.fullmatch(text) and module.registration.is_registered:
        _answer_service_code(module)
        return []
    raise no_carrier()


def _no_call(_module: ModuleParts, _parameters: CommandParameters) -> CommandOutcome:
    raise no_carrier()


def _no_call_in_progress(_module: ModuleParts, _parameters: CommandParameters) -> CommandOutcome:
    raise cme_error(3)


def _accept(_module: ModuleParts, _parameters: CommandParameters) -> CommandOutcome:
    return []


def _send_service_code(module: ModuleParts, parameters: CommandParameters) -> CommandOutcome:
    """+CUSD=[<n>[,<str>[,<dcs>]]]: the network's answer follows the OK if <n> is 1; 2 ends the session."""
    mode = parameters.get_number(0, range(3), module.settings.numbers.get("+CUSD", (0,))[0])
    parameters.get_number(2, range(256), GSM7_SCHEME)
    if parameters.has(1):
        try:
            code = charset.decode_text(parameters.get_string(1), module.settings.cscs)
        except ValueError:
            raise plain_error() from None
        if not code:
            raise plain_error()
        module.sim_access.require_ready()
        if not module.registration.is_registered:
            raise cme_error(30)
    if mode < 2:
        module.settings.numbers["+CUSD"] = (mode,)
    if parameters.has(1):
        _answer_service_code(module)
    return []


def _answer_service_code(module: ModuleParts) -> None:
    if not module.settings.numbers.get("+CUSD", (0,))[0]:
        return
    name = module.settings.cscs
    scheme = UCS2_SCHEME if name == "UCS2" else GSM7_SCHEME
    answer = f'+CUSD: 0,"{charset.encode_text(USSD_ANSWER, name)}",{scheme}'
    module.line.call_after_result(lambda: module.context.output.write_urc(answer))


def _set_call_waiting(module: ModuleParts, parameters: CommandParameters) -> CommandOutcome:
    """+CCWA=[<n>[,<mode>[,<class>]]]: <mode> 0 is off, 2 queries; the service cannot be switched on."""
    parameters.get_number(2, range(256), ALL_CLASSES)
    mode = parameters.get_number(1, range(3), 0)
    if mode == 1:
        raise cme_error(133)
    module.settings.numbers["+CCWA"] = (parameters.get_number(0, BOOLEAN, 0),)
    return [f"+CCWA: 0,{ALL_CLASSES}"] if mode == 2 else []


def _set_forwarding(_module: ModuleParts, parameters: CommandParameters) -> CommandOutcome:
    """+CCFC=<reason>,<mode>[,...]: 2 queries, 0 and 4 switch off and erase; nothing can be forwarded."""
    parameters.get_number(0, range(6))
    mode = parameters.get_number(1, range(5))
    if mode in {1, 3}:
        raise cme_error(133)
    return [f"+CCFC: 0,{ALL_CLASSES}"] if mode == 2 else []


def _select_address_type(module: ModuleParts, parameters: CommandParameters) -> CommandOutcome:
    module.settings.numbers["+CSTA"] = (parameters.get_number(0, (129, 145), 129),)
    return []


COMMANDS = {
    "D": CommandDef(execute=_dial),
    "A": CommandDef(execute=_no_call),
    "O": CommandDef(execute=_no_call),
    "H": CommandDef(execute=_accept),
    "+CHUP": CommandDef(execute=_accept),
    "+CVHU": remembered_numbers("+CVHU", range(3), default=(0,)),
    "+CLCC": CommandDef(execute=_accept),
    "+CHLD": CommandDef(set=_no_call_in_progress, test=lambda _: "(0,1,1x,2,2x,3)"),
    "+VTS": CommandDef(set=_no_call_in_progress, test=lambda _: "(0-9,A-D,*,#)", max_parameters=3),
    "+VTD": remembered_numbers("+VTD", range(1, 256), default=(1,)),
    "+CEER": CommandDef(execute=lambda _module, _values: ["+CEER: No cause information available"]),
    "+CMOD": remembered_numbers("+CMOD", range(4), default=(0,)),
    "+CBST": remembered_numbers("+CBST", range(135), range(2), range(4), default=(7, 0, 1)),
    "+CRLP": remembered_numbers(
        "+CRLP", range(62), range(62), range(39, 256), range(1, 256), default=(61, 61, 48, 6)
    ),
    "+FCLASS": remembered_numbers("+FCLASS", (0,), default=(0,)),
    "+CSTA": CommandDef(
        set=_select_address_type,
        read=lambda module: str(module.settings.numbers.get("+CSTA", (129,))[0]),
        test=lambda _: "(129,145)",
    ),
    "+CRC": remembered_numbers("+CRC", BOOLEAN, default=(0,)),
    "+CLIP": remembered_numbers("+CLIP", BOOLEAN, default=(0,), read_suffix=NOT_PROVISIONED),
    "+CLIR": remembered_numbers("+CLIR", range(3), default=(0,), read_suffix=NOT_PROVISIONED),
    "+COLP": remembered_numbers("+COLP", BOOLEAN, default=(0,), read_suffix=NOT_PROVISIONED),
    "+CDIP": remembered_numbers("+CDIP", BOOLEAN, default=(0,), read_suffix=NOT_PROVISIONED),
    "+CNAP": remembered_numbers("+CNAP", BOOLEAN, default=(0,), read_suffix=NOT_PROVISIONED),
    "+CSSN": remembered_numbers("+CSSN", BOOLEAN, BOOLEAN, default=(0, 0)),
    "+CCWA": CommandDef(
        execute=_set_call_waiting,
        set=_set_call_waiting,
        read=lambda module: str(module.settings.numbers.get("+CCWA", (0,))[0]),
        test=lambda _: "(0,1)",
        max_parameters=3,
        requires=Requirement.SIM,
    ),
    "+CCFC": CommandDef(
        set=_set_forwarding, test=lambda _: "(0-5)", max_parameters=8, requires=Requirement.SIM
    ),
    "+CUSD": CommandDef(
        execute=_send_service_code,
        set=_send_service_code,
        read=lambda module: str(module.settings.numbers.get("+CUSD", (0,))[0]),
        test=lambda _: "(0-2)",
        max_parameters=3,
    ),
    "+CLVL": remembered_numbers("+CLVL", range(6), default=(3,)),
    "+CRSL": remembered_numbers("+CRSL", range(5), default=(2,)),
    "+CMUT": remembered_numbers("+CMUT", BOOLEAN, default=(0,)),
    "+CALM": remembered_numbers("+CALM", range(3), default=(0,)),
}
