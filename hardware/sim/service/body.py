r"""User data of a Command: its body, with the SID if requested, checked against the length limits.

Text with all characters in GSM 03.38 has 160 septets, of which `^ { } [ ] ~ \ |` and the euro sign take two.
Other text is sent as UCS-2 with 70 units. The SID with its space takes 35 of either.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pdu
from hardware.sim.service.errors import invalid_parameter

if TYPE_CHECKING:
    from hardware.sim.service.product import Product
    from hardware.sim.service.request import CreateRequest

MAX_SEPTETS = 160
MAX_UCS2_UNITS = 70
SID_CHARACTERS = 35
"""34 characters and a space. The vendor's document allows 128 characters beside a SID, but 125 fit."""


def build_user_data(
    product: Product, request: CreateRequest, sid: str, reference: int, *, split_long_text: bool = False
) -> tuple[pdu.UserData, ...]:
    """Return the user data of one SMS, or with `split_long_text` of several for a long text without SID.

    `reference` (0 to 255) is the concatenation reference of a split text. Raises ServiceError if the body
    does not fit.
    """
    if request.data is not None:
        return pdu.segment(request.data)
    limit = MAX_UCS2_UNITS if pdu.septets(request.body) is None else MAX_SEPTETS
    text = request.body
    if request.include_sid != "none":
        limit -= SID_CHARACTERS
        split_long_text = False
        text = f"{sid} {text}" if request.include_sid == "start" else f"{text} {sid}"
    length = _length(request.body)
    if length > limit and not split_long_text:
        unit = "UCS-2 units" if pdu.septets(request.body) is None else "septets"
        reason = f"it has {length} {unit}, and one SMS carries at most {limit}"
        raise invalid_parameter(product.body_parameter, reason)
    try:
        return pdu.segment(text, reference=reference)
    except pdu.PduError as error:
        raise invalid_parameter(product.body_parameter, str(error)) from error


def _length(text: str) -> int:
    """Return the length in septets, or in UCS-2 units if a character is not in GSM 03.38."""
    septets = pdu.septets(text)
    return len(text.encode("utf-16-be")) // 2 if septets is None else septets
