"""Habits, one a class. What each stands for is in its docstring."""

import re

import pdu
from stranger.plain import Plain, octets


class RefusesAt(Plain):
    """A bare AT is an ERROR; everything else works."""

    def basic(self, name):
        if name:
            super().basic(name)
        else:
            self.answer([], "ERROR")


class NeverEchoes(Plain):
    """There is no echo and no ATE."""

    def octet(self, octet):
        self.echo = False
        super().octet(octet)

    def basic(self, name):
        self.answer([], "ERROR" if "E" in name else "OK")


class AlwaysEchoes(Plain):
    """ATE0 is OK and changes nothing."""

    def basic(self, name):
        self.answer([], "OK")


class EchoesLineEnd(Plain):
    """The echo of a carriage return is CR LF."""

    def octet(self, octet):
        super().octet(octet)
        if self.echo and octet == 13:
            self.out("\n")


class ReferenceZero(Plain):
    """Every message has reference 0."""

    def submitted(self):
        self.answer(["+CMGS: 0"], "OK")


class NoBlank(Plain):
    """No blank after a colon, or two."""

    def answer(self, lines, final):
        super().answer([re.sub(r"(?m)^(\+\w+): ", r"\1:", line) for line in lines], final)

    def tell(self, *lines):
        super().tell(*(re.sub(r"^(\+\w+): ", r"\1:  ", line) for line in lines))


class BlankAfterCommas(Plain):
    """`+CMGR: 1, "", 23`, and quotes where none belong."""

    def read(self, slot):
        return f'+CMGR: {slot[0]}, "", "{octets(slot[1])}"\r\n{slot[1]}'

    def tell(self, *lines):
        super().tell(*(line.replace(",", ", ") for line in lines))


class ErrorThenOk(Plain):
    """An unknown index is an ERROR, and then OK all the same."""

    missing = "ERROR\r\n\r\nOK"


class EmptyIsOk(Plain):
    """An empty slot is a bare OK."""

    missing = "OK"


class EmptyIsZero(Plain):
    """An empty slot is `+CMGR: 0,,0`."""

    missing = "+CMGR: 0,,0\r\n\r\nOK"


class RadioOff(Plain):
    """The radio is off until AT+CFUN=1, also after each start."""

    def __init__(self, loop, say):
        super().__init__(loop, say)
        self.radio = 4


class RadioUntold(RadioOff):
    """The same, and AT+CFUN? is not known."""

    def do_cfun(self, value):
        return None if value == "?" else super().do_cfun(value)


class Silent(Plain):
    """What it does not know it does not answer at all."""

    refusals = ""


class LineFeeds(Plain):
    """Lines end with LF alone."""

    end = "\n"


class CarriageReturns(Plain):
    """Lines end with CR alone."""

    end = "\r"


class ShortPrompt(Plain):
    """The prompt is `>` and nothing else."""

    prompt = ">"


class PromptLine(Plain):
    """The prompt is a line of its own."""

    prompt = "\r\n>\r\n"


class NoLengths(Plain):
    """Headers without a length."""

    def listed(self, index, slot):
        return f"+CMGL: {index},{slot[0]}\r\n{slot[1]}"

    def read(self, slot):
        return f"+CMGR: {slot[0]},\r\n{slot[1]}"


class Direct(Plain):
    """Stores nothing and has no +CSMS: messages are handed over, and that is that."""

    keeps = False

    def places(self):
        return range(0)

    def do_cnmi(self, value):
        return ["+CNMI: (0-2),(2),(0),(0,1),(0)"] if value == "=?" else super().do_cnmi(value)


class DirectWithoutLength(Direct):
    """The same, and the header of +CMT has no length."""

    def hand_over(self, digits):
        self.tell("+CMT: ,", digits)


class DirectByName(Direct):
    """The same, and the header of +CMT is the sender."""

    def hand_over(self, digits):
        self.tell('+CMT: "000"', digits)


class DirectAcknowledged(Direct):
    """Messages are handed over and acknowledged; one that is not comes again in a minute."""

    keeps = True

    def __init__(self, loop, say):
        super().__init__(loop, say)
        self.phase, self.owed = 0, None

    def do_csms(self, value):
        if value == "?":
            return [f"+CSMS: {self.phase},1,1,1"]
        self.phase = int(value[-1])
        return ["+CSMS: 1,1,1"]

    def accept(self, digits):
        if self.owed is None and self.routing[1] == 2:
            self.owed = self.loop.call_later(15, self.missed)
            self.hand_over(digits)
        else:
            self.loop.call_later(60, self.land)
        return False

    def missed(self):
        self.owed, self.routing[1], self.routing[3] = None, 0, 0
        self.loop.call_later(60, self.land)

    def do_cnma(self, value):
        if value == "=?":
            return []
        if self.owed is None:
            return "+CMS ERROR: 340"
        self.owed.cancel()
        self.owed = None
        del self.air[0]
        self.loop.call_later(1, self.land)
        return []


class Numeric(Plain):
    """Results are numbers whatever ATV says."""

    def answer(self, lines, final):
        number = {"OK": "0", "ERROR": "4"}.get(final, final)
        self.out("".join(f"{line}\r\n" for line in lines) + (f"{number}\r" if final else ""))


class FromZero(Plain):
    """Indices count from 0."""

    first_index = 0


class ToldTooEarly(Plain):
    """+CMTI comes three seconds before the message is there."""

    def accept(self, digits):
        free = next(index for index in self.places() if index not in self.slots)
        self.tell(f'+CMTI: "SM",{free}')
        self.loop.call_later(3, self.slots.__setitem__, free, [0, digits])
        return True


