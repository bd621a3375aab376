"""Timestamps of the service centre: TP-SCTS, TP-DT and absolute validity periods (23.040 9.2.3.11)."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

from pdu.error import PduError
from pdu.record import Record

_SWAP_NIBBLES = bytes(octet >> 4 | octet << 4 & 0xF0 for octet in range(256))
_NON_DIGITS_TO_ZERO = str.maketrans("abcdef", "000000")


class Timestamp(Record):
    """Seven octets as received: year, month, day, hour, minute, second, zone, each with swapped digits.

    Invalid octets are kept too, so that a message with an invalid date can still be decoded.
    """

    octets: bytes

    @property
    def time(self) -> datetime | None:
        """The time with its offset from UTC, an aware datetime; None if the octets are not a valid date.

        A semi-octet that is not a decimal digit counts as 0. Years 70 to 99 are 19xx, 00 to 69 are 20xx. The
        zone is in quarters of an hour; bit 3 of its octet is the sign.
        """
        if len(self.octets) != 7:
            return None
        digits = self.octets.translate(_SWAP_NIBBLES).hex()
        if not digits[:12].isdecimal():
            digits = digits[:12].translate(_NON_DIGITS_TO_ZERO) + digits[12:]
        year = int(digits[:2])
        zone = self.octets[6]
        units = zone >> 4
        quarters = (zone & 7) * 10 + (units if units < 10 else 0)
        try:
            return datetime(
                year + (1900 if year >= 70 else 2000),
                int(digits[2:4]),
                int(digits[4:6]),
                int(digits[6:8]),
                int(digits[8:10]),
                int(digits[10:12]),
                tzinfo=timezone(timedelta(minutes=-15 * quarters if zone & 8 else 15 * quarters)),
            )
        except ValueError:
            return None

    @classmethod
    def of(cls, time: datetime) -> Timestamp:
        """Return the timestamp of an aware datetime from 1970 to 2069, without fractions of a second.

        Raises PduError for a time without offset, outside these years, or with an offset that is not a
        multiple of a quarter of an hour.
        """
        offset = time.utcoffset()
        if offset is None:
            raise PduError("timestamp", None, "a time needs its offset from UTC")
        if not 1970 <= time.year < 2070:
            raise PduError("timestamp", None, f"the year {time.year} is not from 1970 to 2069")
        minutes, rest = divmod(abs(offset), timedelta(minutes=1))
        quarters, odd = divmod(minutes, 15)
        if rest or odd or quarters > 79:
            raise PduError("timestamp", None, f"the offset {offset} is not 0 to 79 quarters of an hour")
        date = f"{time.year % 100:02}{time.month:02}{time.day:02}"  # strftime takes several times as long
        digits = f"{date}{time.hour:02}{time.minute:02}{time.second:02}{quarters:02}"
        octets = bytearray(bytes.fromhex(digits).translate(_SWAP_NIBBLES))
        if offset < timedelta(0):
            octets[6] |= 8
        return cls(bytes(octets))

    def __str__(self) -> str:
        time = self.time
        return self.octets.hex().upper() if time is None else time.isoformat(" ")
