r"""What of a Command goes over the air: its body, with the SID where it was asked for, measured and cut.

Text whose characters are all in GSM 03.38 has 160 septets, `^ { } [ ] ~ \ |` and the euro sign count two;
other text goes as UCS-2 with 70 units. The SID with its space takes 35 of either.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pdu
from hardware.sim.service.error import invalid

if TYPE_CHECKING:
    from hardware.sim.service.product import Overlong, Product, Rules
    from hardware.sim.service.request import Order

SEPTETS = 160
UNITS = 70
SID = 35
"""34 characters and a space."""
DOCUMENTED_WITH_SID = 128
"""What the vendor's document allows beside a SID: 160 - 32, which forgets two letters and the space."""


def compose(
    product: Product, rules: Rules, order: Order, sid: str, reference: int
) -> tuple[pdu.UserData, ...]:
    """The user data of one SMS, or of several where a rule says so; raises ServiceError when it does not fit.

    `reference` (0 to 255) is the concatenation reference, should it be needed.
    """
    if order.data is not None:
        return pdu.segment(order.data)
    wide = pdu.septets(order.body) is None
    if wide and not rules.ucs2:
        raise invalid(product.parameter, "it has characters that are not in GSM 03.38")
    room = UNITS if wide else SEPTETS
    rule: Overlong = rules.long_text
    text = order.body
    if order.include_sid != "none":
        room -= SID
        rule = rules.include_sid_overrun if _length(text) <= DOCUMENTED_WITH_SID and not wide else "refuse"
        text = f"{sid} {text}" if order.include_sid == "start" else f"{text} {sid}"
    if _length(order.body) > room:
        if rule == "refuse":
            raise invalid(product.parameter, _too_long(_length(order.body), room, wide=wide))
        if rule == "cut":
            text = cut(text)
    try:
        return pdu.segment(text, reference=reference)
    except pdu.PduError as error:
        raise invalid(product.parameter, str(error)) from error


def cut(text: str) -> str:
    """As much from the start as one SMS carries; neither an escape nor a surrogate pair is split."""
    if pdu.septets(text) is None:
        return text.encode("utf-16-be")[: 2 * UNITS].decode("utf-16-be", errors="ignore")
    text = text[:SEPTETS]
    while _length(text) > SEPTETS:
        text = text[:-1]
    return text


def _length(text: str) -> int:
    """In septets, or in UCS-2 units when a character is not in GSM 03.38."""
    septets = pdu.septets(text)
    return len(text.encode("utf-16-be")) // 2 if septets is None else septets


def _too_long(length: int, room: int, *, wide: bool) -> str:
    what = "UCS-2 units" if wide else "septets"
    return f"it has {length} {what}, and one SMS has room for {room}"
