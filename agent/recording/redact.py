"""Redacts a conversation with a module, line by line, for a masked recording.

Placeholders have the length of the original and PDUs still decode, so the recording can be replayed. The
meaning of a line depends on the last command and on the line before; an unknown line is treated as message
text.
"""

from __future__ import annotations

import re

from agent.recording.pseudonyms import Pseudonyms, redact_encoded_text, redact_text

_FINAL_RESULT = re.compile(
    r"OK|ERROR|[0-8]|\+CM[ES] ERROR: ?.*|NO CARRIER|BUSY|NO ANSWER|NO DIALTONE|CONNECT( \d+)?"
)
_BOOT_URC = re.compile(
    r"RDY|APP RDY|RING|(Call|SMS|PB) (Ready|READY|DONE)|SMS DONE|PB DONE|START|"
    r"NORMAL POWER DOWN|POWERED DOWN|(OVER|UNDER)-VOLTAGE .*"
)
_RESPONSE_PREFIX = re.compile(r"([+^*#$%&][A-Z][A-Z0-9_]*)(?::|$)", re.IGNORECASE)
_MESSAGE_PREFIXES = {"+CMGR", "+CMGL", "+CMT", "+CDS", "+CBM", "+CMGRD"}
"""Prefixes of a header line that a message follows."""
_MULTILINE_PREFIXES = {"+CMGR", "+CMGL"}
"""Prefixes after which a text may have several lines, until the final result code."""
_INTERLEAVED_PREFIXES = _MESSAGE_PREFIXES | {
    *("+CMTI", "+CDSI", "+CREG", "+CGREG", "+CEREG", "+CIEV", "+CSQ", "+QIND", "+CPIN"),
    *("^RSSI", "^HCSQ", "^MODE", "^BOOT", "^SMMEMFULL"),
}
"""Prefixes of lines that may come between a header and its text; any other line there is the text."""
_PERSONAL_PREFIXES = _MESSAGE_PREFIXES | {
    *("+CLIP", "+CCWA", "+CNUM", "+CPBR", "+CPBF", "+CPBW", "+CUSD", "+CNAP", "+CLCC"),
}
"""Prefixes and commands whose quoted values are names and message content."""
_CREDENTIALS_COMMAND = re.compile(r"\+\w*(AUTH|ICSGP|HTTP|FTP|MQTT|SSL)\w*", re.IGNORECASE)
"""Commands whose quoted values are names and passwords."""
_CELL_PREFIXES = {"+CREG", "+CGREG", "+CEREG", "+C5GREG"}
"""Prefixes of lines with a location: area and cell, in quotes."""
_SIM_ACCESS_PREFIXES = {"+CRSM", "+CSIM"}
"""Commands that read or write files of the SIM."""
_SERIAL_NUMBER_COMMAND = re.compile(r"\+?(G|CG)SN|\+CIMI|[+^*#$%]\w*CC?ID", re.IGNORECASE)
"""Commands whose response is a number without a prefix."""
_IDENTIFICATION_COMMAND = re.compile(r"I\d*|\+C?GM[IMR]|\+CSUB|\+SIMCOMATI|\+QGMR", re.IGNORECASE)
"""Commands whose response describes the module."""
_AT_COMMAND = re.compile(r"AT([+^*#$%&]?[A-Z]*\d*)(.*)", re.IGNORECASE | re.DOTALL)

_QUOTED = re.compile(r'"([^"]*)"')
_TIMESTAMP = re.compile(r"\d\d/\d\d/\d\d(,.*)?")
_MESSAGE_STATUS = re.compile(r"REC (UN)?READ|STO (UN)?SENT|ALL|[A-Z]{2}")
_TEXT_MODE_HEADER = re.compile(r'"(REC|STO) |"\d\d/\d\d/\d\d')
_NUMBER = re.compile(r'\+\d{6,}|(?<=")[\d*#]{6,}(?=")|(?<!\d)\d{14,}(?!\d)')
_LONG_NUMBER = re.compile(r"\d{6,}")
_DIAL_COMMAND = re.compile(r"(ATD[TP]?)(\+?\d+)", re.IGNORECASE)
_HEX = re.compile(r"(?:[0-9A-Fa-f]{2}){4,}")


