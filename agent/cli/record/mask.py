"""What a recording shows of each line when it is masked: all of the conversation, nothing of its contents.

Stand-ins have the length of what they replace, PDUs still decode, so the recording can still be replayed.
What a line is depends on what was asked and on the line before it; a line of which nobody knows what it is
counts as somebody's text.
"""

from __future__ import annotations

import re

from agent.cli.record.standin import StandIns, shown_text, text

_FINAL = re.compile(
    r"OK|ERROR|[0-8]|\+CM[ES] ERROR: ?.*|NO CARRIER|BUSY|NO ANSWER|NO DIALTONE|CONNECT( \d+)?"
)
_BOOT = re.compile(
    r"RDY|APP RDY|RING|(Call|SMS|PB) (Ready|READY|DONE)|SMS DONE|PB DONE|START|"
    r"NORMAL POWER DOWN|POWERED DOWN|(OVER|UNDER)-VOLTAGE .*"
)
_CODE = re.compile(r"([+^*#$%&][A-Z][A-Z0-9_]*)(?::|$)", re.IGNORECASE)
_CARRIES = {"+CMGR", "+CMGL", "+CMT", "+CDS", "+CBM", "+CMGRD"}
"""Codes that a message follows."""
_LISTS = {"+CMGR", "+CMGL"}
"""Those after which a text may have several lines, until the final result."""
_BETWEEN = _CARRIES | {
    *("+CMTI", "+CDSI", "+CREG", "+CGREG", "+CEREG", "+CIEV", "+CSQ", "+QIND", "+CPIN"),
    *("^RSSI", "^HCSQ", "^MODE", "^BOOT", "^SMMEMFULL"),
}
"""Codes that may stand between a header and its text; any other line there is the text."""
_PERSONAL = _CARRIES | {
    *("+CLIP", "+CCWA", "+CNUM", "+CPBR", "+CPBF", "+CPBW", "+CUSD", "+CNAP", "+CLCC"),
}
"""Codes and commands whose quoted texts are names and contents."""
_LOGIN = re.compile(r"\+\w*(AUTH|ICSGP|HTTP|FTP|MQTT|SSL)\w*", re.IGNORECASE)
"""Commands whose quoted texts are names and passwords."""
_CELL = {"+CREG", "+CGREG", "+CEREG", "+C5GREG"}
"""Codes that tell where somebody is: area and cell, in quotes."""
_CARD = {"+CRSM", "+CSIM"}
"""What stands on a card."""
_DEVICE = re.compile(r"\+?(G|CG)SN|\+CIMI|[+^*#$%]\w*CC?ID", re.IGNORECASE)
"""Commands that are answered by a number without a name."""
_IDENTIFICATION = re.compile(r"I\d*|\+C?GM[IMR]|\+CSUB|\+SIMCOMATI|\+QGMR", re.IGNORECASE)
"""Commands that are answered by lines about the module."""
_COMMAND = re.compile(r"AT([+^*#$%&]?[A-Z]*\d*)(.*)", re.IGNORECASE | re.DOTALL)

_QUOTED = re.compile(r'"([^"]*)"')
_TIME = re.compile(r"\d\d/\d\d/\d\d(,.*)?")
_STATUS = re.compile(r"REC (UN)?READ|STO (UN)?SENT|ALL|[A-Z]{2}")
_IN_TEXT_MODE = re.compile(r'"(REC|STO) |"\d\d/\d\d/\d\d')
_NUMBER = re.compile(r'\+\d{6,}|(?<=")[\d*#]{6,}(?=")|(?<!\d)\d{14,}(?!\d)')
_LONG = re.compile(r"\d{6,}")
_DIALLED = re.compile(r"(ATD[TP]?)(\+?\d+)", re.IGNORECASE)
_HEX = re.compile(r"(?:[0-9A-Fa-f]{2}){4,}")


