"""Parse a line by its text alone. Its meaning depends on the pending command: see `agent.at.protocol`."""

from __future__ import annotations

import re
from string import hexdigits

from agent.at import error_codes
from agent.at.boot_urcs import BOOT_WORDS, classify_boot_urc
from agent.at.command import PayloadKind
from agent.at.events import FinalResult
from agent.at.parameters import ParameterValue, parse_values

HEX_PAYLOAD = re.compile(r"[0-9A-Fa-f]{2,}")
HEX_DIGITS = re.compile(r"[0-9A-Fa-f]*")
LINE_END = re.compile(r"[\r\n]")
MIN_MESSAGE_DIGITS = 28
"""The hexadecimal digits of the shortest message: an SMS-DELIVER without user data and service centre."""
MAX_COUNTED_CHARS = 1024
"""A greater <length> is not valid: a message has at most 160 characters, or 140 octets."""
NON_TEXT = re.compile(r"[^\x20-\x7e]+")
"""Octets that are not part of any line."""
PROMPT = re.compile(r"([^\x20-\x7e]*) *> *")
"""A prompt at the start of a line: `\\r\\n> ` in 27.005 3.5.1; some modules omit the blank."""

_EXTENDED_CODE = re.compile(r"[+^*#%$!&][A-Z][A-Z0-9]*")
"""The start of an extended result code, of 27.007 or of a vendor."""
_NAMED_VALUES = re.compile(rf"{_EXTENDED_CODE.pattern}:")
_HEX_END = re.compile(r"(?<=[ ,])[0-9A-Fa-f]+$")
_MAYBE_MESSAGE = re.compile(rf"[0-9A-Fa-f]{{{MIN_MESSAGE_DIGITS}}}")
_VALUES_BEHIND_TEXT = re.compile(r' *[,;][ ,;"\d]*')
"""Values may follow a text on its line, beside a result code; more text may not."""
_WORD_CODES = frozenset(
    {
        # Result codes of V.250 that end a call: this agent never dials
        *("RING", "NO CARRIER", "BUSY", "NO ANSWER", "NO DIALTONE", "CONNECT"),
        # Printed by modules when they start or stop
        *BOOT_WORDS,
        *("POWERED DOWN", "NORMAL POWER DOWN"),
    }
)
_URC_NAMES = frozenset(
    {
        # 27.005 3.4
        *("+CMTI", "+CMT", "+CDSI", "+CDS", "+CBMI", "+CBM"),
        # 27.007
        *("+CREG", "+CGREG", "+CEREG", "+C5GREG", "+CGEV", "+CIEV", "+CPIN", "+CFUN", "+CRING", "+CLIP"),
        *("+COLP", "+CCWA", "+CUSD", "+CSSI", "+CSSU", "+CTZV", "+CTZE", "+CTZEU", "+CNEM"),
        # Quectel, SIMCom, u-blox, Telit
        *("+QIND", "+QUSIM", "+QIURC", "+SIMCARD", "*PSUTTZ", "*PSNWID", "DST", "+CTZDST"),
        *("+UMWI", "+UUSIMSTAT", "#QSS"),
        # Huawei and ZTE
        *("^RSSI", "^HCSQ", "^CSNR", "^MODE", "^SRVST", "^SIMST", "^STIN", "^DSFLOWRPT", "^NDISSTAT"),
        *("^NWTIME", "^EARST", "^LTERSRP", "^ANLEVEL", "^THERM", "+ZUSIMR", "+ZDONR", "+ZPASR"),
    }
)
"""Names of URCs: such a line may come inside an answer of free text, and is not a part of it."""
STORE_FULL_URC = re.compile(
    r'\+(QIND|CIEV): ?"?SMSFULL|[+^*%]?(SMS ?|SM)?(MEM(ORY)? ?)?FULL\b|\^SMGO: ?0*[12]', re.IGNORECASE
)
"""The URCs of several makers for a full store."""
_CMS_CME_ERROR = re.compile(r"\+(CMS|CME) ?ERROR ?[:=]? ?(.*)", re.IGNORECASE)
_VENDOR_ERROR = re.compile(r"[+^*#%$!&]\w+ ERROR\b|(MODEM )?ERROR ?(:|$)", re.IGNORECASE)
"""`ERROR`, and vendors' codes with the same meaning: +CIS ERROR, +EXT ERROR, MODEM ERROR."""
_VENDOR_REFUSALS = frozenset(
    {"COMMAND NOT SUPPORT", "COMMAND NOT SUPPORTED", "NOT SUPPORT", "NOT SUPPORTED", "TOO MANY PARAMETERS"}
)
"""Sent by Huawei's sticks and similar modules instead of ERROR."""
_NUMERIC_RESULTS = {"0": True, "4": False}
"""OK and ERROR under ATV0, V.250 table 1."""