class ContentRedactor:
    """Redacts one conversation; an `agent.at.trace.Redactor`."""

    def __init__(self) -> None:
        self._pseudonyms = Pseudonyms()
        self._last_command = ""
        """Name of the last command, such as "+CMGR"."""
        self._payload_expected = False
        """True after a header, until the message."""
        self._in_text_payload = False
        """True if the message is text and may have more lines."""
        self._until_final_result = False
        """True if only the final result code ends the text."""

    def redact_sent(self, octets: str) -> str:
        """Return the redacted form of octets for the module: a command line, or a text and Ctrl-Z."""
        if octets.endswith("\x1a"):
            return self._redact_body(octets[:-1]) + "\x1a"
        if _AT_COMMAND.match(octets):
            return self._redact_command(octets)
        return octets if not octets.strip("\x1b\r\n ") else redact_text(octets)

    def redact_received(self, line: str) -> str:
        """Return the redacted form of a line from the module."""
        clear = line.strip(" \x00")
        if not clear or clear == ">":
            return line
        if clear[:2] == "> ":
            start = line.index(">") + 2
            return (
                line[:start]
                + self._redact_body(line[start:].rstrip("\x1a"))
                + line[len(line.rstrip("\x1a")) :]
            )
        if _FINAL_RESULT.fullmatch(clear):
            self._payload_expected = self._in_text_payload = False
            return line
        code = _RESPONSE_PREFIX.match(clear)
        if (self._payload_expected and code is None) or (
            self._in_text_payload and (code is None or code[1].upper() not in _INTERLEAVED_PREFIXES)
        ):
            shown = line.replace(clear, self._redact_message(clear))
            self._payload_expected = False
            self._in_text_payload = self._in_text_payload and self._until_final_result
            return shown
        if code is not None:
            return self._redact_response(code[1].upper(), line)
        if clear[:2].upper() == "AT" and not self._in_text_payload:
            return self._redact_command(line)
        if _BOOT_URC.fullmatch(clear) and not self._in_text_payload:
            return line
        if _IDENTIFICATION_COMMAND.fullmatch(self._last_command):
            return _NUMBER.sub(self._redact_number, line)
        if _SERIAL_NUMBER_COMMAND.fullmatch(self._last_command):
            return _LONG_NUMBER.sub(
                self._redact_number, redact_text(line) if not _LONG_NUMBER.search(line) else line
            )
        return line.replace(clear, self._redact_message(clear))

    def _redact_command(self, octets: str) -> str:
        found = _AT_COMMAND.match(octets.strip())
        self._last_command = found[1].upper() if found is not None else ""
        self._payload_expected = self._in_text_payload = False
        if self._last_command in _PERSONAL_PREFIXES or _CREDENTIALS_COMMAND.search(octets):
            octets = _QUOTED.sub(self._redact_quoted, octets)
        if self._last_command in _SIM_ACCESS_PREFIXES:
            octets = _HEX.sub(lambda found: "0" * len(found[0]), octets)
        octets = _DIAL_COMMAND.sub(lambda found: found[1] + self._pseudonyms.replace_number(found[2]), octets)
        return _NUMBER.sub(self._redact_number, octets)

    def _redact_response(self, name: str, line: str) -> str:
        if name in _MESSAGE_PREFIXES:
            self._payload_expected = True
            self._in_text_payload = _TEXT_MODE_HEADER.search(line) is not None
            self._until_final_result = name in _MULTILINE_PREFIXES
        if name in _PERSONAL_PREFIXES:
            line = _QUOTED.sub(self._redact_quoted, line)
        elif name in _CELL_PREFIXES:
            line = _QUOTED.sub(lambda found: f'"{"0" * len(found[1])}"', line)
        elif name in _SIM_ACCESS_PREFIXES:
            line = _HEX.sub(lambda found: "0" * len(found[0]), line)
        elif _SERIAL_NUMBER_COMMAND.fullmatch(name):
            line = _LONG_NUMBER.sub(self._redact_number, line)
        return _NUMBER.sub(self._redact_number, line)

    def _redact_body(self, clear: str) -> str:
        return (
            self._pseudonyms.replace_message(clear, sent=True)
            if _HEX.fullmatch(clear)
            else _redact_lines(clear)
        )

    def _redact_message(self, clear: str) -> str:
        if _HEX.fullmatch(clear) and not self._in_text_payload:
            return self._pseudonyms.replace_message(clear, sent=self._last_command in {"+CMGS", "+CMGW"})
        return _redact_lines(clear)

    def _redact_quoted(self, found: re.Match[str]) -> str:
        value = found[1]
        if _TIMESTAMP.fullmatch(value) or _MESSAGE_STATUS.fullmatch(value):
            return found[0]
        if re.fullmatch(r"\+?[\d*#]*", value):
            return f'"{self._pseudonyms.replace_number(value)}"'
        if len(value) % 4 == 0 and re.fullmatch(r"(?:00[23][0-9A-Fa-f])+", value):
            number = self._pseudonyms.replace_number(bytes.fromhex(value).decode("utf-16-be"))
            return f'"{number.encode("utf-16-be").hex().upper()}"'
        return f'"{redact_encoded_text(value)}"'

    def _redact_number(self, found: re.Match[str]) -> str:
        return self._pseudonyms.replace_number(found[0])


def _redact_lines(clear: str) -> str:
    """Redact a text of one or more lines."""
    return "".join(redact_encoded_text(piece) for piece in re.split(r"([\r\n]+)", clear))
