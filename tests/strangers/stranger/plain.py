"""The stranger without a habit; others are derived from it and differ in one thing each."""

import re
from datetime import UTC, datetime, timedelta

import pdu

CENTRE = pdu.Address.parse("+447700900000")
BEGIN = datetime(2026, 11, 22, 12, tzinfo=UTC)


class Plain:
    """One module at the end of a line: `receive` takes octets, `say` was given for the others."""

    first_index = 1
    size = 10
    stores = ("SM",)
    keeps = True
    """Whether it keeps what comes while nobody listens."""
    prompt = "\r\n> "
    end = "\r\n"
    refusals = "ERROR"
    """What an unknown command is answered with; empty for nothing at all."""
    missing = "+CMS ERROR: 321"
    """What an empty slot is answered with."""

    def __init__(self, loop, say):
        self.loop = loop
        self.say = say
        self.typed = bytearray()
        self.body = None
        self.echo = True
        self.radio = 1
        self.routing = [0, 0, 0, 0, 0]
        self.text_mode = 0
        self.slots = {}
        """Index to [status, service centre and TPDU in digits]."""
        self.air = []
        """What waits for room, or for the radio."""
        self.count = 0
        self.reference = 40
        self.sent = []
        """(number, text) of each message that left."""
        self.lines = []
        """Command lines, for whoever wonders."""

    # The network

    def sms(self, text, sender="000"):
        """A message for this module; no two have the same time."""
        self.count += 1
        message = pdu.Deliver(
            originating_address=pdu.Address.parse(sender),
            service_centre_timestamp=pdu.Timestamp.of(BEGIN + timedelta(seconds=self.count)),
            user_data=pdu.segment(text)[0],
            service_centre_address=CENTRE,
        )
        self.air.append(pdu.encode(message).hex)
        self.land()

    def land(self):
        """Take in what waits in the air."""
        while self.air and self.radio == 1 and self.accept(self.air[0]):
            del self.air[0]

    def accept(self, digits):
        """One message: handed over, or stored and perhaps told."""
        if self.routing[1] == 2:
            self.hand_over(digits)
            return True
        free = [index for index in self.places() if index not in self.slots]
        if not free:
            return False
        self.slots[free[0]] = [0, digits]
        if self.routing[1] == 1:
            self.tell(f'+CMTI: "{self.stores[0]}",{free[0]}')
        return True

    def hand_over(self, digits):
        self.tell(f"+CMT: ,{octets(digits)}", digits)

    def places(self):
        return range(self.first_index, self.first_index + self.size)

    # The line

    def out(self, text):
        self.say(text.encode("latin-1"))

    def tell(self, *lines):
        """Something that nobody asked for."""
        self.out(self.end + self.end.join(lines) + self.end)

    def answer(self, lines, final):
        """Information, then the final result."""
        texts = [
            *(self.end + line + self.end for line in lines),
            self.end + final + self.end if final else "",
        ]
        self.out("".join(texts))

    def receive(self, data):
        for octet in data:
            self.octet(octet)

    def octet(self, octet):
        if self.echo:
            self.say(bytes((octet,)))
        if self.body is not None:
            self.enter(octet)
        elif octet == 13:
            line, self.typed = self.typed.decode("latin-1"), bytearray()
            found = re.search(r"AT.*", line, re.IGNORECASE)
            if found:
                self.lines.append(found[0])
                self.command(found[0].upper())
        elif octet >= 32:
            self.typed.append(octet)

    def enter(self, octet):
        if octet == 27:
            self.body = None
            self.answer([], "OK")
        elif octet == 26:
            digits, self.body = self.body.decode("latin-1"), None
            self.submit(digits)
        else:
            self.body.append(octet)

    # Commands

    def command(self, line):
        """One line; several commands on it are not understood, but for ATE0V1Q0 and its kin."""
        name, value = re.fullmatch(r"AT([^=?]*)(.*)", line).groups()
        basic = re.fullmatch(r"(?:[EVQZ&F]\d?)*", name)
        if basic and not value:
            self.basic(name)
            return
        does = getattr(self, "do_" + name.lstrip("+").lower(), None)
        told = does(value) if name.startswith("+") and does else None
        if told is None:
            self.answer([], self.refusals)
        elif isinstance(told, str):
            self.answer([], told)
        elif told is not ...:
            self.answer(told, "OK")

    def basic(self, name):
        if "E" in name:
            self.echo = "E1" in name
        self.answer([], "OK")

    def do_cpin(self, value):
        return ["+CPIN: READY"] if value == "?" else None

    def do_cfun(self, value):
        if value == "?":
            return [f"+CFUN: {self.radio}"]
        if value in {"=0", "=1", "=4"}:
            self.radio = int(value[1:])
            self.loop.call_later(1, self.land)
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
        used = ",".join([f"{len(self.slots)},{self.size}"] * 3)
        if value == "?":
            return ["+CPMS: " + ",".join([f'"{self.stores[0]}",{len(self.slots)},{self.size}'] * 3)]
        names = ",".join(f'"{name}"' for name in self.stores)
        if value == "=?":
            return [f"+CPMS: ({names}),({names}),({names})"]
        wanted = re.findall(r'"(\w+)"', value)
        return [f"+CPMS: {used}"] if wanted and set(wanted) <= set(self.stores) else "+CMS ERROR: 302"

    def do_cnmi(self, value):
        if value == "?":
            return ["+CNMI: " + ",".join(map(str, self.routing))]
        if value == "=?":
            return ["+CNMI: (0-2),(0-2),(0,2),(0-2),(0,1)"]
        given = [int(number) for number in re.findall(r"\d+", value)]
        self.routing = (given + [0] * 5)[:5]
        return []

    def do_csq(self, value):
        return ["+CSQ: 18,99"]

    def do_creg(self, value):
        return [f"+CREG: 0,{1 if self.radio == 1 else 0}"] if value == "?" else []

    def do_csca(self, value):
        return ['+CSCA: "+447700900000",145'] if value == "?" else []

    def do_cmgl(self, value):
        wanted = {"=4": (0, 1, 2, 3), "=0": (0,), "=1": (1,), "": (0,)}.get(value)
        if wanted is None:
            return None
        lines = []
        for index, slot in sorted(self.slots.items()):
            if slot[0] in wanted:
                lines.append(self.listed(index, slot))
                slot[0] = slot[0] or 1
        return ["\r\n".join(lines)] if lines else []

    def listed(self, index, slot):
        return f"+CMGL: {index},{slot[0]},,{octets(slot[1])}{self.end}{slot[1]}"

    def do_cmgr(self, value):
        slot = self.slots.get(int(value[1:])) if re.fullmatch(r"=\d+", value) else None
        if slot is None:
            return self.missing
        shown = self.read(slot)
        slot[0] = slot[0] or 1
        return [shown]

    def read(self, slot):
        return f"+CMGR: {slot[0]},,{octets(slot[1])}{self.end}{slot[1]}"

    def do_cmgd(self, value):
        found = re.fullmatch(r"=(\d+)(?:,0)?", value)
        if found is None:
            return None
        self.slots.pop(int(found[1]), None)
        self.loop.call_later(0.5, self.land)
        return []

    def do_cmgs(self, value):
        if re.fullmatch(r"=\d+", value) is None:
            return None
        self.body = bytearray()
        self.out(self.prompt)
        return ...

    def submit(self, digits):
        message = pdu.decode(digits, direction="mo")
        self.sent.append((str(message.destination_address), message.user_data.text))
        self.reference = (self.reference + 1) % 256
        self.loop.call_later(1.5, self.submitted)

    def submitted(self):
        self.answer([f"+CMGS: {self.reference}"], "OK")


def octets(digits):
    """<length> of a `<pdu>`: without the service centre address."""
    return len(digits) // 2 - 1 - int(digits[:2], 16)
