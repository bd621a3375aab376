"""Finds the Command SID in a text: only a complete one, at the very start or at the very end.

On request, a service includes the SID as ``SID body`` or ``body SID``. A truncated text may contain a part of
a SID; a part does not identify a Command, so it stays in the body.
"""

from __future__ import annotations

SID_LENGTH = 34
"""``[DH]C`` and 32 hexadecimal digits."""

SID_PREFIXES = ("DC", "HC")
_HEX_DIGITS = frozenset("0123456789abcdefABCDEF")


def is_sid(text: str) -> bool:
    """Return True if the text is one complete Command SID (hexadecimal digits of either case)."""
    return len(text) == SID_LENGTH and text.startswith(SID_PREFIXES) and _HEX_DIGITS.issuperset(text[2:])


def split_sid(text: str) -> tuple[str | None, str]:
    """Return the SID, or None, and the body without the SID and the space between them.

    The SID is normalised to the services' spelling, capital prefix and lower-case digits, so that two
    spellings of one SID compare equal. A SID at the start is followed by a space or the end of the text, one
    at the end is preceded by a space. If there is one at each end, the first counts and the other belongs to
    the body.
    """
    head, space, body = text[:SID_LENGTH], text[SID_LENGTH : SID_LENGTH + 1], text[SID_LENGTH + 1 :]
    if space in ("", " ") and is_sid(head):
        return _normalise_sid(head), body
    body, space, tail = text[: -SID_LENGTH - 1], text[-SID_LENGTH - 1 : -SID_LENGTH], text[-SID_LENGTH:]
    if space == " " and is_sid(tail):
        return _normalise_sid(tail), body
    return None, text


def _normalise_sid(sid: str) -> str:
    return sid[:2] + sid[2:].lower()
