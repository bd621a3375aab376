"""How messages are sent.."""

from foreign.base import ForeignModule, tpdu_length


class ReferenceZero(ForeignModule):
    """Every message has reference 0."""

    def send_submit_result(self):
        self.send_response(["+CMGS: 0"], "OK")


class ShortPrompt(ForeignModule):
    """The prompt is `>` and nothing else."""

    prompt = ">"


class PromptOnOwnLine(ForeignModule):
    """The prompt is a line of its own."""

    prompt = "\r\n>\r\n"


class OkBeforeReference(ForeignModule):
    """After a message OK comes, and then its reference."""

    def send_submit_result(self):
        self.send_response([], "OK")
        self.send_response([f"+CMGS: {self.reference}"], "")


class NoReference(ForeignModule):
    """A message is answered by OK alone."""

    def send_submit_result(self):
        self.send_response([], "OK")


class SubmitsAtAnnouncedLength(ForeignModule):
    """Text entry ends when as many digits have come as were announced; Ctrl-Z then means nothing."""

    def do_cmgs(self, value):
        self.announced_length = int(value[1:])
        return super().do_cmgs(value)

    def enter_octet(self, octet):
        super().enter_octet(octet)
        digits = (self.entered_text or b"").decode("latin-1")
        if len(digits) > 2 and tpdu_length(digits) == self.announced_length and len(digits) % 2 == 0:
            self.entered_text = None
            self.submit(digits)


class UnrequestedReports(ForeignModule):
    """A +CDS that nobody asked for follows each message."""

    def send_submit_result(self):
        super().send_submit_result()
        report = "0006" + f"{self.reference:02X}" + "038100F0" + "62112221000000" * 2 + "00"
        self.loop.call_later(2, self.send_urc, f"+CDS: {tpdu_length(report)}", report)
