"""Modules of phone emulators: a table of the commands that one telephony program sends, and nothing else.

They answer only lines that are in the table exactly, and ignore a bare AT. Results end with CR, and the
prompt is a line. There is no echo, no ESC and no message store; messages arrive only by +CMT.
"""

import re

import pdu
from foreign.base import ForeignModule

FIXED_ANSWERS = {
    "E0Q0V1": [],
    "S0=0": [],
    "+CMEE=1": [],
    "+CMGF=0": [],
    "+CNMA=1": [],
    "+CNMA=2": [],
    "+CPIN?": ["+CPIN: READY"],
    "+CNMI=1,2,2,1,1": [],
    "+CNMI?": ["+CNMI: 1,2,2,1,1"],
    "+CSMS=1": ["+CSMS: 1, 1, 1"],
    "+CSQ": ["+CSQ: 7,99,85,130,90,6,4,25,9,50,68,12\r\n"],
    "+CREG?": ['+CREG: 0,1,"1179","62C8"'],
    "+CIMI": ["310260000000000"],
    "+CGSN": ["000000000000000"],
}


class Emulator(ForeignModule):
    """The radio is off until +CFUN=1, the message reference is always 0, and +CMT has no length."""

    stores_messages = False
    unknown_line_result = "ERROR: UNSUPPORTED"
    direct_header = "+CMT: 0"

    def __init__(self, loop, write):
        super().__init__(loop, write)
        self.functionality = 0

    def receive_octet(self, octet):
        if self.entered_text is not None and octet != 26:
            self.entered_text.append(octet)
        elif self.entered_text is not None:
            digits, self.entered_text = self.entered_text.decode("latin-1").strip(), None
            self.submit(digits)
        elif octet in {10, 13}:
            line, self.input_line = self.input_line.decode("latin-1"), bytearray()
            if line[:2] == "AT" and line != "AT":
                self.commands.append(line)
                self.execute(line[2:])
        else:
            self.input_line.append(octet)

    def execute(self, body):
        if body.startswith("+CMGS="):
            self.entered_text = bytearray()
            self.write_text("> \r")
        elif body.startswith("+CMGD="):
            self.delete_message()
        elif match := re.fullmatch(r"\+CFUN(=([01])|\?)", body):
            self.functionality = self.functionality if match[2] is None else int(match[2])
            self.send_result([f"+CFUN: {self.functionality}"] if match[2] is None else [])
            self.deliver_waiting()
        elif body in FIXED_ANSWERS:
            self.send_result(FIXED_ANSWERS[body])
        else:
            self.write_text(f"{self.unknown_line_result}\r")

    def delete_message(self):
        self.send_result([])

    def send_result(self, lines, final="OK"):
        self.write_text("".join(f"{line}\r" for line in (*lines, final)))

    def accept_pdu(self, digits):
        self.write_text(f"{self.direct_header}\r\n{digits}\r\n")
        return True

    def submit(self, digits):
        try:
            message = pdu.decode(digits, direction="mo")
        except pdu.PduError:
            self.write_text("+CMS ERROR: INVALID SMS PDU\r")
            return
        self.sent.append((str(message.destination_address), message.user_data.text))
        self.send_result(["+CMGS: 0"])


class EmulatorErrorThenOk(Emulator):
    """+CMGD of an unknown index is answered by an error and then OK."""

    def delete_message(self):
        self.send_result(["+CME ERROR: 21"])


class EmulatorVerboseErrors(Emulator):
    """An unknown command is answered by a line that is not a standard result code."""

    unknown_line_result = "ERROR: BAD COMMAND"
    direct_header = "+CMT: "


class EmulatorAcceptsAnything(Emulator):
    """An unknown command is answered by OK."""

    unknown_line_result = "OK"
