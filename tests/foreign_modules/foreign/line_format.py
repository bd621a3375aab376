"""How lines and results look, and how fast they come.."""

import re

from foreign.base import ForeignModule


class RejectsBareAt(ForeignModule):
    """A bare AT is an ERROR; everything else works."""

    def execute_basic(self, name):
        if name:
            super().execute_basic(name)
        else:
            self.send_response([], "ERROR")


class NeverEchoes(ForeignModule):
    """There is no echo and no ATE."""

    def receive_octet(self, octet):
        self.echo = False
        super().receive_octet(octet)

    def execute_basic(self, name):
        self.send_response([], "ERROR" if "E" in name else "OK")


class AlwaysEchoes(ForeignModule):
    """ATE0 is OK and changes nothing."""

    def execute_basic(self, name):
        self.send_response([], "OK")


class EchoesLineEnd(ForeignModule):
    """The echo of a carriage return is CR LF."""

    def receive_octet(self, octet):
        super().receive_octet(octet)
        if self.echo and octet == 13:
            self.write_text("\n")


class LateEcho(ForeignModule):
    """The echo comes after the answer."""

    def receive_octet(self, octet):
        echo, self.echo = self.echo, False
        super().receive_octet(octet)
        self.echo = self.echo or echo
        if echo and octet != 26:
            self.loop.call_later(0.3, self.write, bytes((octet,)))

    def execute_basic(self, name):
        self.send_response([], "OK")


class BlankAfterColonVaries(ForeignModule):
    """No blank after a colon, or two."""

    def send_response(self, lines, final):
        super().send_response([re.sub(r"(?m)^(\+\w+): ", r"\1:", line) for line in lines], final)

    def send_urc(self, *lines):
        super().send_urc(*(re.sub(r"^(\+\w+): ", r"\1:  ", line) for line in lines))


class NumericResults(ForeignModule):
    """Results are numbers whatever ATV says."""

    def send_response(self, lines, final):
        number = {"OK": "0", "ERROR": "4"}.get(final, final)
        self.write_text("".join(f"{line}\r\n" for line in lines) + (f"{number}\r" if final else ""))


class VerboseErrors(ForeignModule):
    """Errors are words, whatever +CMEE says."""

    empty_slot_result = "+CMS ERROR: invalid memory index"
    unknown_command_result = "+CME ERROR: operation not supported"


class IgnoresUnknownCommands(ForeignModule):
    """What it does not know it does not answer at all."""

    unknown_command_result = ""


class LineFeedOnly(ForeignModule):
    """Lines end with LF alone."""

    line_end = "\n"


class CarriageReturnOnly(ForeignModule):
    """Lines end with CR alone."""

    line_end = "\r"


class BlankLines(ForeignModule):
    """Empty lines everywhere."""

    def write_text(self, text):
        super().write_text(text if text.endswith("> ") else text.replace("\r\n", "\r\n\r\n"))


class SingleWrite(ForeignModule):
    """Everything that it says to a command leaves together with the echo, in one piece."""

    def receive_octet(self, octet):
        said, say = [], self.write
        self.write = said.append
        super().receive_octet(octet)
        self.write = say
        self.buffered = getattr(self, "buffered", b"") + b"".join(said)
        if octet in {13, 26, 27}:
            held, self.buffered = self.buffered, b""
            say(held)


class FrequentUrcs(ForeignModule):
    """Says something twenty times a second."""

    def __init__(self, loop, say):
        super().__init__(loop, say)
        loop.call_later(1, self.send_noise)

    def send_noise(self):
        if self.entered_text is None:
            self.send_urc("^RSSI: 18")
        self.loop.call_later(0.05, self.send_noise)


class SlowLine(ForeignModule):
    """Everything it says comes at 1200 baud."""

    def __init__(self, loop, say):
        super().__init__(loop, self.write_slowly)
        self.free_at, self.write_now = 0.0, say

    def write_slowly(self, data):
        for octet in data:
            self.free_at = max(self.free_at, self.loop.time()) + 10 / 1200
            self.loop.call_at(self.free_at, self.write_now, bytes((octet,)))


class SlowAnswers(ForeignModule):
    """Each answer comes 1.2 s after its command, or after the answer before."""

    answer_delay_s = 1.2

    def __init__(self, loop, say):
        super().__init__(loop, say)
        self.free_at = 0.0

    def send_response(self, lines, final):
        self.free_at = max(self.free_at, self.loop.time()) + self.answer_delay_s
        self.loop.call_at(self.free_at, super().send_response, lines, final)


class VerySlowAnswers(SlowAnswers):
    """The same with two seconds."""

    answer_delay_s = 2.0


class SleepsWhenIdle(ForeignModule):
    """Asleep after ten quiet seconds; what wakes it is lost."""

    def __init__(self, loop, say):
        super().__init__(loop, say)
        self.last_input_at = 0.0

    def receive(self, data):
        asleep, self.last_input_at = self.loop.time() - self.last_input_at > 10, self.loop.time()
        super().receive(data[4:] if asleep else data)
