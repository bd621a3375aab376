"""How messages are told of, or handed over.."""

from stranger.plain import Plain


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


class ToldTooEarly(Plain):
    """+CMTI comes three seconds before the message is there."""

    def accept(self, digits):
        free = next((index for index in self.places() if index not in self.slots), None)
        if free is None:
            return False
        self.tell(f'+CMTI: "SM",{free}')
        self.loop.call_later(3, self.slots.__setitem__, free, [0, digits])
        return True


class ToldOnce(Plain):
    """+CMTI names a store that +CPMS does not know."""

    def tell(self, *lines):
        super().tell(*(line.replace('"SM"', '"MT"') for line in lines))


class NoRouting(Plain):
    """+CNMI is refused whatever is asked."""

    def do_cnmi(self, value):
        return None


class SilentArrivals(Plain):
    """+CNMI is taken, read back as it was set, and nothing is ever told."""

    def tell(self, *lines):
        pass
