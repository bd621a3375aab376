"""How messages are kept, listed and read.."""

from foreign.base import ForeignModule, tpdu_length


class ErrorThenOk(ForeignModule):
    """An unknown index is an ERROR, and then OK all the same."""

    empty_slot_result = "ERROR\r\n\r\nOK"


class EmptyIsOk(ForeignModule):
    """An empty slot is a bare OK."""

    empty_slot_result = "OK"


class EmptyIsZero(ForeignModule):
    """An empty slot is `+CMGR: 0,,0`."""

    empty_slot_result = "+CMGR: 0,,0\r\n\r\nOK"


class BlankAfterCommas(ForeignModule):
    """`+CMGR: 1, "", 23`, and quotes where none belong."""

    def format_message(self, slot):
        return f'+CMGR: {slot[0]}, "", "{tpdu_length(slot[1])}"\r\n{slot[1]}'

    def send_urc(self, *lines):
        super().send_urc(*(line.replace(",", ", ") for line in lines))


class NoLengthInHeader(ForeignModule):
    """Headers without a length."""

    def format_list_entry(self, index, slot):
        return f"+CMGL: {index},{slot[0]}\r\n{slot[1]}"

    def format_message(self, slot):
        return f"+CMGR: {slot[0]},\r\n{slot[1]}"


class LengthIncludesServiceCentre(ForeignModule):
    """The length counts the service centre address, too."""

    def format_message(self, slot):
        return f"+CMGR: {slot[0]},,{len(slot[1]) // 2}\r\n{slot[1]}"

    def format_list_entry(self, index, slot):
        return f"+CMGL: {index},{slot[0]},,{len(slot[1]) // 2}\r\n{slot[1]}"


class TextStatusInPduMode(ForeignModule):
    """In PDU mode, too, the status is `"REC UNREAD"`."""

    def format_message(self, slot):
        return f'+CMGR: "{("REC UNREAD", "REC READ")[slot[0]]}",,{tpdu_length(slot[1])}\r\n{slot[1]}'

    def format_list_entry(self, index, slot):
        return f'+CMGL: {index},"{("REC UNREAD", "REC READ")[slot[0]]}",,{tpdu_length(slot[1])}\r\n{slot[1]}'


class LowercaseHex(ForeignModule):
    """Hexadecimal digits are small, on both lines."""

    def format_list_entry(self, index, slot):
        return super().format_list_entry(index, slot).lower().replace("+cmgl", "+CMGL")

    def format_message(self, slot):
        return super().format_message(slot).lower().replace("+cmgr", "+CMGR")


class UrcBeforePayload(ForeignModule):
    """Something else is said between each header and its payload."""

    def format_list_entry(self, index, slot):
        return (
            super().format_list_entry(index, slot).replace("\r\n", "\r\n\r\n^BOOT:1,0\r\n\r\n+CSQ: 3,99\r\n")
        )

    def format_message(self, slot):
        return super().format_message(slot).replace("\r\n", "\r\nRING\r\n")


class IndexFromZero(ForeignModule):
    """Indices count from 0."""

    first_index = 0


class CapacityOne(ForeignModule):
    """The store holds one message."""

    capacity = 1


class SingleStoreMt(ForeignModule):
    """There is one store, and its name is MT."""

    stores = ("MT",)


class ListsUnreadOnly(ForeignModule):
    """A message that was read is in no list, not even in that of all."""

    def do_cmgl(self, value):
        return super().do_cmgl("=0" if value == "=4" else value)


class NoCpms(ForeignModule):
    """+CPMS is not known."""

    def do_cpms(self, value):
        return None


class CpmsWithTwoStores(ForeignModule):
    """+CPMS? tells of two stores only."""

    def do_cpms(self, value):
        return [f'+CPMS: "SM",{len(self.slots)},10,"SM",{len(self.slots)},10'] if value == "?" else None
