"""Habits that belong to makers: what their manuals show or their users have reported.."""

import re

from stranger.plain import Plain, octets


class Unlisted(Plain):
    """+CMGL is not allowed, ever; +CMGR is."""

    def do_cmgl(self, value):
        return "+CMS ERROR: 302"


class UnlistedFromZero(Unlisted):
    """The same, counting from 0, with ERROR for what is not there and a store of 255."""

    first_index, size, missing = 0, 255, "ERROR"

    def do_cmgl(self, value):
        return None


class ListsAfterAWhile(Plain):
    """+CMGL is refused for three minutes after the start, though all else works."""

    def __init__(self, loop, say):
        super().__init__(loop, say)
        self.lists_at = loop.time() + 180

    def do_cmgl(self, value):
        return super().do_cmgl(value) if self.loop.time() >= self.lists_at else "+CMS ERROR: 500"


class ForgetsStores(Plain):
    """The first answers to +CPMS? and +CPMS=? never come."""

    def __init__(self, loop, say):
        super().__init__(loop, say)
        self.swallowed = 0

    def do_cpms(self, value):
        if value in {"?", "=?"} and self.swallowed < 4:
            self.swallowed += 1
            return ...
        return super().do_cpms(value)


class Unquoted(Plain):
    """Names of stores stand without quotes, in what it tells and in what it answers."""

    def tell(self, *lines):
        super().tell(*(line.replace('"', "") for line in lines))

    def do_cpms(self, value):
        told = super().do_cpms(value)
        return [line.replace('"', "") for line in told] if isinstance(told, list) else told


class HighIndices(Plain):
    """Slots begin at 300."""

    first_index = 300


class BlankLists(Plain):
    """A list has empty lines between its entries and between header and data, and blanks at its end."""

    def listed(self, index, slot):
        header, digits = super().listed(index, slot).split("\r\n")
        return f"\r\n{header} \r\n\r\n{digits}  \r\n"


class TellsInAnswers(Plain):
    """What arrives is told between information and result, and between the entries of a list."""

    def answer(self, lines, final):
        noise = "\r\n^RSSI: 20\r\n\r\n+CREG: 1\r\n"
        super().answer([line.replace("\r\n+CMGL", f"{noise}\r\n+CMGL") for line in lines], "")
        self.out(noise)
        super().answer([], final)


class CarriageReturnTwice(Plain):
    """Each line ends with CR CR LF."""

    end = "\r\r\n"


class PromptTwice(Plain):
    """The prompt comes twice."""

    prompt = "\r\n> \r\n> "


class PromptAfterBlank(Plain):
    """The prompt has no line end before it, and comes late."""

    prompt = "> "

    def do_cmgs(self, value):
        if re.fullmatch(r"=\d+", value) is None:
            return None
        self.loop.call_later(4, self.open)
        return ...

    def open(self):
        self.body = bytearray()
        self.out(self.prompt)


class ReferenceThenWait(Plain):
    """Between +CMGS and its OK lie twenty seconds."""

    def submitted(self):
        self.answer([f"+CMGS: {self.reference}"], "")
        self.loop.call_later(20, self.answer, [], "OK")


class ReferenceWithTime(Plain):
    """+CMGS tells a time, or an acknowledgement, behind the reference."""

    def submitted(self):
        self.answer([f'+CMGS: {self.reference}, "26/11/22,12:00:00+00"'], "OK")


class ModeRefused(Plain):
    """Of +CNMI mode 2 is offered and refused; five values are wanted, and mode 3 does nothing."""

    def do_cnmi(self, value):
        if value.startswith("=") and value != "=?":
            given = value[1:].split(",")
            if len(given) != 5 or given[0] != "1" or given[4] != "1":
                return "+CMS ERROR: 303"
        return super().do_cnmi(value)


class TwoPlaces(Plain):
    """What arrives lies in the second of two stores by turns; each counts for itself."""

    stores = ("SM", "ME")

    def __init__(self, loop, say):
        super().__init__(loop, say)
        self.chosen = "SM"
        self.where = {}

    def accept(self, digits):
        free = next(index for index in self.places() if index not in self.slots)
        self.where[free] = self.stores[len(self.where) % 2]
        self.slots[free] = [0, digits]
        if self.routing[1] == 1:
            self.tell(f'+CMTI: "{self.where[free]}",{free}')
        return True

    def seen(self):
        return {index: slot for index, slot in self.slots.items() if self.where[index] == self.chosen}

    def do_cpms(self, value):
        if value.startswith('="') and (name := value[2:4]) in self.stores:
            self.chosen = name
        if value == "?":
            return [
                "+CPMS: " + ",".join(f'"{name}",{len(self.slots)},10' for name in (self.chosen, "SM", "SM"))
            ]
        return super().do_cpms(value)

    def inside(self, does, value):
        """Do it with what lies in the chosen store alone."""
        whole, self.slots = self.slots, self.seen()
        told, kept = does(value), self.slots
        self.slots = {
            index: slot for index, slot in whole.items() if self.where[index] != self.chosen or index in kept
        }
        return told

    def do_cmgl(self, value):
        return self.inside(super().do_cmgl, value)

    def do_cmgr(self, value):
        return self.inside(super().do_cmgr, value)

    def do_cmgd(self, value):
        return self.inside(super().do_cmgd, value)


class EchoReturns(Plain):
    """After each message that leaves the echo is on again."""

    def submitted(self):
        super().submitted()
        self.echo = True


class RestartsAfterSending(Plain):
    """A minute after a message left it starts anew, says so, and has forgotten all but its messages."""

    def submitted(self):
        super().submitted()
        self.loop.call_later(60, self.restart)

    def restart(self):
        self.echo, self.routing, self.text_mode, self.body = True, [0, 0, 0, 0, 0], 0, None
        for delay, line in enumerate(("RDY", "+CFUN: 1", "+CPIN: READY", "SMS Ready")):
            self.loop.call_later(delay, self.tell, line)


class LongAnnounced(Plain):
    """+CMTI has the length behind the index, and a blank before each value."""

    def tell(self, *lines):
        super().tell(*(re.sub(r'^(\+CMTI): ("\w+"),(\d+)$', r"\1:  \2 , \3, 24", line) for line in lines))


class Padded(Plain):
    """Digits of a list come with blanks at the start of the line, the index with zeros."""

    def listed(self, index, slot):
        return f"+CMGL: {index:03},{slot[0]},,{octets(slot[1])}{self.end}  {slot[1]}"