def parse_text_mode_header(header: str) -> tuple[PayloadKind, int]:
    """Return what follows a header of text mode (27.005 3.4.1 to 3.4.3), and its <length>.

    With +CSDH=1 the header of a message ends with the unquoted type of an address and <length>; the header of
    a status report ends with two times and <st>. Other headers have no length, or belong to PDU mode.
    """
    values = parse_values(header)
    length = values.get(-1).number
    if len(values) < 3 or length is None:
        return PayloadKind.HEX_LINE, 0
    if _is_string(values.get(-2)):
        return (PayloadKind.NONE if _is_string(values.get(-3)) else PayloadKind.HEX_LINE), 0
    if length > MAX_COUNTED_CHARS or not any(value.quoted for value in values):
        return PayloadKind.HEX_LINE, 0
    return PayloadKind.COUNTED, length


def parse_pdu_mode_length(header: str) -> int | None:
    """Return <length> of a header of PDU mode, in octets without the service centre address; None without it.

    It is the first number after <index> and <stat>; <alpha> before it, or the comma of <alpha>, may be
    missing, and other values may follow. If every number is in quotes, it is the last one. The result is 0
    for a number that is too small for a message: some modules write 0, or the number of the sender.
    """
    skipped = {"+CMGL": 2, "+CMGR": 1}.get(header.partition(":")[0], 0)
    numbers = [value for value in parse_values(header)[skipped:] if value.number is not None]
    length = next(
        (value.number for value in numbers if not value.quoted), numbers[-1].number if numbers else None
    )
    return 0 if length is not None and 2 * (1 + length) < MIN_MESSAGE_DIGITS else length


def pdu_digits(start: str, length: int) -> int:
    """Return how many hexadecimal digits a `<pdu>` of <length> has. `start` holds its first digits."""
    return 2 * (1 + int(start[:2], 16) + length)


def split_payload_line(line: str, length: int | None) -> tuple[str, str] | None:
    """Split a line of a `<pdu>` from text behind it, which is mostly empty. None for any other line.

    If there is text, then either the announced octets come first and no second message can be in the rest,
    or a result code follows: its line end was lost, or the module never sends one.
    """
    if HEX_PAYLOAD.fullmatch(line):
        return line, ""
    digits = line[: len(line) - len(line.lstrip(hexdigits))]
    if len(digits) < MIN_MESSAGE_DIGITS:
        return None
    size = pdu_digits(digits, length) if length else 0
    if not 0 < size <= len(digits):
        size = len(digits)
    elif not may_hold_message(line[size:]):
        return line[:size], line[size:].strip()
    rest = line[size:]
    return (line[:size], rest) if starts_line(rest) else None