class ContentMask:
    """One conversation."""

    def __init__(self) -> None:
        self._stand_ins = StandIns()
        self._asked = ""
        """Name of the last command."""
        self._payload = False
        """Whether a message is due."""
        self._text = False
        """Whether it is a text, of which more lines may follow."""
        self._listed = False
        """Whether the final result ends it."""

    def sent(self, octets: str) -> str:
        """What we write: command lines, and texts that end with Ctrl-Z."""
        if octets.endswith("\x1a"):
            return self._body(octets[:-1]) + "\x1a"
        if _COMMAND.match(octets):
            return self._command(octets)
        return octets if not octets.strip("\x1b\r\n ") else text(octets)

    def heard(self, line: str) -> str:
        """What the module says."""
        clear = line.strip(" \x00")
        if not clear or clear == ">":
            return line
        if clear[:2] == "> ":
            start = line.index(">") + 2
            return line[:start] + self._body(line[start:].rstrip("\x1a")) + line[len(line.rstrip("\x1a")) :]
        if _FINAL.fullmatch(clear):
            self._payload = self._text = False
            return line
        code = _CODE.match(clear)
        if (self._payload and code is None) or (
            self._text and (code is None or code[1].upper() not in _BETWEEN)
        ):
            shown = line.replace(clear, self._message(clear))
            self._payload = False
            self._text = self._text and self._listed
            return shown
        if code is not None:
            return self._code(code[1].upper(), line)
        if clear[:2].upper() == "AT" and not self._text:
            return self._command(line)
        if _BOOT.fullmatch(clear) and not self._text:
            return line
        if _IDENTIFICATION.fullmatch(self._asked):
            return _NUMBER.sub(self._number, line)
        if _DEVICE.fullmatch(self._asked):
            return _LONG.sub(self._number, text(line) if not _LONG.search(line) else line)
        return line.replace(clear, self._message(clear))

    def _command(self, octets: str) -> str:
        found = _COMMAND.match(octets.strip())
        self._asked = found[1].upper() if found is not None else ""
        self._payload = self._text = False
        if self._asked in _PERSONAL or _LOGIN.search(octets):
            octets = _QUOTED.sub(self._quoted, octets)
        if self._asked in _CARD:
            octets = _HEX.sub(lambda found: "0" * len(found[0]), octets)
        octets = _DIALLED.sub(lambda found: found[1] + self._stand_ins.number(found[2]), octets)
        return _NUMBER.sub(self._number, octets)

    def _code(self, name: str, line: str) -> str:
        if name in _CARRIES:
            self._payload = True
            self._text = _IN_TEXT_MODE.search(line) is not None
            self._listed = name in _LISTS
        if name in _PERSONAL:
            line = _QUOTED.sub(self._quoted, line)
        elif name in _CELL:
            line = _QUOTED.sub(lambda found: f'"{"0" * len(found[1])}"', line)
        elif name in _CARD:
            line = _HEX.sub(lambda found: "0" * len(found[0]), line)
        elif _DEVICE.fullmatch(name):
            line = _LONG.sub(self._number, line)
        return _NUMBER.sub(self._number, line)

    def _body(self, clear: str) -> str:
        return self._stand_ins.message(clear, sent=True) if _HEX.fullmatch(clear) else _lines(clear)

    def _message(self, clear: str) -> str:
        if _HEX.fullmatch(clear) and not self._text:
            return self._stand_ins.message(clear, sent=self._asked in {"+CMGS", "+CMGW"})
        return _lines(clear)

    def _quoted(self, found: re.Match[str]) -> str:
        value = found[1]
        if _TIME.fullmatch(value) or _STATUS.fullmatch(value):
            return found[0]
        if re.fullmatch(r"\+?[\d*#]*", value):
            return f'"{self._stand_ins.number(value)}"'
        if len(value) % 4 == 0 and re.fullmatch(r"(?:00[23][0-9A-Fa-f])+", value):
            number = self._stand_ins.number(bytes.fromhex(value).decode("utf-16-be"))
            return f'"{number.encode("utf-16-be").hex().upper()}"'
        return f'"{shown_text(value)}"'

    def _number(self, found: re.Match[str]) -> str:
        return self._stand_ins.number(found[0])


def _lines(clear: str) -> str:
    """A text that may have several lines."""
    return "".join(shown_text(piece) for piece in re.split(r"([\r\n]+)", clear))