class ToldOnce(Plain):
    """+CMTI names a store that +CPMS does not know."""

    def tell(self, *lines):
        super().tell(*(line.replace('"SM"', '"MT"') for line in lines))


class ReadIsHidden(Plain):
    """A message that was read is in no list, not even in that of all."""

    def do_cmgl(self, value):
        return super().do_cmgl("=0" if value == "=4" else value)


class NoStores(Plain):
    """+CPMS is not known."""

    def do_cpms(self, value):
        return None


class TwoStores(Plain):
    """+CPMS? tells of two stores only."""

    def do_cpms(self, value):
        return [f'+CPMS: "SM",{len(self.slots)},10,"SM",{len(self.slots)},10'] if value == "?" else None


class NoRouting(Plain):
    """+CNMI is refused whatever is asked."""

    def do_cnmi(self, value):
        return None


class SilentArrivals(Plain):
    """+CNMI is taken, read back as it was set, and nothing is ever told."""

    def tell(self, *lines):
        pass


class OkFirst(Plain):
    """After a message OK comes, and then its reference."""

    def submitted(self):
        self.answer([], "OK")
        self.answer([f"+CMGS: {self.reference}"], "")


class InWords(Plain):
    """Errors are words, whatever +CMEE says."""

    missing = "+CMS ERROR: invalid memory index"
    refusals = "+CME ERROR: operation not supported"


class Chatty(Plain):
    """Says something twenty times a second."""

    def __init__(self, loop, say):
        super().__init__(loop, say)
        loop.call_later(1, self.chat)

    def chat(self):
        if self.body is None:
            self.tell("^RSSI: 18")
        self.loop.call_later(0.05, self.chat)


class BusyCard(Plain):
    """The card is busy for a minute."""

    def command(self, line):
        if self.loop.time() < self.ready and line.startswith(("AT+CPIN", "AT+CM", "AT+CPMS", "AT+CSCA")):
            self.answer([], "+CME ERROR: 14" if "CPIN" in line else "+CMS ERROR: 314")
        else:
            super().command(line)

    def __init__(self, loop, say):
        super().__init__(loop, say)
        self.ready = loop.time() + 60


class SlowLine(Plain):
    """Everything it says comes at 1200 baud."""

    def __init__(self, loop, say):
        super().__init__(loop, self.drip)
        self.free, self.really = 0.0, say

    def drip(self, data):
        for octet in data:
            self.free = max(self.free, self.loop.time()) + 10 / 1200
            self.loop.call_at(self.free, self.really, bytes((octet,)))


class Sleeper(Plain):
    """Asleep after ten quiet seconds; what wakes it is lost."""

    def __init__(self, loop, say):
        super().__init__(loop, say)
        self.heard = 0.0

    def receive(self, data):
        asleep, self.heard = self.loop.time() - self.heard > 10, self.loop.time()
        super().receive(data[4:] if asleep else data)


class Forgetful(Plain):
    """Switches itself off and on without a word every four minutes, and forgets all but its messages."""

    def __init__(self, loop, say):
        super().__init__(loop, say)
        loop.call_later(240, self.restart)

    def restart(self):
        self.echo, self.routing, self.text_mode, self.body = True, [0, 0, 0, 0, 0], 1, None
        self.loop.call_later(240, self.restart)


class ReportsAnyway(Plain):
    """A +CDS that nobody asked for follows each message."""

    def submitted(self):
        super().submitted()
        report = "0006" + f"{self.reference:02X}" + "038100F0" + "62112221000000" * 2 + "00"
        self.loop.call_later(2, self.tell, f"+CDS: {octets(report)}", report)


class OneAnswer(Plain):
    """Everything that it says to a command leaves together with the echo, in one piece."""

    def octet(self, octet):
        said, say = [], self.say
        self.say = said.append
        super().octet(octet)
        self.say = say
        self.held = getattr(self, "held", b"") + b"".join(said)
        if octet in {13, 26, 27}:
            held, self.held = self.held, b""
            say(held)


class TextOnly(Plain):
    """There is no PDU mode."""

    message_format = "text"

    def __init__(self, loop, say):
        super().__init__(loop, say)
        self.text_mode = 1
        self.number = ""

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

    def header(self, digits):
        message = pdu.decode(digits)
        time = message.service_centre_timestamp.time.strftime("%y/%m/%d,%H:%M:%S+00")
        return f'"{message.originating_address}",,"{time}"', message.user_data

    def listed(self, index, slot):
        head, data = self.header(slot[1])
        return (
            f'+CMGL: {index},"{("REC UNREAD", "REC READ")[slot[0]]}",{head},129,{data.length}\r\n{data.text}'
        )

    def read(self, slot):
        head, data = self.header(slot[1])
        status = ("REC UNREAD", "REC READ")[slot[0]]
        return f'+CMGR: "{status}",{head},129,4,0,0,"+447700900000",145,{data.length}\r\n{data.text}'

    def do_cmgs(self, value):
        found = re.fullmatch(r'="([+\d]+)"(?:,\d+)?', value)
        if found is None:
            return None
        self.number, self.body = found[1], bytearray()
        self.out(self.prompt)
        return ...

    def submit(self, text):
        self.sent.append((self.number, text))
        self.reference += 1
        self.loop.call_later(1.5, self.submitted)


EVERYBODY = [kind for kind in list(globals().values()) if isinstance(kind, type) and issubclass(kind, Plain)]
