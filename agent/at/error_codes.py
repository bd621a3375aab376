"""What the numbers of +CMS ERROR and +CME ERROR mean, and whether trying again helps.

Sources: 24.011 annex E.2 (relay cause, 1 to 127), 23.040 9.2.3.22 (TP-FCS, 128 to 255), 27.005 3.2.5 (300 to
511), 27.007 9.2.1 (equipment), and vendors' manuals for their own numbers. The classes are our judgement.
"""

from __future__ import annotations

from enum import Enum


class ErrorClass(Enum):
    """Whether, and when, the same thing may be tried again."""

    RETRY_SOON = "try again soon"
    """Within seconds."""
    RETRY_LATER = "try again later"
    """Within minutes, with waits that grow: the network or the service centre has trouble."""
    NOT_READY = "wait until the module is ready"
    """SIM, registration or service centre number are missing for now."""
    STORE_FULL = "free the store first"
    PERMANENT = "do not repeat unchanged"
    BARRED = "the network bars sending; wait long and tell somebody"
    ALREADY_DELIVERED = "the service centre has the message already"
    OUTCOME_UNKNOWN = "the message may have left all the same"


_T, _L, _N, _F = ErrorClass.RETRY_SOON, ErrorClass.RETRY_LATER, ErrorClass.NOT_READY, ErrorClass.STORE_FULL
_P, _Q, _S, _U = (
    ErrorClass.PERMANENT,
    ErrorClass.BARRED,
    ErrorClass.ALREADY_DELIVERED,
    ErrorClass.OUTCOME_UNKNOWN,
)

CMS_ERRORS: dict[int, tuple[str, ErrorClass]] = {
    # Relay cause, given by the network: 24.011 E.2
    1: ("unassigned number", _P),
    8: ("operator determined barring", _Q),
    10: ("call barred", _Q),
    17: ("network failure", _L),
    21: ("short message transfer rejected", _Q),
    22: ("congestion", _L),
    27: ("destination out of service", _L),
    28: ("unidentified subscriber", _N),
    29: ("facility rejected", _P),
    30: ("unknown subscriber", _P),
    38: ("network out of order", _L),
    41: ("temporary failure", _T),
    42: ("congestion", _L),
    47: ("resources unavailable", _L),
    50: ("facility not subscribed", _P),
    69: ("facility not implemented", _P),
    81: ("invalid transfer reference", _T),
    95: ("invalid message", _P),
    96: ("invalid mandatory information", _P),
    97: ("message type not implemented", _P),
    98: ("message not compatible with protocol state", _T),
    99: ("information element not implemented", _P),
    111: ("protocol error", _L),
    127: ("interworking", _L),
    # TP-FCS, given by the service centre: 23.040 9.2.3.22
    128: ("telematic interworking not supported", _P),
    129: ("short message type 0 not supported", _P),
    130: ("cannot replace short message", _P),
    143: ("unspecified TP-PID error", _P),
    144: ("data coding scheme not supported", _P),
    145: ("message class not supported", _P),
    159: ("unspecified TP-DCS error", _P),
    160: ("command cannot be actioned", _P),
    161: ("command unsupported", _P),
    175: ("unspecified TP-Command error", _P),
    176: ("TPDU not supported", _P),
    192: ("service centre busy", _L),
    193: ("no service centre subscription", _P),
    194: ("service centre system failure", _L),
    195: ("invalid short message entity address", _P),
    196: ("destination barred", _P),
    197: ("message rejected, duplicate", _S),
    198: ("TP-VPF not supported", _P),
    199: ("TP-VP not supported", _P),
    208: ("SIM storage full", _F),
    209: ("no SIM storage", _L),
    210: ("error in mobile station", _L),
    211: ("memory capacity exceeded", _F),
    212: ("SIM application toolkit busy", _L),
    213: ("SIM data download error", _L),
    255: ("unspecified error cause", _L),
    # The module's own: 27.005 3.2.5
    300: ("equipment failure", _L),
    301: ("SMS service of equipment reserved", _T),
    302: ("operation not allowed", _N),
    303: ("operation not supported", _P),
    304: ("invalid PDU mode parameter", _P),
    305: ("invalid text mode parameter", _P),
    310: ("SIM not inserted", _N),
    311: ("SIM PIN required", _N),
    312: ("PH-SIM PIN required", _N),
    313: ("SIM failure", _N),
    314: ("SIM busy", _T),
    315: ("SIM wrong", _N),
    316: ("SIM PUK required", _N),
    317: ("SIM PIN2 required", _P),
    318: ("SIM PUK2 required", _P),
    320: ("memory failure", _T),
    321: ("invalid memory index", _P),
    322: ("memory full", _F),
    330: ("service centre address unknown", _N),
    331: ("no network service", _N),
    332: ("network timeout", _U),
    340: ("no acknowledgement expected", _P),
    500: ("unknown error", _U),
    # Vendors' own below 512 that several of them share
    323: ("invalid input parameter", _P),
    324: ("invalid input format", _P),
    325: ("invalid input value", _P),
    341: ("buffer overflow", _T),
    342: ("message too long", _P),
    350: ("unknown error", _U),  # seen 135 s after a body left (EG06-E)
    510: ("message blocked", _Q),
    # From 512 on each vendor uses numbers of their own; these few mean nearly the same everywhere
    513: ("length exceeds the maximum", _P),
    515: ("busy", _T),  # "please wait" (Wavecom), storage failure (Quectel, SIMCom)
}

