"""How lines and results look, and how fast they come.."""

import re

from stranger.plain import Plain


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


class LateEcho(Plain):
    """The echo comes after the answer."""

    def octet(self, octet):
        echo, self.echo = self.echo, False
        super().octet(octet)
        self.echo = self.echo or echo
        if echo and octet != 26:
            self.loop.call_later(0.3, self.say, bytes((octet,)))

    def basic(self, name):
        self.answer([], "OK")


class NoBlank(Plain):
    """No blank after a colon, or two."""

    def answer(self, lines, final):
        super().answer([re.sub(r"(?m)^(\+\w+): ", r"\1:", line) for line in lines], final)

    def tell(self, *lines):
        super().tell(*(re.sub(r"^(\+\w+): ", r"\1:  ", line) for line in lines))


class Numeric(Plain):
    """Results are numbers whatever ATV says."""

    def answer(self, lines, final):
        number = {"OK": "0", "ERROR": "4"}.get(final, final)
        self.out("".join(f"{line}\r\n" for line in lines) + (f"{number}\r" if final else ""))


class InWords(Plain):
    """Errors are words, whatever +CMEE says."""

    missing = "+CMS ERROR: invalid memory index"
    refusals = "+CME ERROR: operation not supported"


class Silent(Plain):
    """What it does not know it does not answer at all."""

    refusals = ""


class LineFeeds(Plain):
    """Lines end with LF alone."""

    end = "\n"


class CarriageReturns(Plain):
    """Lines end with CR alone."""

    end = "\r"


class BlankLines(Plain):
    """Empty lines everywhere."""

    def out(self, text):
        super().out(text if text.endswith("> ") else text.replace("\r\n", "\r\n\r\n"))


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


class Chatty(Plain):
    """Says something twenty times a second."""

    def __init__(self, loop, say):
        super().__init__(loop, say)
        loop.call_later(1, self.chat)

    def chat(self):
        if self.body is None:
            self.tell("^RSSI: 18")
        self.loop.call_later(0.05, self.chat)


class SlowLine(Plain):
    """Everything it says comes at 1200 baud."""

    def __init__(self, loop, say):
        super().__init__(loop, self.drip)
        self.free, self.really = 0.0, say

    def drip(self, data):
        for octet in data:
            self.free = max(self.free, self.loop.time()) + 10 / 1200
            self.loop.call_at(self.free, self.really, bytes((octet,)))


class Ponders(Plain):
    """Each answer comes 1.2 s after its command, or after the answer before."""

    takes_s = 1.2

    def __init__(self, loop, say):
        super().__init__(loop, say)
        self.free = 0.0

    def answer(self, lines, final):
        self.free = max(self.free, self.loop.time()) + self.takes_s
        self.loop.call_at(self.free, super().answer, lines, final)


class PondersLong(Ponders):
    """The same with two seconds."""

    takes_s = 2.0


class Sleeper(Plain):
    """Asleep after ten quiet seconds; what wakes it is lost."""

    def __init__(self, loop, say):
        super().__init__(loop, say)
        self.heard = 0.0

    def receive(self, data):
        asleep, self.heard = self.loop.time() - self.heard > 10, self.loop.time()
        super().receive(data[4:] if asleep else data)
