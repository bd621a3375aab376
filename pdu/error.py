"""The error of the codec, with field, octet and reason."""

from __future__ import annotations


class PduError(ValueError):
    """The octets are not a valid PDU, or a PDU cannot carry the values.

    ``field`` is the dotted path of the field (``deliver.originating_address.length``), ``octet`` the offset
    of the octet in the octets given (None when encoding), ``reason`` what is wrong with it.
    """

    def __init__(self, field: str, octet: int | None, reason: str) -> None:
        super().__init__(field, octet, reason)
        self.field = field
        self.octet = octet
        self.reason = reason

    def __str__(self) -> str:
        location = self.field if self.octet is None else f"{self.field} at octet {self.octet}"
        return f"{location}: {self.reason}"