CME_ERRORS: dict[int, tuple[str, ErrorClass]] = {
    0: ("phone failure", _L),
    1: ("no connection to phone", _L),
    2: ("phone adapter link reserved", _L),
    3: ("operation not allowed", _N),
    4: ("operation not supported", _P),
    5: ("PH-SIM PIN required", _N),
    6: ("PH-FSIM PIN required", _N),
    7: ("PH-FSIM PUK required", _N),
    10: ("SIM not inserted", _N),
    11: ("SIM PIN required", _N),
    12: ("SIM PUK required", _N),
    13: ("SIM failure", _N),
    14: ("SIM busy", _T),
    15: ("SIM wrong", _N),
    16: ("incorrect password", _P),
    17: ("SIM PIN2 required", _N),
    18: ("SIM PUK2 required", _N),
    20: ("memory full", _F),
    21: ("invalid index", _P),
    22: ("not found", _P),
    23: ("memory failure", _T),
    24: ("text string too long", _P),
    25: ("invalid characters in text string", _P),
    26: ("dial string too long", _P),
    27: ("invalid characters in dial string", _P),
    30: ("no network service", _N),
    31: ("network timeout", _L),
    32: ("network not allowed, emergency calls only", _N),
    40: ("network personalisation PIN required", _N),
    41: ("network personalisation PUK required", _N),
    42: ("network subset personalisation PIN required", _N),
    43: ("network subset personalisation PUK required", _N),
    44: ("service provider personalisation PIN required", _N),
    45: ("service provider personalisation PUK required", _N),
    46: ("corporate personalisation PIN required", _N),
    47: ("corporate personalisation PUK required", _N),
    48: ("hidden key required", _P),
    49: ("EAP method not supported", _P),
    50: ("incorrect parameters", _P),
    51: ("command implemented but currently disabled", _P),
    52: ("command aborted by user", _T),
    53: ("not attached to network", _N),
    54: ("modem not allowed, emergency calls only", _N),
    55: ("operation not allowed, restriction", _N),
    56: ("fixed dial number only", _P),
    57: ("temporarily out of service", _L),
    58: ("language not supported", _P),
    59: ("unexpected data value", _P),
    60: ("system failure", _L),
    61: ("data missing", _P),
    62: ("call barred", _P),
    100: ("unknown", _T),
    103: ("illegal MS", _N),
    106: ("illegal ME", _N),
    107: ("GPRS services not allowed", _N),
    111: ("PLMN not allowed", _N),
    112: ("location area not allowed", _N),
    113: ("roaming not allowed in this location area", _N),
    122: ("congestion", _L),
    126: ("insufficient resources", _L),
}

_ERROR_TABLES = {"cms": CMS_ERRORS, "cme": CME_ERRORS}
_NAME_ALIASES = {
    "no network": "no network service",
    "sim card busy": "sim busy",
    "sms memory full": "memory full",
}


def find_error_code(kind: str, text: str) -> int | None:
    """The number that words under +CMEE=2 stand for, None for words that no table has.

    Case and a trailing "(U)" say nothing. SMS commands may answer with words of either table.
    """
    wanted = text.strip().lower().removesuffix("(u)").strip()
    wanted = _NAME_ALIASES.get(wanted, wanted)
    for code, (name, _) in _ERROR_TABLES[kind].items():
        if name.lower() == wanted:
            return code
    return None


def find_error_name(kind: str, code: int) -> str:
    """The name of a number in the table of its kind; empty for one that no table has."""
    return _ERROR_TABLES[kind].get(code, ("", _T))[0]


def classify_error(kind: str, code: int | None, *, after_body: bool) -> ErrorClass:
    """Whether trying again helps. `after_body`: the body of a message had left when the error came.

    "Nobody knows" (500, vendors' numbers) means: not before the body, perhaps after it.
    """
    unclear = ErrorClass.OUTCOME_UNKNOWN if after_body else ErrorClass.RETRY_SOON
    if kind not in _ERROR_TABLES or code is None:
        return ErrorClass.RETRY_SOON  # a plain ERROR, or words nobody has listed
    if code in _ERROR_TABLES[kind]:
        found = _ERROR_TABLES[kind][code][1]
        return unclear if found is ErrorClass.OUTCOME_UNKNOWN else found
    if kind == "cms" and 224 <= code <= 254:
        return unclear  # application specific; SIMCom: relay layer retries exceeded or timer expired
    if kind == "cms" and code <= 127:
        return CMS_ERRORS[41][1]  # 24.011 E.2: other values are treated as 41
    if kind == "cms" and code <= 255:
        return ErrorClass.PERMANENT  # 23.040 9.2.3.22: reserved TP-FCS values, about the message itself
    return unclear
