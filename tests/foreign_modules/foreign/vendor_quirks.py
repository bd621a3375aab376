"""Habits that belong to makers: what their manuals show or their users have reported.."""

import re

from foreign.base import ForeignModule, tpdu_length


class ListNotAllowed(ForeignModule):
    """+CMGL is not allowed, ever; +CMGR is."""

    def do_cmgl(self, value):
        return "+CMS ERROR: 302"


class ListNotAllowedIndexFromZero(ListNotAllowed):
    """The same, counting from 0, with ERROR for what is not there and a store of 255."""

    first_index, capacity, empty_slot_result = 0, 255, "ERROR"

    def do_cmgl(self, value):
        return None


class ListAllowedLater(ForeignModule):
    """+CMGL is refused for three minutes after the start, though all else works."""

    def __init__(self, loop, say):
        super().__init__(loop, say)
        self.list_allowed_at = loop.time() + 180

    def do_cmgl(self, value):
        return super().do_cmgl(value) if self.loop.time() >= self.list_allowed_at else "+CMS ERROR: 500"


class DropsCpmsAnswers(ForeignModule):
    """The first answers to +CPMS? and +CPMS=? never come."""

    def __init__(self, loop, say):
        super().__init__(loop, say)
        self.dropped = 0

    def do_cpms(self, value):
        if value in {"?", "=?"} and self.dropped < 4:
            self.dropped += 1
            return ...
        return super().do_cpms(value)


class UnquotedStoreNames(ForeignModule):
    """Names of stores stand without quotes, in what it tells and in what it answers."""

    def send_urc(self, *lines):
        super().send_urc(*(line.replace('"', "") for line in lines))

    def do_cpms(self, value):
        told = super().do_cpms(value)
        return [line.replace('"', "") for line in told] if isinstance(told, list) else told


class HighIndices(ForeignModule):
    """Slots begin at 300."""

    first_index = 300


class BlankLinesInLists(ForeignModule):
    """A list has empty lines between its entries and between header and data, and blanks at its end."""

    def format_list_entry(self, index, slot):
        header, digits = super().format_list_entry(index, slot).split("\r\n")
        return f"\r\n{header} \r\n\r\n{digits}  \r\n"


class UrcsInsideAnswers(ForeignModule):
    """What arrives is told between information and result, and between the entries of a list."""

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
    """The prompt has no line end before it, and comes late."""

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
    """Between +CMGS and its OK lie twenty seconds."""

    def send_submit_result(self):
        self.send_response([f"+CMGS: {self.reference}"], "")
        self.loop.call_later(20, self.send_response, [], "OK")


class ReferenceWithTime(ForeignModule):
    """+CMGS tells a time, or an acknowledgement, behind the reference."""

    def send_submit_result(self):
        self.send_response([f'+CMGS: {self.reference}, "26/11/22,12:00:00+00"'], "OK")


class CnmiModeTwoRejected(ForeignModule):
    """Of +CNMI mode 2 is offered and refused; five values are wanted, and mode 3 does nothing."""

    def do_cnmi(self, value):
        if value.startswith("=") and value != "=?":
            given = value[1:].split(",")
            if len(given) != 5 or given[0] != "1" or given[4] != "1":
                return "+CMS ERROR: 303"
        return super().do_cnmi(value)


class AlternatingStores(ForeignModule):
    """What arrives lies in the second of two stores by turns; each counts for itself."""

    stores = ("SM", "ME")

    def __init__(self, loop, say):
        super().__init__(loop, say)
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

    def with_selected_slots(self, does, value):
        """Do it with what lies in the chosen store alone."""
        whole, self.slots = self.slots, self.slots_in_selected()
        told, kept = does(value), self.slots
        self.slots = {
            index: slot
            for index, slot in whole.items()
            if self.store_by_index[index] != self.selected_store or index in kept
        }
        return told

    def do_cmgl(self, value):
        return self.with_selected_slots(super().do_cmgl, value)

    def do_cmgr(self, value):
        return self.with_selected_slots(super().do_cmgr, value)

    def do_cmgd(self, value):
        return self.with_selected_slots(super().do_cmgd, value)


class EchoBackAfterSending(ForeignModule):
    """After each message that leaves the echo is on again."""

    def send_submit_result(self):
        super().send_submit_result()
        self.echo = True


class RestartsAfterSending(ForeignModule):
    """A minute after a message left it starts anew, says so, and has forgotten all but its messages."""

    def send_submit_result(self):
        super().send_submit_result()
        self.loop.call_later(60, self.restart)

    def restart(self):
        self.echo, self.cnmi, self.text_mode, self.entered_text = True, [0, 0, 0, 0, 0], 0, None
        for delay, line in enumerate(("RDY", "+CFUN: 1", "+CPIN: READY", "SMS Ready")):
            self.loop.call_later(delay, self.send_urc, line)


class LengthInNotification(ForeignModule):
    """+CMTI has the length behind the index, and a blank before each value."""

    def send_urc(self, *lines):
        super().send_urc(*(re.sub(r'^(\+CMTI): ("\w+"),(\d+)$', r"\1:  \2 , \3, 24", line) for line in lines))


class PaddedListEntries(ForeignModule):
    """Digits of a list come with blanks at the start of the line, the index with zeros."""

    def format_list_entry(self, index, slot):
        return f"+CMGL: {index:03},{slot[0]},,{tpdu_length(slot[1])}{self.line_end}  {slot[1]}"
