"""The form of dates in resources and callbacks."""

from __future__ import annotations

from datetime import UTC
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime


def format_date(time: datetime) -> str:
    """Format as UTC with whole seconds and `Z`; the vendor's client does not parse any other form."""
    utc = time if time.tzinfo is UTC else time.astimezone(UTC)
    return f"{utc.isoformat(timespec='seconds')[:19]}Z"
