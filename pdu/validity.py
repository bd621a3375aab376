"""Validity periods: how long the service centre tries to deliver (TP-VP, 23.040 9.2.3.12)."""

from __future__ import annotations

from datetime import timedelta

from pdu.error import PduError
from pdu.record import Record
from pdu.timestamp import Timestamp

_MINUTE, _DAY = 60, 86400


class RelativeValidity(Record):
    """One octet: from 5 minutes (0) to 63 weeks (255)."""

    octet: int

    @property
    def duration(self) -> timedelta:
        """The duration that the octet means."""
        return timedelta(seconds=relative_seconds(self.octet))

    @classmethod
    def of(cls, duration: timedelta) -> RelativeValidity:
        """Return the shortest period of at least ``duration``. Raises PduError above 63 weeks."""
        seconds = duration.total_seconds()
        for octet in range(256):
            if relative_seconds(octet) >= seconds:
                return cls(octet)
        raise PduError("validity_period", None, f"{duration} is longer than 63 weeks")


class EnhancedValidity(Record):
    """Seven octets: an indicator, then the value that it announces (9.2.3.12.3)."""

    octets: bytes

    @property
    def single_shot(self) -> bool:
        """True if the service centre must try only once."""
        return bool(self.octets[0] & 0x40)

    @property
    def duration(self) -> timedelta | None:
        """The period; None if the indicator announces none."""
        at = 1
        while self.octets[at - 1] & 0x80 and at < 7:  # another indicator octet follows
            at += 1
        rest = self.octets[at:]
        match self.octets[0] & 7:
            case 1 if rest:
                return timedelta(seconds=relative_seconds(rest[0]))
            case 2 if rest:
                return timedelta(seconds=rest[0])
            case 3 if len(rest) >= 3:
                hours, minutes, seconds = ((octet & 15) * 10 + (octet >> 4) for octet in rest[:3])
                return timedelta(hours=hours, minutes=minutes, seconds=seconds)
        return None


ValidityPeriod = RelativeValidity | EnhancedValidity | Timestamp


def relative_seconds(octet: int) -> int:
    """Return the duration of a relative validity period in seconds."""
    if octet < 144:
        return (octet + 1) * 5 * _MINUTE
    if octet < 168:
        return _DAY // 2 + (octet - 143) * 30 * _MINUTE
    if octet < 197:
        return (octet - 166) * _DAY
    return (octet - 192) * 7 * _DAY
