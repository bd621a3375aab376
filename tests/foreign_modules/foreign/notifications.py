"""Quirks of notifications and of direct delivery."""

from foreign.base import ForeignModule


class DirectDeliveryOnly(ForeignModule):
    """It stores no messages and has no +CSMS: messages are delivered directly, without acknowledgement."""

    stores_messages = False

    def slot_range(self):
        return range(0)

    def do_cnmi(self, value):
        return ["+CNMI: (0-2),(2),(0),(0,1),(0)"] if value == "=?" else super().do_cnmi(value)


class DirectDeliveryWithoutLength(DirectDeliveryOnly):
    """Direct delivery; the header of +CMT has no length."""

    def deliver_direct(self, digits):
        self.send_urc("+CMT: ,", digits)


class DirectDeliveryWithSender(DirectDeliveryOnly):
    """Direct delivery; the header of +CMT has only the sender."""

    def deliver_direct(self, digits):
        self.send_urc('+CMT: "000"', digits)


class DirectDeliveryWithCnma(DirectDeliveryOnly):
    """Direct delivery with +CNMA; a message that is not acknowledged is delivered again after a minute."""

    stores_messages = True

    def __init__(self, loop, write):
        super().__init__(loop, write)
        self.csms_service, self.pending_acknowledgement = 0, None

    def do_csms(self, value):
        if value == "?":
            return [f"+CSMS: {self.csms_service},1,1,1"]
        self.csms_service = int(value[-1])
        return ["+CSMS: 1,1,1"]

    def accept_pdu(self, digits):
        if self.pending_acknowledgement is None and self.cnmi[1] == 2:
            self.pending_acknowledgement = self.loop.call_later(15, self.acknowledgement_missed)
            self.deliver_direct(digits)
        else:
            self.loop.call_later(60, self.deliver_waiting)
        return False

    def acknowledgement_missed(self):
        self.pending_acknowledgement, self.cnmi[1], self.cnmi[3] = None, 0, 0
        self.loop.call_later(60, self.deliver_waiting)

    def do_cnma(self, value):
        if value == "=?":
            return []
        if self.pending_acknowledgement is None:
            return "+CMS ERROR: 340"
        self.pending_acknowledgement.cancel()
        self.pending_acknowledgement = None
        del self.waiting_pdus[0]
        self.loop.call_later(1, self.deliver_waiting)
        return []


class EarlyNotification(ForeignModule):
    """+CMTI comes three seconds before the message can be read."""

    def accept_pdu(self, digits):
        free = next((index for index in self.slot_range() if index not in self.slots), None)
        if free is None:
            return False
        self.send_urc(f'+CMTI: "SM",{free}')
        self.loop.call_later(3, self.slots.__setitem__, free, [0, digits])
        return True


class NotificationNamesUnknownStore(ForeignModule):
    """+CMTI names a store that +CPMS does not list."""

    def send_urc(self, *lines):
        super().send_urc(*(line.replace('"SM"', '"MT"') for line in lines))


class CnmiRejected(ForeignModule):
    """+CNMI is refused with every value."""

    def do_cnmi(self, value):
        return None


class NoNotifications(ForeignModule):
    """+CNMI is accepted and read back, but notifications never come."""

    def send_urc(self, *lines):
        pass
