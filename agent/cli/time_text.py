"""Times and durations in words. Times are in seconds since 1970."""

from __future__ import annotations

from datetime import datetime

_UNITS = ((86400, "d"), (3600, "h"), (60, "min"), (1, "s"))


def parse_time(text: str | None) -> float | None:
    """Return a time in ISO 8601 with its zone; None for None."""
    return None if text is None else datetime.fromisoformat(text).timestamp()


def format_duration(seconds: float) -> str:
    """Return a duration with its two largest units, such as `2 h 5 min`; short ones have decimals."""
    if seconds < 10:
        return f"{max(0.0, seconds):.1f}".removesuffix(".0") + " s"
    left = round(seconds)
    parts: list[str] = []
    for size, unit in _UNITS:
        count, left = divmod(left, size)
        if count:
            parts.append(f"{count} {unit}")
        elif parts:
            break  # `2 d 5 s` would pretend to more precision than it has
    return " ".join(parts[:2])


def format_time(moment: float | None, now: float) -> str:
    """Return a time by the local clock, with the date unless it is today; "" for None."""
    if moment is None:
        return ""
    local = datetime.fromtimestamp(moment).astimezone()
    is_today = local.date() == datetime.fromtimestamp(now).astimezone().date()
    return local.strftime("%H:%M:%S" if is_today else "%Y-%m-%d %H:%M:%S")


def format_ago(moment: float | None, now: float) -> str:
    """Return how long ago a time was, such as `3 min 2 s ago`; "" for None.

    A time in the future, of a clock that was wrong, is written in full.
    """
    if moment is None:
        return ""
    return f"{format_duration(now - moment)} ago" if now - moment >= -1 else f"at {format_time(moment, now)}"
