"""Rules of the services that the user of a sandbox may choose."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceRules:
    """The rules of all services of one account."""

    split_long_text: bool = False
    """True: a long text is sent in parts. Whether the real services do so is not documented."""
    max_commands: int = 100_000
    """Number of Commands that each service keeps; 100,000 need about 300 MB while all wait for their SIMs.
    If there are more, the oldest go, at least one in a hundred at a time."""
