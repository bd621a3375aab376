"""An SMS from anybody, as it comes to a SIM beside the Commands of the services."""

from __future__ import annotations

from datetime import UTC, datetime

import pdu


def parse_sender(sender: str) -> pdu.Address:
    """Parse a sender: digits are a telephone number, anything else is alphanumeric (23.040 9.1.2.5).

    Raises pdu.PduError.
    """
    if sender.removeprefix("+").strip("0123456789*#"):
        return pdu.Address(sender, pdu.TypeOfNumber.ALPHANUMERIC, pdu.NumberingPlan.UNKNOWN)
    return pdu.Address.parse(sender)


def check_sms(sender: str, content: str | bytes) -> None:
    """Raise pdu.PduError unless sender and content fit an SMS, or several."""
    address = parse_sender(sender)
    now = pdu.Timestamp.of(datetime(2026, 1, 1, tzinfo=UTC))
    for part in pdu.segment(content, reference=0):
        pdu.encode(pdu.Deliver(originating_address=address, service_centre_timestamp=now, user_data=part))
