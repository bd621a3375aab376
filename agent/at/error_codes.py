"""The codes of +CMS ERROR and +CME ERROR: their names, whether a retry helps, and sets of related codes.

Sources: 24.011 annex E.2 (relay cause, 1 to 127), 23.040 9.2.3.22 (TP-FCS, 128 to 255), 27.005 3.2.5 (300 to
511), 27.007 9.2.1 (equipment), and vendors' manuals for their own numbers. The retry classes are our own.
"""

from __future__ import annotations

from enum import Enum, StrEnum


class ErrorKind(StrEnum):
    """The final result code that reported the error."""

    CMS = "cms"
    """+CMS ERROR"""
    CME = "cme"
    """+CME ERROR"""
    PLAIN = "error"
    """ERROR, or a vendor's final result code without a number."""


class ErrorClass(Enum):
    """The retry class of an error: if and when the same command may be retried."""

    RETRY_SOON = "try again soon"
    """Within seconds."""
    RETRY_LATER = "try again later"
    """Within minutes, with backoff: the network or the service centre has a temporary problem."""
    NOT_READY = "wait until the module is ready"
    """SIM, registration or service centre number is missing for now."""
    STORE_FULL = "free the store first"
    PERMANENT = "do not repeat unchanged"
    BARRED = "the network bars sending; wait long and inform the operator"
    ALREADY_DELIVERED = "the service centre has the message already"
    OUTCOME_UNKNOWN = "the message may have been sent nevertheless"


ErrorCode = tuple[ErrorKind, int]

SIM_ABSENT_ERRORS = frozenset({(ErrorKind.CME, 10), (ErrorKind.CMS, 310)})
SIM_FAILURE_ERRORS = frozenset({(ErrorKind.CME, 13), (ErrorKind.CMS, 313)})
"""The SIM does not answer. Some modules report this also while they read the SIM."""
SIM_BUSY_ERRORS = frozenset({(ErrorKind.CME, 14), (ErrorKind.CMS, 314)})
SIM_ERRORS = SIM_ABSENT_ERRORS | SIM_FAILURE_ERRORS | SIM_BUSY_ERRORS
"""The command needs the SIM, and the SIM cannot be used now."""
WRONG_PIN_ERRORS = frozenset({(ErrorKind.CME, 16), (ErrorKind.CME, 12), (ErrorKind.CMS, 316)})
"""Incorrect password; SIM PUK required, which is the answer to the last wrong try."""
STARTING_ERRORS = (
    SIM_FAILURE_ERRORS  # an A7670E reports "SIM failure" while it starts
    | SIM_BUSY_ERRORS
    | {(ErrorKind.CMS, 512), (ErrorKind.CMS, 515), (ErrorKind.CME, 515)}  # SIM not ready; busy
)
"""A module that starts may accept the same command in a moment."""
EMPTY_SLOT_ERRORS = frozenset({(ErrorKind.CMS, 321), (ErrorKind.CME, 21), (ErrorKind.CME, 22)})
"""Invalid index, not found: the slot holds no message."""
MEMORY_FAILURE_ERRORS = frozenset({(ErrorKind.CMS, 320)})
"""Memory failure: also reported for a stored message that text mode cannot show."""
SERVICE_CENTRE_UNKNOWN_ERRORS = frozenset({(ErrorKind.CMS, 330)})
"""Service centre address unknown: SIMs and modules lose the number."""
UNSUPPORTED_ERRORS = frozenset({(ErrorKind.CME, 4)})
"""The module does not have the command."""

_SOON, _LATER, _NOT_READY, _FULL, _PERMANENT, _BARRED, _DELIVERED, _UNKNOWN = (
    ErrorClass.RETRY_SOON,
    ErrorClass.RETRY_LATER,
    ErrorClass.NOT_READY,
    ErrorClass.STORE_FULL,
    ErrorClass.PERMANENT,
    ErrorClass.BARRED,
    ErrorClass.ALREADY_DELIVERED,
    ErrorClass.OUTCOME_UNKNOWN,
)

