"""Times and durations in words."""

from __future__ import annotations

from datetime import datetime

_UNITS = ((86400, "d"), (3600, "h"), (60, "min"), (1, "s"))


def format_duration(seconds: float) -> str:
    """Return a duration with its two largest units, such as `2 h 5 min`."""
    left = max(0, round(seconds))
    parts: list[str] = []
    for size, unit in _UNITS:
        count, left = divmod(left, size)
        if count or (unit == "s" and not parts):
            parts.append(f"{count} {unit}")
        elif parts:
            break  # `2 d 5 s` would pretend to more precision than it has
    return " ".join(parts[:2])


def format_time(text: str | None, now: float) -> str:
    """Return a time of the journal in local time, with the date unless it is today; "" for None.

    `text` is ISO 8601 with its zone, `now` seconds since 1970.
    """
    if text is None:
        return ""
    moment = datetime.fromisoformat(text).astimezone()
    is_today = moment.date() == datetime.fromtimestamp(now).astimezone().date()
    return moment.strftime("%H:%M:%S" if is_today else "%Y-%m-%d %H:%M:%S")


def format_ago(text: str | None, now: float) -> str:
    """Return how long ago a time was, such as `3 min 2 s ago`; "" for None.

    A time in the future, of a clock that was wrong, is written in full.
    """
    if text is None:
        return ""
    age = now - datetime.fromisoformat(text).timestamp()
    return f"{format_duration(age)} ago" if age >= -1 else f"at {format_time(text, now)}"


def seconds_between(earlier: str | None, later: str | None) -> float | None:
    """Return the seconds between two times, None if one is unknown or the clock went back."""
    if earlier is None or later is None:
        return None
    seconds = (datetime.fromisoformat(later) - datetime.fromisoformat(earlier)).total_seconds()
    return seconds if seconds >= 0 else None
