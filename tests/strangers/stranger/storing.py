"""How messages are kept, listed and read.."""

from stranger.plain import Plain, octets


class ErrorThenOk(Plain):
    """An unknown index is an ERROR, and then OK all the same."""

    missing = "ERROR\r\n\r\nOK"


class EmptyIsOk(Plain):
    """An empty slot is a bare OK."""

    missing = "OK"


class EmptyIsZero(Plain):
    """An empty slot is `+CMGR: 0,,0`."""

    missing = "+CMGR: 0,,0\r\n\r\nOK"


class BlankAfterCommas(Plain):
    """`+CMGR: 1, "", 23`, and quotes where none belong."""

    def read(self, slot):
        return f'+CMGR: {slot[0]}, "", "{octets(slot[1])}"\r\n{slot[1]}'

    def tell(self, *lines):
        super().tell(*(line.replace(",", ", ") for line in lines))


class NoLengths(Plain):
    """Headers without a length."""

    def listed(self, index, slot):
        return f"+CMGL: {index},{slot[0]}\r\n{slot[1]}"

    def read(self, slot):
        return f"+CMGR: {slot[0]},\r\n{slot[1]}"


class WholeLengths(Plain):
    """The length counts the service centre address, too."""

    def read(self, slot):
        return f"+CMGR: {slot[0]},,{len(slot[1]) // 2}\r\n{slot[1]}"

    def listed(self, index, slot):
        return f"+CMGL: {index},{slot[0]},,{len(slot[1]) // 2}\r\n{slot[1]}"


class StatusInWords(Plain):
    """In PDU mode, too, the status is `"REC UNREAD"`."""

    def read(self, slot):
        return f'+CMGR: "{("REC UNREAD", "REC READ")[slot[0]]}",,{octets(slot[1])}\r\n{slot[1]}'

    def listed(self, index, slot):
        return f'+CMGL: {index},"{("REC UNREAD", "REC READ")[slot[0]]}",,{octets(slot[1])}\r\n{slot[1]}'


class SmallLetters(Plain):
    """Hexadecimal digits are small, on both lines."""

    def listed(self, index, slot):
        return super().listed(index, slot).lower().replace("+cmgl", "+CMGL")

    def read(self, slot):
        return super().read(slot).lower().replace("+cmgr", "+CMGR")


class Interrupts(Plain):
    """Something else is said between each header and its payload."""

    def listed(self, index, slot):
        return super().listed(index, slot).replace("\r\n", "\r\n\r\n^BOOT:1,0\r\n\r\n+CSQ: 3,99\r\n")

    def read(self, slot):
        return super().read(slot).replace("\r\n", "\r\nRING\r\n")


class FromZero(Plain):
    """Indices count from 0."""

    first_index = 0


class RoomForOne(Plain):
    """The store holds one message."""

    size = 1


class AllInOne(Plain):
    """There is one store, and its name is MT."""

    stores = ("MT",)


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
