"""The foreign module without a quirk. The others are derived from it and differ in one thing each."""

import re
from datetime import UTC, datetime, timedelta

import pdu

SERVICE_CENTRE = pdu.Address.parse("+447700900000")
FIRST_TIMESTAMP = datetime(2026, 11, 22, 12, tzinfo=UTC)


class ForeignModule:
    """A module. `receive` gets the octets of the agent; those for the agent are passed to `write`."""

    first_index = 1
    capacity = 10
    stores = ("SM",)
    stores_messages = True
    """True if messages are stored while no agent is connected."""
    prompt = "\r\n> "
    line_end = "\r\n"
    unknown_command_result = "ERROR"
    """The response to an unknown command; empty for no response."""
    empty_slot_result = "+CMS ERROR: 321"
    """The response to +CMGR of an empty slot."""

    def __init__(self, loop, write):
        self.loop = loop
        self.write = write
        self.input_line = bytearray()
        self.entered_text = None
        self.echo = True
        self.functionality = 1
        self.cnmi = [0, 0, 0, 0, 0]
        self.text_mode = 0
        self.slots = {}
        """By index: [status, service centre address and TPDU in hexadecimal digits]."""
        self.waiting_pdus = []
        """Messages that wait in the network until a slot is free and the radio is on."""
        self.message_count = 0
        self.reference = 40
        self.sent = []
        """Number and text of each message that was sent."""
        self.commands = []
        """The command lines that were received."""

    # The network

    def send_sms(self, text, sender="000"):
        """Send a message to this module. Each has another time stamp."""
        self.message_count += 1
        message = pdu.Deliver(
            originating_address=pdu.Address.parse(sender),
            service_centre_timestamp=pdu.Timestamp.of(
                FIRST_TIMESTAMP + timedelta(seconds=self.message_count)
            ),
            user_data=pdu.segment(text)[0],
            service_centre_address=SERVICE_CENTRE,
        )
        self.waiting_pdus.append(pdu.encode(message).hex)
        self.deliver_waiting()

    def deliver_waiting(self):
        """Deliver the messages that wait in the network, as far as possible."""
        while self.waiting_pdus and self.functionality == 1 and self.accept_pdu(self.waiting_pdus[0]):
            del self.waiting_pdus[0]

    def accept_pdu(self, digits):
        """Deliver one message directly, or store it and notify. Return False if the store is full."""
        if self.cnmi[1] == 2:
            self.deliver_direct(digits)
            return True
        free = [index for index in self.slot_range() if index not in self.slots]
        if not free:
            return False
        self.slots[free[0]] = [0, digits]
        if self.cnmi[1] == 1:
            self.send_urc(f'+CMTI: "{self.stores[0]}",{free[0]}')
        return True

    def deliver_direct(self, digits):
        self.send_urc(f"+CMT: ,{tpdu_length(digits)}", digits)

    def slot_range(self):
        return range(self.first_index, self.first_index + self.capacity)

    # The line

    def write_text(self, text):
        self.write(text.encode("latin-1"))

    def send_urc(self, *lines):
        """Write an unsolicited result code, and its payload if there is one."""
        self.write_text(self.line_end + self.line_end.join(lines) + self.line_end)

    def send_response(self, lines, final):
        """Write the information lines and the final result code."""
        texts = [
            *(self.line_end + line + self.line_end for line in lines),
            self.line_end + final + self.line_end if final else "",
        ]
        self.write_text("".join(texts))

    def receive(self, data):
        for octet in data:
            self.receive_octet(octet)

    def receive_octet(self, octet):
        if self.echo:
            self.write(bytes((octet,)))
        if self.entered_text is not None:
            self.enter_octet(octet)
        elif octet == 13:
            line, self.input_line = self.input_line.decode("latin-1"), bytearray()
            found = re.search(r"AT.*", line, re.IGNORECASE)
            if found:
                self.commands.append(found[0])
                self.execute(found[0].upper())
        elif octet >= 32:
            self.input_line.append(octet)

    def enter_octet(self, octet):
        if octet == 27:
            self.entered_text = None
            self.send_response([], "OK")
        elif octet == 26:
            digits, self.entered_text = self.entered_text.decode("latin-1"), None
            self.submit(digits)
        else:
            self.entered_text.append(octet)

    # Commands

    def execute(self, line):
        """Execute a command line.

        Of several commands on one line only basic ones are understood (ATE0V1Q0).
        """
        name, value = re.fullmatch(r"AT([^=?]*)(.*)", line).groups()
        basic = re.fullmatch(r"(?:[EVQZ&F]\d?)*", name)
        if basic and not value:
            self.execute_basic(name)
            return
        command = getattr(self, "do_" + name.lstrip("+").lower(), None)
        response = command(value) if name.startswith("+") and command else None
        if response is None:
            self.send_response([], self.unknown_command_result)
        elif isinstance(response, str):
            self.send_response([], response)
        elif response is not ...:
            self.send_response(response, "OK")

    def execute_basic(self, name):
        if "E" in name:
            self.echo = "E1" in name
        self.send_response([], "OK")

    def do_cpin(self, value):
        return ["+CPIN: READY"] if value == "?" else None

    def do_cfun(self, value):
        if value == "?":
            return [f"+CFUN: {self.functionality}"]
        if value in {"=0", "=1", "=4"}:
            self.functionality = int(value[1:])
            self.loop.call_later(1, self.deliver_waiting)
            return []
        return None

    def do_cmgf(self, value):
        if value == "?":
            return [f"+CMGF: {self.text_mode}"]
        if value == "=?":
            return ["+CMGF: (0-1)"]
        if value not in {"=0", "=1"}:
            return None
        self.text_mode = int(value[1:])
        return []

    def do_cpms(self, value):
        used = ",".join([f"{len(self.slots)},{self.capacity}"] * 3)
        if value == "?":
            return ["+CPMS: " + ",".join([f'"{self.stores[0]}",{len(self.slots)},{self.capacity}'] * 3)]
        names = ",".join(f'"{name}"' for name in self.stores)
        if value == "=?":
            return [f"+CPMS: ({names}),({names}),({names})"]
        wanted = re.findall(r'"(\w+)"', value)
        return [f"+CPMS: {used}"] if wanted and set(wanted) <= set(self.stores) else "+CMS ERROR: 302"

    def do_cnmi(self, value):
        if value == "?":
            return ["+CNMI: " + ",".join(map(str, self.cnmi))]
        if value == "=?":
            return ["+CNMI: (0-2),(0-2),(0,2),(0-2),(0,1)"]
        given = [int(number) for number in re.findall(r"\d+", value)]
        self.cnmi = (given + [0] * 5)[:5]
        return []

    def do_csq(self, value):
        return ["+CSQ: 18,99"]

    def do_creg(self, value):
        return [f"+CREG: 0,{1 if self.functionality == 1 else 0}"] if value == "?" else []

    def do_csca(self, value):
        return ['+CSCA: "+447700900000",145'] if value == "?" else []

    def do_cmgl(self, value):
        wanted = {"=4": (0, 1, 2, 3), "=0": (0,), "=1": (1,), "": (0,)}.get(value)
        if wanted is None:
            return None
        lines = []
        for index, slot in sorted(self.slots.items()):
            if slot[0] in wanted:
                lines.append(self.format_list_entry(index, slot))
                slot[0] = slot[0] or 1
        return ["\r\n".join(lines)] if lines else []

    def format_list_entry(self, index, slot):
        return f"+CMGL: {index},{slot[0]},,{tpdu_length(slot[1])}{self.line_end}{slot[1]}"

    def do_cmgr(self, value):
        slot = self.slots.get(int(value[1:])) if re.fullmatch(r"=\d+", value) else None
        if slot is None:
            return self.empty_slot_result
        message = self.format_message(slot)
        slot[0] = slot[0] or 1
        return [message]

    def format_message(self, slot):
        return f"+CMGR: {slot[0]},,{tpdu_length(slot[1])}{self.line_end}{slot[1]}"

    def do_cmgd(self, value):
        found = re.fullmatch(r"=(\d+)(?:,0)?", value)
        if found is None:
            return None
        self.slots.pop(int(found[1]), None)
        self.loop.call_later(0.5, self.deliver_waiting)
        return []

    def do_cmgs(self, value):
        if re.fullmatch(r"=\d+", value) is None:
            return None
        self.entered_text = bytearray()
        self.write_text(self.prompt)
        return ...

    def submit(self, digits):
        message = pdu.decode(digits, direction="mo")
        self.sent.append((str(message.destination_address), message.user_data.text))
        self.reference = (self.reference + 1) % 256
        self.loop.call_later(1.5, self.send_submit_result)

    def send_submit_result(self):
        self.send_response([f"+CMGS: {self.reference}"], "OK")


def tpdu_length(digits):
    """Return the <length> of a <pdu>: octets without the service centre address (27.005 3.1)."""
    return len(digits) // 2 - 1 - int(digits[:2], 16)
