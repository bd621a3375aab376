"""What a line from a module is, by its text alone. What it means depends on what was asked: see `engine`."""

from __future__ import annotations

import re

from agent.at import error_codes
from agent.at.boot_urcs import BOOT_WORDS
from agent.at.command import PayloadKind
from agent.at.events import FinalResult
from agent.at.parameters import parse_values

HEX_PAYLOAD = re.compile(r"[0-9A-Fa-f]{2,}")
HEX_DIGITS = re.compile(r"[0-9A-Fa-f]*")
LINE_END = re.compile(r"[\r\n]")
MAX_COUNTED_CHARS = 1024
"""A <length> above this is none: text mode shows 160 characters, or 140 octets."""
NON_TEXT = re.compile(r"[^\x20-\x7e]+")
"""Octets that no line consists of."""
PROMPT = re.compile(r"([^\x20-\x7e]*) *> *")
"""A prompt at the start of a line: `\\r\\n> ` by 27.005 3.5.1, with and without the blank in the field."""

_EXTENDED_CODE = re.compile(r"[+^*#%$!&][A-Z][A-Z0-9]*")
"""How extended codes begin, 27.007's and vendors'."""
_WORD_CODES = frozenset(
    {
        # Codes of V.250 that are no final results of ours: this agent never dials
        *("RING", "NO CARRIER", "BUSY", "NO ANSWER", "NO DIALTONE", "CONNECT"),
        # What modules print when they start or stop
        *BOOT_WORDS,
        *("POWERED DOWN", "NORMAL POWER DOWN"),
    }
)
_CMS_CME_ERROR = re.compile(r"\+(CMS|CME) ?ERROR ?[:=]? ?(.*)", re.IGNORECASE)
_VENDOR_ERROR = re.compile(r"[+^*#%$!&]\w+ ERROR\b|(MODEM )?ERROR ?(:|$)", re.IGNORECASE)
"""`ERROR`, and codes of vendors that say the same: +CIS ERROR, +EXT ERROR, MODEM ERROR."""
_VENDOR_REFUSALS = frozenset(
    {"COMMAND NOT SUPPORT", "COMMAND NOT SUPPORTED", "NOT SUPPORT", "NOT SUPPORTED", "TOO MANY PARAMETERS"}
)
"""What Huawei's sticks and their kin say in place of ERROR."""
_NUMERIC_RESULTS = {"0": True, "4": False}
"""OK and ERROR under ATV0, V.250 table 1."""


def parse_text_mode_header(header: str) -> tuple[PayloadKind, int]:
    """What follows a header of text mode (27.005 3.4.1 to 3.4.3), and its <length>.

    With +CSDH=1 the header of a message ends with the unquoted type of an address and <length>, that of a
    status report with two times and <st>. Any other has no length, or is one of PDU mode.
    """
    found = parse_values(header)
    length = found.get(-1).number
    if len(found) < 3 or length is None or found.get(-1).quoted:
        return PayloadKind.HEX_LINE, 0
    if found.get(-2).quoted:
        return (PayloadKind.NONE if found.get(-3).quoted else PayloadKind.HEX_LINE), 0
    if length > MAX_COUNTED_CHARS or not any(value.quoted for value in found):
        return PayloadKind.HEX_LINE, 0
    return PayloadKind.COUNTED, length


def counted_payload_size(octets: str, line_end: str, length: int) -> int | None:
    """How many of these octets are a payload of <length>; None: too few came to tell; -1: none fits.

    <length> counts characters, and octets where the data are hexadecimal (27.005 3.1): each is one octet on
    the line, two digits, or four (UCS2). A payload fits when the line ends right behind it.
    """
    for width in (1, 2, 4):
        size = width * length
        if width > 1 and not HEX_DIGITS.fullmatch(octets[:size]):
            continue
        if len(octets) <= size:
            return None
        if octets[size] == line_end:
            return size
    return -1


def is_result_code(line: str) -> bool:
    """Whether a line has the form of a code, and cannot be free text or a payload."""
    return _EXTENDED_CODE.match(line) is not None or line in _WORD_CODES


def parse_final_result(line: str, *, allow_numeric: bool) -> FinalResult | None:
    """The final result code that a line is, None for any other; `numeric`: ATV0 may be on."""
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
    """+CMS ERROR and +CME ERROR by number or in words (+CMEE 1 and 2), with and without blank and colon."""
    kind, given = error_codes.ErrorKind(match[1].lower()), match[2].strip()
    code = int(given) if given.isascii() and given.isdigit() else error_codes.find_error_code(kind, given)
    name = given if code is None else error_codes.find_error_name(kind, code)
    return FinalResult(line, ok=False, kind=kind, code=code, name=name)
