"""Quirks of particular vendors, from their manuals and from reports of users."""

import re

from foreign.base import ForeignModule, tpdu_length


class ListNotAllowed(ForeignModule):
    """+CMGL is always refused; +CMGR works."""

    def do_cmgl(self, value):
        return "+CMS ERROR: 302"


class ListNotAllowedIndexFromZero(ListNotAllowed):
    """+CMGL is unknown. Indices start at 0, an empty slot is an ERROR, and the store has 255 slots."""

    first_index, capacity, empty_slot_result = 0, 255, "ERROR"

    def do_cmgl(self, value):
        return None


class ListAllowedLater(ForeignModule):
    """+CMGL is refused for three minutes after the start; everything else works."""

    def __init__(self, loop, write):
        super().__init__(loop, write)
        self.list_allowed_at = loop.time() + 180

    def do_cmgl(self, value):
        return super().do_cmgl(value) if self.loop.time() >= self.list_allowed_at else "+CMS ERROR: 500"


class DropsCpmsAnswers(ForeignModule):
    """The first four queries +CPMS? and +CPMS=? get no response."""

    def __init__(self, loop, write):
        super().__init__(loop, write)
        self.dropped = 0

    def do_cpms(self, value):
        if value in {"?", "=?"} and self.dropped < 4:
            self.dropped += 1
            return ...
        return super().do_cpms(value)


class UnquotedStoreNames(ForeignModule):
    """Names of stores have no quotes, in URCs and in responses."""

    def send_urc(self, *lines):
        super().send_urc(*(line.replace('"', "") for line in lines))

    def do_cpms(self, value):
        response = super().do_cpms(value)
        return [line.replace('"', "") for line in response] if isinstance(response, list) else response


class HighIndices(ForeignModule):
    """Indices start at 300."""

    first_index = 300


class BlankLinesInLists(ForeignModule):
    """Lists have empty lines between entries and between header and data, and blanks at line ends."""

    def format_list_entry(self, index, slot):
        header, digits = super().format_list_entry(index, slot).split("\r\n")
        return f"\r\n{header} \r\n\r\n{digits}  \r\n"


class UrcsInsideAnswers(ForeignModule):
    """URCs come between information and result, and between the entries of a list."""

    def send_response(self, lines, final):
        noise = "\r\n^RSSI: 20\r\n\r\n+CREG: 1\r\n"
        super().send_response([line.replace("\r\n+CMGL", f"{noise}\r\n+CMGL") for line in lines], "")
        self.write_text(noise)
        super().send_response([], final)


class CarriageReturnTwice(ForeignModule):
    """Each line ends with CR CR LF."""

    line_end = "\r\r\n"


class PromptTwice(ForeignModule):
    """The prompt comes twice."""

    prompt = "\r\n> \r\n> "


class LatePromptWithoutLineEnd(ForeignModule):
    """The prompt comes after four seconds, without a line end before it."""

    prompt = "> "

    def do_cmgs(self, value):
        if re.fullmatch(r"=\d+", value) is None:
            return None
        self.loop.call_later(4, self.open_prompt)
        return ...

    def open_prompt(self):
        self.entered_text = bytearray()
        self.write_text(self.prompt)


class LateOkAfterReference(ForeignModule):
    """OK comes twenty seconds after +CMGS."""

    def send_submit_result(self):
        self.send_response([f"+CMGS: {self.reference}"], "")
        self.loop.call_later(20, self.send_response, [], "OK")


class ReferenceWithTime(ForeignModule):
    """+CMGS has a time after the reference."""

    def send_submit_result(self):
        self.send_response([f'+CMGS: {self.reference}, "26/11/22,12:00:00+00"'], "OK")


class CnmiModeTwoRejected(ForeignModule):
    """+CNMI=? lists mode 2, which is refused. Only mode 1 with five values is accepted."""

    def do_cnmi(self, value):
        if value.startswith("=") and value != "=?":
            given = value[1:].split(",")
            if len(given) != 5 or given[0] != "1" or given[4] != "1":
                return "+CMS ERROR: 303"
        return super().do_cnmi(value)


class AlternatingStores(ForeignModule):
    """Messages are stored in SM and ME alternately."""

    stores = ("SM", "ME")

    def __init__(self, loop, write):
        super().__init__(loop, write)
        self.selected_store = "SM"
        self.store_by_index = {}

    def accept_pdu(self, digits):
        free = next(index for index in self.slot_range() if index not in self.slots)
        self.store_by_index[free] = self.stores[len(self.store_by_index) % 2]
        self.slots[free] = [0, digits]
        if self.cnmi[1] == 1:
            self.send_urc(f'+CMTI: "{self.store_by_index[free]}",{free}')
        return True

    def slots_in_selected(self):
        return {
            index: slot
            for index, slot in self.slots.items()
            if self.store_by_index[index] == self.selected_store
        }

    def do_cpms(self, value):
        if value.startswith('="') and (name := value[2:4]) in self.stores:
            self.selected_store = name
        if value == "?":
            return [
                "+CPMS: "
                + ",".join(f'"{name}",{len(self.slots)},10' for name in (self.selected_store, "SM", "SM"))
            ]
        return super().do_cpms(value)

    def with_selected_slots(self, command, value):
        """Execute a command on the slots of the selected store only."""
        all_slots, self.slots = self.slots, self.slots_in_selected()
        response, kept = command(value), self.slots
        self.slots = {
            index: slot
            for index, slot in all_slots.items()
            if self.store_by_index[index] != self.selected_store or index in kept
        }
        return response

    def do_cmgl(self, value):
        return self.with_selected_slots(super().do_cmgl, value)

    def do_cmgr(self, value):
        return self.with_selected_slots(super().do_cmgr, value)

    def do_cmgd(self, value):
        return self.with_selected_slots(super().do_cmgd, value)


class EchoBackAfterSending(ForeignModule):
    """The echo is on again after each sent message."""

    def send_submit_result(self):
        super().send_submit_result()
        self.echo = True


class RestartsAfterSending(ForeignModule):
    """It restarts a minute after each sent message, with boot URCs, and loses all settings but no message."""

    def send_submit_result(self):
        super().send_submit_result()
        self.loop.call_later(60, self.restart)

    def restart(self):
        self.echo, self.cnmi, self.text_mode, self.entered_text = True, [0, 0, 0, 0, 0], 0, None
        for delay, line in enumerate(("RDY", "+CFUN: 1", "+CPIN: READY", "SMS Ready")):
            self.loop.call_later(delay, self.send_urc, line)


class LengthInNotification(ForeignModule):
    """+CMTI has a length after the index, and blanks around values."""

    def send_urc(self, *lines):
        super().send_urc(*(re.sub(r'^(\+CMTI): ("\w+"),(\d+)$', r"\1:  \2 , \3, 24", line) for line in lines))


class PaddedListEntries(ForeignModule):
    """In lists the PDU is preceded by blanks, and the index has leading zeros."""

    def format_list_entry(self, index, slot):
        return f"+CMGL: {index:03},{slot[0]},,{tpdu_length(slot[1])}{self.line_end}  {slot[1]}"
