"""Quirks of prompts, results and message references."""

from foreign.base import ForeignModule, tpdu_length


class ReferenceZero(ForeignModule):
    """Every message has reference 0."""

    def send_submit_result(self):
        self.send_response(["+CMGS: 0"], "OK")


class ShortPrompt(ForeignModule):
    """The prompt is `>` without line end and blank."""

    prompt = ">"


class PromptOnOwnLine(ForeignModule):
    """The prompt is a line."""

    prompt = "\r\n>\r\n"


class OkBeforeReference(ForeignModule):
    """OK comes before +CMGS."""

    def send_submit_result(self):
        self.send_response([], "OK")
        self.send_response([f"+CMGS: {self.reference}"], "")


class NoReference(ForeignModule):
    """The result of a message is OK without +CMGS."""

    def send_submit_result(self):
        self.send_response([], "OK")


class SubmitsAtAnnouncedLength(ForeignModule):
    """Text entry ends when the announced number of octets has been entered; Ctrl-Z is then ignored."""

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
    """Each message is followed by a +CDS that was not requested."""

    def send_submit_result(self):
        super().send_submit_result()
        report = "0006" + f"{self.reference:02X}" + "038100F0" + "62112221000000" * 2 + "00"
        self.loop.call_later(2, self.send_urc, f"+CDS: {tpdu_length(report)}", report)
