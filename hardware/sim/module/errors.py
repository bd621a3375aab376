"""Errors of commands: ERROR, +CME ERROR (27.007 9.2), +CMS ERROR (27.005 3.2.5), and their texts."""

from __future__ import annotations

from typing import Literal

CommandErrorKind = Literal["error", "cme", "cms", "call"]


class CommandError(Exception):
    """Ends the execution of a command line; `code` is 0 for a plain ERROR.

    `result` is the final result code of a call that has failed, for example NO CARRIER (V.250 table 1).
    """

    def __init__(self, kind: CommandErrorKind, code: int = 0, result: str = "ERROR") -> None:
        super().__init__(kind, code, result)
        self.kind: CommandErrorKind = kind
        self.code = code
        self.result = result


def plain_error() -> CommandError:
    """Return a syntax or parameter error: plain ERROR at every level of +CMEE (27.007 9.1)."""
    return CommandError("error")


def no_carrier() -> CommandError:
    """Return the end of a call that could not be established."""
    return CommandError("call", result="NO CARRIER")


def cme_error(code: int) -> CommandError:
    """Return an error of the mobile equipment, 27.007 9.2.1."""
    return CommandError("cme", code)


def cms_error(code: int) -> CommandError:
    """Return an error of the message service, 27.005 3.2.5."""
    return CommandError("cms", code)


def parse_error(text: str) -> CommandError:
    """Parse an error as profiles write it: `ERROR`, `CME 14` or `CMS 302`; raises ValueError."""
    match text.split():
        case ["ERROR"]:
            return plain_error()
        case ["CME", code]:
            return cme_error(int(code))
        case ["CMS", code]:
            return cms_error(int(code))
    raise ValueError(f'"{text}" is not ERROR, CME <n> or CMS <n>')


CME_ERROR_TEXTS = {
    0: "phone failure",
    1: "no connection to phone",
    3: "operation not allowed",
    4: "operation not supported",
    10: "SIM not inserted",
    11: "SIM PIN required",
    12: "SIM PUK required",
    13: "SIM failure",
    14: "SIM busy",
    15: "SIM wrong",
    16: "incorrect password",
    17: "SIM PIN2 required",
    18: "SIM PUK2 required",
    20: "memory full",
    21: "invalid index",
    22: "not found",
    23: "memory failure",
    24: "text string too long",
    25: "invalid characters in text string",
    26: "dial string too long",
    27: "invalid characters in dial string",
    30: "no network service",
    31: "network timeout",
    32: "network not allowed - emergency calls only",
    50: "incorrect parameters",
    100: "unknown",
    133: "requested service option not subscribed (#33)",
}

CMS_ERROR_TEXTS = {
    300: "ME failure",
    301: "SMS service of ME reserved",
    302: "operation not allowed",
    303: "operation not supported",
    304: "invalid PDU mode parameter",
    305: "invalid text mode parameter",
    310: "SIM not inserted",
    311: "SIM PIN required",
    312: "PH-SIM PIN required",
    313: "SIM failure",
    314: "SIM busy",
    315: "SIM wrong",
    316: "SIM PUK required",
    320: "memory failure",
    321: "invalid memory index",
    322: "memory full",
    330: "SMSC address unknown",
    331: "no network service",
    332: "network timeout",
    340: "no +CNMA acknowledgement expected",
    500: "unknown error",
}
