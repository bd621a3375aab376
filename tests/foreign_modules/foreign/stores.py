"""Quirks of message stores, lists and headers."""

from foreign.base import ForeignModule, tpdu_length


class ErrorThenOk(ForeignModule):
    """An empty slot is answered by ERROR and then OK."""

    empty_slot_result = "ERROR\r\n\r\nOK"


class EmptyIsOk(ForeignModule):
    """An empty slot is answered by OK only."""

    empty_slot_result = "OK"


class EmptyIsZero(ForeignModule):
    """An empty slot is answered by `+CMGR: 0,,0`."""

    empty_slot_result = "+CMGR: 0,,0\r\n\r\nOK"


class BlankAfterCommas(ForeignModule):
    """Headers have blanks after commas, and the length is quoted: `+CMGR: 1, "", "23"`."""

    def format_message(self, slot):
        return f'+CMGR: {slot[0]}, "", "{tpdu_length(slot[1])}"\r\n{slot[1]}'

    def send_urc(self, *lines):
        super().send_urc(*(line.replace(",", ", ") for line in lines))


class NoLengthInHeader(ForeignModule):
    """Headers have no length."""

    def format_list_entry(self, index, slot):
        return f"+CMGL: {index},{slot[0]}\r\n{slot[1]}"

    def format_message(self, slot):
        return f"+CMGR: {slot[0]},\r\n{slot[1]}"


class LengthIncludesServiceCentre(ForeignModule):
    """The length includes the service centre address."""

    def format_message(self, slot):
        return f"+CMGR: {slot[0]},,{len(slot[1]) // 2}\r\n{slot[1]}"

    def format_list_entry(self, index, slot):
        return f"+CMGL: {index},{slot[0]},,{len(slot[1]) // 2}\r\n{slot[1]}"


class TextStatusInPduMode(ForeignModule):
    """The status is `"REC UNREAD"` also in PDU mode."""

    def format_message(self, slot):
        return f'+CMGR: "{("REC UNREAD", "REC READ")[slot[0]]}",,{tpdu_length(slot[1])}\r\n{slot[1]}'

    def format_list_entry(self, index, slot):
        return f'+CMGL: {index},"{("REC UNREAD", "REC READ")[slot[0]]}",,{tpdu_length(slot[1])}\r\n{slot[1]}'


class LowercaseHex(ForeignModule):
    """Hexadecimal digits are in lower case."""

    def format_list_entry(self, index, slot):
        return super().format_list_entry(index, slot).lower().replace("+cmgl", "+CMGL")

    def format_message(self, slot):
        return super().format_message(slot).lower().replace("+cmgr", "+CMGR")


class UrcBeforePayload(ForeignModule):
    """URCs come between each header and its payload."""

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
    """Its only store is MT."""

    stores = ("MT",)


class ListsUnreadOnly(ForeignModule):
    """+CMGL=4 lists only unread messages."""

    def do_cmgl(self, value):
        return super().do_cmgl("=0" if value == "=4" else value)


class NoCpms(ForeignModule):
    """+CPMS is unknown."""

    def do_cpms(self, value):
        return None


class CpmsWithTwoStores(ForeignModule):
    """+CPMS? reports only two stores."""

    def do_cpms(self, value):
        return [f'+CPMS: "SM",{len(self.slots)},10,"SM",{len(self.slots)},10'] if value == "?" else None