CMS_ERRORS: dict[int, tuple[str, ErrorClass]] = {
    # Relay cause, given by the network: 24.011 E.2
    1: ("unassigned number", _PERMANENT),
    8: ("operator determined barring", _BARRED),
    10: ("call barred", _BARRED),
    17: ("network failure", _LATER),
    21: ("short message transfer rejected", _BARRED),
    22: ("congestion", _LATER),
    27: ("destination out of service", _LATER),
    28: ("unidentified subscriber", _NOT_READY),
    29: ("facility rejected", _PERMANENT),
    30: ("unknown subscriber", _PERMANENT),
    38: ("network out of order", _LATER),
    41: ("temporary failure", _SOON),
    42: ("congestion", _LATER),
    47: ("resources unavailable", _LATER),
    50: ("facility not subscribed", _PERMANENT),
    69: ("facility not implemented", _PERMANENT),
    81: ("invalid transfer reference", _SOON),
    95: ("invalid message", _PERMANENT),
    96: ("invalid mandatory information", _PERMANENT),
    97: ("message type not implemented", _PERMANENT),
    98: ("message not compatible with protocol state", _SOON),
    99: ("information element not implemented", _PERMANENT),
    111: ("protocol error", _LATER),
    127: ("interworking", _LATER),
    # TP-FCS, given by the service centre: 23.040 9.2.3.22
    128: ("telematic interworking not supported", _PERMANENT),
    129: ("short message type 0 not supported", _PERMANENT),
    130: ("cannot replace short message", _PERMANENT),
    143: ("unspecified TP-PID error", _PERMANENT),
    144: ("data coding scheme not supported", _PERMANENT),
    145: ("message class not supported", _PERMANENT),
    159: ("unspecified TP-DCS error", _PERMANENT),
    160: ("command cannot be actioned", _PERMANENT),
    161: ("command unsupported", _PERMANENT),
    175: ("unspecified TP-Command error", _PERMANENT),
    176: ("TPDU not supported", _PERMANENT),
    192: ("service centre busy", _LATER),
    193: ("no service centre subscription", _PERMANENT),
    194: ("service centre system failure", _LATER),
    195: ("invalid short message entity address", _PERMANENT),
    196: ("destination barred", _PERMANENT),
    197: ("message rejected, duplicate", _DELIVERED),
    198: ("TP-VPF not supported", _PERMANENT),
    199: ("TP-VP not supported", _PERMANENT),
    208: ("SIM storage full", _FULL),
    209: ("no SIM storage", _LATER),
    210: ("error in mobile station", _LATER),
    211: ("memory capacity exceeded", _FULL),
    212: ("SIM application toolkit busy", _LATER),
    213: ("SIM data download error", _LATER),
    255: ("unspecified error cause", _LATER),
    # The module's own: 27.005 3.2.5
    300: ("equipment failure", _LATER),
    301: ("SMS service of equipment reserved", _SOON),
    302: ("operation not allowed", _NOT_READY),
    303: ("operation not supported", _PERMANENT),
    304: ("invalid PDU mode parameter", _PERMANENT),
    305: ("invalid text mode parameter", _PERMANENT),
    310: ("SIM not inserted", _NOT_READY),
    311: ("SIM PIN required", _NOT_READY),
    312: ("PH-SIM PIN required", _NOT_READY),
    313: ("SIM failure", _NOT_READY),
    314: ("SIM busy", _SOON),
    315: ("SIM wrong", _NOT_READY),
    316: ("SIM PUK required", _NOT_READY),
    317: ("SIM PIN2 required", _PERMANENT),
    318: ("SIM PUK2 required", _PERMANENT),
    320: ("memory failure", _SOON),
    321: ("invalid memory index", _PERMANENT),
    322: ("memory full", _FULL),
    330: ("service centre address unknown", _NOT_READY),
    331: ("no network service", _NOT_READY),
    332: ("network timeout", _UNKNOWN),
    340: ("no acknowledgement expected", _PERMANENT),
    500: ("unknown error", _UNKNOWN),
    # Vendors' own below 512 that several of them share
    323: ("invalid input parameter", _PERMANENT),
    324: ("invalid input format", _PERMANENT),
    325: ("invalid input value", _PERMANENT),
    341: ("buffer overflow", _SOON),
    342: ("message too long", _PERMANENT),
    350: ("unknown error", _UNKNOWN),  # seen 135 s after a body left (EG06-E)
    510: ("message blocked", _BARRED),
    # From 512 on each vendor uses numbers of their own; these few mean nearly the same everywhere
    513: ("length exceeds the maximum", _PERMANENT),
    515: ("busy", _SOON),  # "please wait" (Wavecom), storage failure (Quectel, SIMCom)
}

