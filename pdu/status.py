"""The delivery status of a message (TP-ST, 23.040 9.2.3.15) and failure causes (TP-FCS, 9.2.3.22)."""

from __future__ import annotations

from enum import Enum


class DeliveryOutcome(Enum):
    """The outcome of a delivery, in the groups of TP-ST."""

    DELIVERED = "delivered"  # received, forwarded without confirmation, or replaced
    TRYING = "trying"  # a temporary error; the service centre keeps trying and sends another report
    FAILED = "failed"  # a permanent error
    GAVE_UP = "gave up"  # a temporary error, but the service centre does not try again

    @property
    def final(self) -> bool:
        """True if no other report follows."""
        return self is not DeliveryOutcome.TRYING


_TEMPORARY_ERRORS = (
    "congestion",
    "recipient busy",
    "no response from the recipient",
    "service rejected",
    "quality of service not available",
    "error in the recipient",
)

STATUS_NAMES = {
    0x00: "received by the recipient",
    0x01: "forwarded, delivery cannot be confirmed",
    0x02: "replaced by the service centre",
    **{0x20 + number: name for number, name in enumerate(_TEMPORARY_ERRORS)},
    0x40: "remote procedure error",
    0x41: "incompatible destination",
    0x42: "connection rejected by the recipient",
    0x43: "not obtainable",
    0x44: "quality of service not available",
    0x45: "no interworking available",
    0x46: "validity period expired",
    0x47: "deleted by the sender",
    0x48: "deleted by the service centre",
    0x49: "message does not exist",
    **{0x60 + number: name for number, name in enumerate(_TEMPORARY_ERRORS)},
}

FAILURE_CAUSE_NAMES = {
    0x80: "telematic interworking not supported",
    0x81: "type 0 not supported",
    0x82: "message cannot be replaced",
    0x8F: "unspecified protocol identifier error",
    0x90: "alphabet not supported",
    0x91: "message class not supported",
    0x9F: "unspecified data coding scheme error",
    0xA0: "command cannot be actioned",
    0xA1: "command not supported",
    0xAF: "unspecified command error",
    0xB0: "message type not supported",
    0xC0: "service centre busy",
    0xC1: "no subscription with the service centre",
    0xC2: "service centre system failure",
    0xC3: "invalid address",
    0xC4: "destination barred",
    0xC5: "duplicate rejected",
    0xC6: "validity period format not supported",
    0xC7: "validity period not supported",
    0xD0: "SIM storage full",
    0xD1: "no storage in the SIM",
    0xD2: "error in the device",
    0xD3: "memory capacity exceeded",
    0xD4: "SIM toolkit busy",
    0xD5: "SIM data download error",
    0xFF: "unspecified",
}


def classify_status(status: int) -> DeliveryOutcome:
    """Return the outcome of a TP-ST. Reserved values count as 0x63, a temporary error without a retry."""
    if status <= 0x02 or 0x10 <= status <= 0x1F:
        return DeliveryOutcome.DELIVERED
    if 0x20 <= status <= 0x25 or 0x30 <= status <= 0x3F:
        return DeliveryOutcome.TRYING
    if 0x40 <= status <= 0x49 or 0x50 <= status <= 0x5F:
        return DeliveryOutcome.FAILED
    return DeliveryOutcome.GAVE_UP


def describe_status(status: int) -> str:
    """Return the description of a TP-ST."""
    if (name := STATUS_NAMES.get(status)) is not None:
        return name
    if 0x10 <= status <= 0x1F or (status < 0x80 and status & 0x10):
        return "specific to the service centre"
    return "reserved, counts as service rejected"
