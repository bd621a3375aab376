"""Durations and times as people write them in requests, in scenarios and on the command line."""

from __future__ import annotations

import re
from datetime import UTC, datetime

from hardware.table import format_value

MAX_DURATION_S = 366 * 86400 * 10
"""Ten years: longer than anything the services keep, and no date beyond it is out of range."""

FIRST_YEAR, END_YEAR = 1980, 2070
"""The years that the time stamp of an SMS can hold; the second one is beyond them."""

_UNITS = {"w": 604800.0, "d": 86400.0, "h": 3600.0, "m": 60.0, "s": 1.0}
_NUMBER = r"([0-9]+(?:\.[0-9]+)?)"
_SHORT_FORM = re.compile(rf"(?:{_NUMBER}w)?(?:{_NUMBER}d)?(?:{_NUMBER}h)?(?:{_NUMBER}m)?(?:{_NUMBER}s?)?")
_ISO_FORM = re.compile(
    rf"p(?:{_NUMBER}w)?(?:{_NUMBER}d)?(?:t(?=[0-9])(?:{_NUMBER}h)?(?:{_NUMBER}m)?(?:{_NUMBER}s)?)?"
)


def parse_duration(value: object) -> float:
    """Return seconds from a number, from `1h30m`, `24h`, `0.5s`, or from ISO 8601 (`PT24H`, `P30D`).

    Raises ValueError with what it must be, to be completed by the name of the key.
    """
    if isinstance(value, int | float) and not isinstance(value, bool):
        seconds = min(max(value, -1.0), 2.0 * MAX_DURATION_S)  # a whole number may be too large for a float
    elif isinstance(value, str) and (match := _match(value.lower())):
        numbers = zip(match.groups(), _UNITS.values(), strict=True)
        seconds = sum(float(number) * unit for number, unit in numbers if number is not None)
    else:
        raise ValueError(
            f'it must be seconds, or a duration such as "24h", "1h30m" or "P30D", not {format_value(value)}'
        )
    if not 0 <= seconds <= MAX_DURATION_S:  # NaN is not in this range either
        raise ValueError("it must be a duration from 0 to ten years")
    return float(seconds)


def parse_time(text: str) -> datetime:
    """Return the time that ISO 8601 text names, in UTC unless it says otherwise; raises ValueError."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(
            f'it must be a time such as "2026-11-01T00:00:00Z", not {format_value(text)}'
        ) from None
    if not FIRST_YEAR <= moment.year < END_YEAR:
        raise ValueError(
            f"it must be a time from {FIRST_YEAR} to {END_YEAR - 1}, which the time stamp of an SMS can hold"
        )
    return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)


def _match(text: str) -> re.Match[str] | None:
    match = _ISO_FORM.fullmatch(text) or _SHORT_FORM.fullmatch(text)
    return match if match and any(match.groups()) else None
