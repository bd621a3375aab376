"""Quirks of start, restart and SIM, and a module that has only text mode."""

import re

import pdu
from foreign.base import ForeignModule


class RadioOff(ForeignModule):
    """The radio is off until AT+CFUN=1, also after each start."""

    def __init__(self, loop, write):
        super().__init__(loop, write)
        self.functionality = 4


class RadioOffWithoutQuery(RadioOff):
    """The radio is off until AT+CFUN=1, and AT+CFUN? is unknown."""

    def do_cfun(self, value):
        return None if value == "?" else super().do_cfun(value)


class BusySim(ForeignModule):
    """The SIM is busy for a minute after the start."""

    def execute(self, line):
        if self.loop.time() < self.ready_at and line.startswith(("AT+CPIN", "AT+CM", "AT+CPMS", "AT+CSCA")):
            self.send_response([], "+CME ERROR: 14" if "CPIN" in line else "+CMS ERROR: 314")
        else:
            super().execute(line)

    def __init__(self, loop, write):
        super().__init__(loop, write)
        self.ready_at = loop.time() + 60


class SilentRestarts(ForeignModule):
    """It restarts every four minutes without a URC, and loses all settings but no message."""

    def __init__(self, loop, write):
        super().__init__(loop, write)
        loop.call_later(240, self.restart)

    def restart(self):
        self.echo, self.cnmi, self.text_mode, self.entered_text = True, [0, 0, 0, 0, 0], 1, None
        self.loop.call_later(240, self.restart)


class TextModeOnly(ForeignModule):
    """It has only text mode."""

    message_format = "text"

    def __init__(self, loop, write):
        super().__init__(loop, write)
        self.text_mode = 1
        self.destination = ""

    def do_cmgf(self, value):
        return {"?": ["+CMGF: 1"], "=?": ["+CMGF: (1)"], "=1": []}.get(value, "+CMS ERROR: 303")

    def do_csdh(self, value):
        return ["+CSDH: 1"] if value == "?" else []

    def do_cscs(self, value):
        return {"?": ['+CSCS: "GSM"'], "=?": ['+CSCS: ("GSM")'], '="GSM"': []}.get(value)

    def do_csmp(self, value):
        return ["+CSMP: 17,167,0,0"] if value == "?" else []

    def do_cmgl(self, value):
        return super().do_cmgl({'="ALL"': "=4"}.get(value, value))

    def format_header(self, digits):
        message = pdu.decode(digits)
        time = message.service_centre_timestamp.time.strftime("%y/%m/%d,%H:%M:%S+00")
        return f'"{message.originating_address}",,"{time}"', message.user_data

    def format_list_entry(self, index, slot):
        head, data = self.format_header(slot[1])
        return (
            f'+CMGL: {index},"{("REC UNREAD", "REC READ")[slot[0]]}",{head},129,{data.length}\r\n{data.text}'
        )

    def format_message(self, slot):
        head, data = self.format_header(slot[1])
        status = ("REC UNREAD", "REC READ")[slot[0]]
        return f'+CMGR: "{status}",{head},129,4,0,0,"+447700900000",145,{data.length}\r\n{data.text}'

    def do_cmgs(self, value):
        found = re.fullmatch(r'="([+\d]+)"(?:,\d+)?', value)
        if found is None:
            return None
        self.destination, self.entered_text = found[1], bytearray()
        self.write_text(self.prompt)
        return ...

    def submit(self, text):
        self.sent.append((self.destination, text))
        self.reference += 1
        self.loop.call_later(1.5, self.send_submit_result)