def split_header_line(line: str) -> tuple[str, str] | None:
    """Split a header of PDU mode that its `<pdu>` follows without a line end. None for any other line."""
    found = _HEX_END.search(line)
    if found is None or len(found[0]) < MIN_MESSAGE_DIGITS:
        return None
    digits = found[0]
    fitting = [
        size
        for size in (1, 2, 3)
        if digits[:size].isdigit() and pdu_digits(digits[size:], int(digits[:size])) == len(digits) - size
    ]
    if len(fitting) != 1:
        return None
    end = found.start() + fitting[0]
    return line[:end], line[end:]


def may_hold_message(text: str) -> bool:
    """Return True if a text may contain another message in hexadecimal digits, not only filler."""
    return _MAYBE_MESSAGE.search(text.rstrip("Ff0")) is not None


def starts_line(text: str) -> bool:
    """Return True if a text that follows a payload is a line of its own: its line end was lost."""
    return _NAMED_VALUES.match(text) is not None or parse_final_result(text, allow_numeric=False) is not None


def _is_string(value: ParameterValue) -> bool:
    """Return True for a string; some modules write numbers in quotes, too."""
    return value.quoted and value.number is None


def counted_payload_size(octets: str, line_end: str, length: int) -> int | None:
    """Return how many of these octets are a payload of <length>: None if too few came, -1 if none fits.

    <length> counts characters, or octets where the data are hexadecimal (27.005 3.1): each is one octet on
    the line, two digits, or four digits (UCS2). A payload fits if the line ends right after it, or else if
    the rest of the line cannot belong to it.
    """
    with_rest = -1
    for width in (1, 2, 4):
        size = width * length
        if width > 1 and not HEX_DIGITS.fullmatch(octets[:size]):
            continue
        if len(octets) <= size:
            return None
        if octets[size] == line_end:
            return size
        end = LINE_END.search(octets, size)
        if end is None and len(octets) <= MAX_COUNTED_CHARS * 4:
            return None
        rest = octets[size : end.start() if end is not None else size]
        match width:
            case 1:
                is_apart = _VALUES_BEHIND_TEXT.fullmatch(rest) is not None
            case 2:
                is_apart = rest[:1] not in hexdigits
            case _:
                is_apart = True
        is_apart = starts_line(rest) or (is_apart and not may_hold_message(rest))
        if is_apart and not LINE_END.search(octets[:size]):
            with_rest = size
    return with_rest


def is_result_code(line: str) -> bool:
    """Return True if a line has the form of a result code, and cannot be free text or a payload."""
    return _EXTENDED_CODE.match(line) is not None or line in _WORD_CODES


def is_urc(line: str) -> bool:
    """Return True if a line is a URC by its name or its words, also where any text could be an answer."""
    return (
        line in _WORD_CODES
        or line.partition(":")[0].rstrip() in _URC_NAMES
        or classify_boot_urc(line) is not None
        or STORE_FULL_URC.match(line) is not None
    )


def parse_final_result(line: str, *, allow_numeric: bool) -> FinalResult | None:
    """Return the final result code in a line, None if it is not one. `allow_numeric`: ATV0 may be on."""
    if line == "OK":
        return FinalResult(line, ok=True)
    if (match := _CMS_CME_ERROR.match(line)) is not None:
        return _parse_extended_error(line, match)
    if line in _VENDOR_REFUSALS or _VENDOR_ERROR.match(line) is not None:
        return FinalResult(line, ok=False)
    if allow_numeric and line in _NUMERIC_RESULTS:
        return FinalResult(line, ok=_NUMERIC_RESULTS[line])
    return None


def _parse_extended_error(line: str, match: re.Match[str]) -> FinalResult:
    """Parse +CMS ERROR or +CME ERROR with a number or words (+CMEE 1 and 2). The colon may be missing."""
    kind, value = error_codes.ErrorKind(match[1].lower()), match[2].strip().strip('"')
    number = ParameterValue(value).number
    code = error_codes.find_error_code(kind, value) if number is None else number
    name = value if code is None else error_codes.find_error_name(kind, code)
    return FinalResult(line, ok=False, kind=kind, code=code, name=name)
