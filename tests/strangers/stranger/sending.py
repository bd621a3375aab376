"""How messages are sent.."""

from stranger.plain import Plain, octets


class ReferenceZero(Plain):
    """Every message has reference 0."""

    def submitted(self):
        self.answer(["+CMGS: 0"], "OK")


class ShortPrompt(Plain):
    """The prompt is `>` and nothing else."""

    prompt = ">"


class PromptLine(Plain):
    """The prompt is a line of its own."""

    prompt = "\r\n>\r\n"


class OkFirst(Plain):
    """After a message OK comes, and then its reference."""

    def submitted(self):
        self.answer([], "OK")
        self.answer([f"+CMGS: {self.reference}"], "")


class LosesReferences(Plain):
    """A message is answered by OK alone."""

    def submitted(self):
        self.answer([], "OK")


class EndsAtCount(Plain):
    """Text entry ends when as many digits have come as were announced; Ctrl-Z then means nothing."""

    def do_cmgs(self, value):
        self.wanted = int(value[1:])
        return super().do_cmgs(value)

    def enter(self, octet):
        super().enter(octet)
        digits = (self.body or b"").decode("latin-1")
        if len(digits) > 2 and octets(digits) == self.wanted and len(digits) % 2 == 0:
            self.body = None
            self.submit(digits)


class ReportsAnyway(Plain):
    """A +CDS that nobody asked for follows each message."""

    def submitted(self):
        super().submitted()
        report = "0006" + f"{self.reference:02X}" + "038100F0" + "62112221000000" * 2 + "00"
        self.loop.call_later(2, self.tell, f"+CDS: {octets(report)}", report)
