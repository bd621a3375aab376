"""Text from outside as part of a line that is printed or logged."""

from __future__ import annotations


def escape_unprintable(text: str) -> str:
    """Replace each unprintable character by its escape, so that text from outside cannot forge a log line."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
