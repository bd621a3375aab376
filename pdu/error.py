"""The one error of the codec: what is wrong, in which field, at which octet."""

from __future__ import annotations


class PduError(ValueError):
    """Octets that are no valid PDU, or values that no PDU can carry.

    ``field`` is the dotted path of the field (``deliver.originating_address.length``), ``octet`` the offset
    of the octet in the octets given (None when encoding), ``reason`` what is wrong with it.
    """

    def __init__(self, field: str, octet: int | None, reason: str) -> None:
        super().__init__(field, octet, reason)
        self.field = field
        self.octet = octet
        self.reason = reason

    def __str__(self) -> str:
        place = self.field if self.octet is None else f"{self.field} at octet {self.octet}"
        return f"{place}: {self.reason}"
