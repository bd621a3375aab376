"""The Command SID in a text: found only whole, at the very start or at the very end.

A service that was told to include the SID writes ``SID body`` or ``body SID``. A text that was cut
somewhere on its way may hold a part of one; a part names no Command, so it is left in the body.
"""

from __future__ import annotations

SID_LENGTH = 34
"""``[DH]C`` and 32 hexadecimal digits."""

SID_PREFIXES = ("DC", "HC")
_HEX_DIGITS = frozenset("0123456789abcdefABCDEF")


def is_sid(text: str) -> bool:
    """Whether the text is one whole Command SID (hex digits of either case)."""
    return len(text) == SID_LENGTH and text.startswith(SID_PREFIXES) and _HEX_DIGITS.issuperset(text[2:])


def split_sid(text: str) -> tuple[str | None, str]:
    """The SID as the services write it, or None, and the body without it and the space that parted them.

    They write capitals in front and lower-case digits; so two spellings of one SID compare equal.

    At the start the SID stands before a space or the end of the text, at the end after a space.
    With one at each end the one at the start counts and the other belongs to the body.
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