CME_ERRORS: dict[int, tuple[str, ErrorClass]] = {
    0: ("phone failure", _LATER),
    1: ("no connection to phone", _LATER),
    2: ("phone adapter link reserved", _LATER),
    3: ("operation not allowed", _NOT_READY),
    4: ("operation not supported", _PERMANENT),
    5: ("PH-SIM PIN required", _NOT_READY),
    6: ("PH-FSIM PIN required", _NOT_READY),
    7: ("PH-FSIM PUK required", _NOT_READY),
    10: ("SIM not inserted", _NOT_READY),
    11: ("SIM PIN required", _NOT_READY),
    12: ("SIM PUK required", _NOT_READY),
    13: ("SIM failure", _NOT_READY),
    14: ("SIM busy", _SOON),
    15: ("SIM wrong", _NOT_READY),
    16: ("incorrect password", _PERMANENT),
    17: ("SIM PIN2 required", _NOT_READY),
    18: ("SIM PUK2 required", _NOT_READY),
    20: ("memory full", _FULL),
    21: ("invalid index", _PERMANENT),
    22: ("not found", _PERMANENT),
    23: ("memory failure", _SOON),
    24: ("text string too long", _PERMANENT),
    25: ("invalid characters in text string", _PERMANENT),
    26: ("dial string too long", _PERMANENT),
    27: ("invalid characters in dial string", _PERMANENT),
    30: ("no network service", _NOT_READY),
    31: ("network timeout", _LATER),
    32: ("network not allowed, emergency calls only", _NOT_READY),
    40: ("network personalisation PIN required", _NOT_READY),
    41: ("network personalisation PUK required", _NOT_READY),
    42: ("network subset personalisation PIN required", _NOT_READY),
    43: ("network subset personalisation PUK required", _NOT_READY),
    44: ("service provider personalisation PIN required", _NOT_READY),
    45: ("service provider personalisation PUK required", _NOT_READY),
    46: ("corporate personalisation PIN required", _NOT_READY),
    47: ("corporate personalisation PUK required", _NOT_READY),
    48: ("hidden key required", _PERMANENT),
    49: ("EAP method not supported", _PERMANENT),
    50: ("incorrect parameters", _PERMANENT),
    51: ("command implemented but currently disabled", _PERMANENT),
    52: ("command aborted by user", _SOON),
    53: ("not attached to network", _NOT_READY),
    54: ("modem not allowed, emergency calls only", _NOT_READY),
    55: ("operation not allowed, restriction", _NOT_READY),
    56: ("fixed dial number only", _PERMANENT),
    57: ("temporarily out of service", _LATER),
    58: ("language not supported", _PERMANENT),
    59: ("unexpected data value", _PERMANENT),
    60: ("system failure", _LATER),
    61: ("data missing", _PERMANENT),
    62: ("call barred", _PERMANENT),
    100: ("unknown", _SOON),
    103: ("illegal MS", _NOT_READY),
    106: ("illegal ME", _NOT_READY),
    107: ("GPRS services not allowed", _NOT_READY),
    111: ("PLMN not allowed", _NOT_READY),
    112: ("location area not allowed", _NOT_READY),
    113: ("roaming not allowed in this location area", _NOT_READY),
    122: ("congestion", _LATER),
    126: ("insufficient resources", _LATER),
}

_ERROR_TABLES = {ErrorKind.CMS: CMS_ERRORS, ErrorKind.CME: CME_ERRORS}
_NAME_ALIASES = {
    "no network": "no network service",
    "sim card busy": "sim busy",
    "sms memory full": "memory full",
}


def find_error_code(kind: ErrorKind, text: str) -> int | None:
    """Return the number for an error in words (+CMEE=2), None for words that the table of its kind lacks.

    Case and a trailing "(U)" are ignored.
    """
    wanted = text.strip().lower().removesuffix("(u)").strip()
    wanted = _NAME_ALIASES.get(wanted, wanted)
    for code, (name, _) in _ERROR_TABLES[kind].items():
        if name.lower() == wanted:
            return code
    return None


def find_error_name(kind: ErrorKind, code: int) -> str:
    """Return the name of a code, empty for one that the table of its kind lacks."""
    return _ERROR_TABLES[kind].get(code, ("", _SOON))[0]


def classify_error(kind: ErrorKind, code: int | None, *, after_body: bool) -> ErrorClass:
    """Return whether a retry helps. `after_body`: the body of a message had left when the error came.

    An error without a known meaning (500, vendors' numbers) is harmless before the body. After the body the
    outcome of the message is unknown.
    """
    unclear = ErrorClass.OUTCOME_UNKNOWN if after_body else ErrorClass.RETRY_SOON
    if kind not in _ERROR_TABLES or code is None:
        return ErrorClass.RETRY_SOON  # a plain ERROR, or words that no table has
    if code in _ERROR_TABLES[kind]:
        error_class = _ERROR_TABLES[kind][code][1]
        return unclear if error_class is ErrorClass.OUTCOME_UNKNOWN else error_class
    if kind is ErrorKind.CMS and 224 <= code <= 254:
        return unclear  # application specific; SIMCom: relay layer retries exceeded or timer expired
    if kind is ErrorKind.CMS and code <= 127:
        return CMS_ERRORS[41][1]  # 24.011 E.2: other values are treated as 41
    if kind is ErrorKind.CMS and code <= 255:
        return ErrorClass.PERMANENT  # 23.040 9.2.3.22: reserved TP-FCS values, about the message itself
    return unclear
