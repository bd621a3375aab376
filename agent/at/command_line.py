"""Splits an AT command line into its commands, and decides which of them have a lasting effect (V.250 5.4).

One line may hold several commands: basic ones directly after each other (`ATE0V1`), extended ones separated
by semicolons (`AT+CSQ;+CFUN=4`). Case and blanks outside of quotes do not matter.
"""

from __future__ import annotations

import re

from pdu.record import Record

_QUOTED_OR_BLANK = re.compile(r'"[^"]*"?|\s+')
_EXTENDED = re.compile(r'([+^#%*!$@_-][A-Z][A-Z0-9!%./:_-]*)((?:[^;"]|"[^"]*"?)*)')
_BASIC = re.compile(r"(S\d+)(\?|=\d*)?|([&\\%]?[A-Z])(\d*)")

_QUERIES_AND_VOLATILE_SETTINGS = frozenset(
    {
        *("I", "E", "+GMI", "+GMM", "+GMR", "+GSN", "+GCAP", "+CGMI", "+CGMM", "+CGMR", "+CGSN", "+CIMI"),
        *(
            "+CCID",
            "+ICCID",
            "+QCCID",
            "+CICCID",
            "^ICCID",
            "#CCID",
            "#CGMI",
            "#CGMM",
            "#CGMR",
            "#CGSN",
            "#CIMI",
        ),
        *(
            "+CSQ",
            "+CESQ",
            "+CPAS",
            "+CEER",
            "+CLAC",
            "+CNUM",
            "+COPN",
            "+CBC",
            "+CPSI",
            "+CNSMOD",
            "+CGPADDR",
        ),
        *(
            "+CGCONTRDP",
            "+CPINR",
            "+SPIC",
            "+QPINC",
            "+QCSQ",
            "+QENG",
            "+QNWINFO",
            "+QSPN",
            "+QTEMP",
            "+QGMR",
        ),
        *("+QINISTAT", "+QLTS", "+CMTE", "+SIMCOMATI", "^HCSQ", "^SYSINFO", "^SYSINFOEX", "#MONI", "#RFSTS"),
        *("+CGPSINFO", "+CGNSSINFO", "+CGNSINF", "+QGPSLOC", "$GPSACP"),
        *("+CMGL", "+CMGR", "+CMGF", "+CSDH", "+CPMS", "+CNMI"),
    }
)
"""Commands that report something or, like `+CNMI`, change only what the agent checks and sets again."""


class CommandPart(Record):
    """One command of a line, in capital letters."""

    name: str
    """For example `+CFUN`, `E`, `&W` or `S0`; empty for something that is not a command."""
    suffix: str
    """The text after the name: `?`, `=?`, `=` with values, the number of a basic command, or nothing."""

    @property
    def is_query(self) -> bool:
        """True for the read form and the test form, which change nothing."""
        return self.suffix in {"?", "=?"}

    @property
    def has_lasting_effect(self) -> bool:
        """True if the command may change settings, messages, SIM, radio or power for longer than a moment.

        So does every command that is not known to be harmless.
        """
        return not self.is_query and self.name not in _QUERIES_AND_VOLATILE_SETTINGS

    @property
    def leaves_command_state(self) -> bool:
        """True if the command opens a text entry, a call or a multiplexer."""
        if self.is_query:
            return False
        match self.name:
            case "D" | "+CMUX" | "+CESP" | "+CGDATA":
                return True
            case "+CMGS" | "+CMGW" | "+CMGC":
                return self.suffix.startswith("=")
            case "+CNMA":
                return "," in self.suffix
        return False

    def __str__(self) -> str:
        return f"{self.name}{self.suffix}"


def split_command_line(line: str) -> list[CommandPart]:
    """Return the commands of a line that begins with AT. The rest of a line that cannot be split is one part
    without a name.
    """
    text = _QUOTED_OR_BLANK.sub(lambda found: found[0] if found[0].startswith('"') else "", line)
    text = re.sub(r'[^"]+|"[^"]*"?', lambda found: found[0] if found[0][0] == '"' else found[0].upper(), text)
    if not text.startswith("AT"):
        return [CommandPart("", text)]
    parts, at = [], len("AT")
    while at < len(text):
        if text[at] == ";":
            at += 1
        elif (found := _EXTENDED.match(text, at)) is not None:
            parts.append(CommandPart(found[1], found[2]))
            at = found.end()
        elif (found := _BASIC.match(text, at)) is not None:
            name = found[1] or found[3]
            end = len(text) if name == "D" else found.end()  # the number that is called ends the line
            parts.append(CommandPart(name, text[at + len(name) : end]))
            at = end
        else:
            parts.append(CommandPart("", text[at:]))
            break
    return parts
