"""Quirks of echo, line format and timing."""

import re

from foreign.base import ForeignModule


class RejectsBareAt(ForeignModule):
    """A bare AT is answered by ERROR."""

    def execute_basic(self, name):
        if name:
            super().execute_basic(name)
        else:
            self.send_response([], "ERROR")


class NeverEchoes(ForeignModule):
    """It never echoes, and ATE is unknown."""

    def receive_octet(self, octet):
        self.echo = False
        super().receive_octet(octet)

    def execute_basic(self, name):
        self.send_response([], "ERROR" if "E" in name else "OK")


class AlwaysEchoes(ForeignModule):
    """ATE0 is answered by OK and has no effect."""

    def execute_basic(self, name):
        self.send_response([], "OK")


class EchoesLineEnd(ForeignModule):
    """CR is echoed as CR LF."""

    def receive_octet(self, octet):
        super().receive_octet(octet)
        if self.echo and octet == 13:
            self.write_text("\n")


class LateEcho(ForeignModule):
    """The echo is written after the response."""

    def receive_octet(self, octet):
        echo, self.echo = self.echo, False
        super().receive_octet(octet)
        self.echo = self.echo or echo
        if echo and octet != 26:
            self.loop.call_later(0.3, self.write, bytes((octet,)))

    def execute_basic(self, name):
        self.send_response([], "OK")


class BlankAfterColonVaries(ForeignModule):
    """A colon is followed by no blank, or by two."""

    def send_response(self, lines, final):
        super().send_response([re.sub(r"(?m)^(\+\w+): ", r"\1:", line) for line in lines], final)

    def send_urc(self, *lines):
        super().send_urc(*(re.sub(r"^(\+\w+): ", r"\1:  ", line) for line in lines))


class NumericResults(ForeignModule):
    """Result codes are numeric whatever ATV sets."""

    def send_response(self, lines, final):
        number = {"OK": "0", "ERROR": "4"}.get(final, final)
        self.write_text("".join(f"{line}\r\n" for line in lines) + (f"{number}\r" if final else ""))


class VerboseErrors(ForeignModule):
    """Errors are verbose whatever +CMEE sets."""

    empty_slot_result = "+CMS ERROR: invalid memory index"
    unknown_command_result = "+CME ERROR: operation not supported"


class IgnoresUnknownCommands(ForeignModule):
    """An unknown command gets no response."""

    unknown_command_result = ""


class LineFeedOnly(ForeignModule):
    """Lines end with LF only."""

    line_end = "\n"


class CarriageReturnOnly(ForeignModule):
    """Lines end with CR only."""

    line_end = "\r"


class BlankLines(ForeignModule):
    """There are empty lines everywhere."""

    def write_text(self, text):
        super().write_text(text if text.endswith("> ") else text.replace("\r\n", "\r\n\r\n"))


class SingleWrite(ForeignModule):
    """The echo and the whole response are written at once."""

    def receive_octet(self, octet):
        chunks, write = [], self.write
        self.write = chunks.append
        super().receive_octet(octet)
        self.write = write
        self.buffered = getattr(self, "buffered", b"") + b"".join(chunks)
        if octet in {13, 26, 27}:
            data, self.buffered = self.buffered, b""
            write(data)


class FrequentUrcs(ForeignModule):
    """It writes a URC twenty times a second."""

    def __init__(self, loop, write):
        super().__init__(loop, write)
        loop.call_later(1, self.send_noise)

    def send_noise(self):
        if self.entered_text is None:
            self.send_urc("^RSSI: 18")
        self.loop.call_later(0.05, self.send_noise)


class SlowLine(ForeignModule):
    """It writes at 1200 baud."""

    def __init__(self, loop, write):
        super().__init__(loop, self.write_slowly)
        self.free_at, self.write_now = 0.0, write

    def write_slowly(self, data):
        for octet in data:
            self.free_at = max(self.free_at, self.loop.time()) + 10 / 1200
            self.loop.call_at(self.free_at, self.write_now, bytes((octet,)))


class SlowAnswers(ForeignModule):
    """Each response comes 1.2 s after its command, or after the previous response."""

    answer_delay_s = 1.2

    def __init__(self, loop, write):
        super().__init__(loop, write)
        self.free_at = 0.0

    def send_response(self, lines, final):
        self.free_at = max(self.free_at, self.loop.time()) + self.answer_delay_s
        self.loop.call_at(self.free_at, super().send_response, lines, final)


class VerySlowAnswers(SlowAnswers):
    """Each response comes 2 s after its command, or after the previous response."""

    answer_delay_s = 2.0


class SleepsWhenIdle(ForeignModule):
    """It sleeps after ten idle seconds, and the octets that wake it are lost."""

    def __init__(self, loop, write):
        super().__init__(loop, write)
        self.last_input_at = 0.0

    def receive(self, data):
        asleep, self.last_input_at = self.loop.time() - self.last_input_at > 10, self.loop.time()
        super().receive(data[4:] if asleep else data)
