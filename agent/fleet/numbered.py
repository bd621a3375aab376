"""The texts of a Command and of its reply. Both carry the number of the Command, by which they are found."""

from __future__ import annotations

HANDLER_WORD = "read"
_REPLY_WORD = "reading"


def command_text(number: int) -> str:
    """Return the text of a Command."""
    return f"{HANDLER_WORD} {number}"


def reply_text(words: tuple[str, ...]) -> str:
    """Return the reply to a Command with these words."""
    return f"{_REPLY_WORD} {words[1]} 231.4 kWh"


def replied_number(text: str | bytes | None) -> int | None:
    """Return the number of the Command that a text replies to; None if it replies to none."""
    words = text.split() if isinstance(text, str) else []
    return int(words[1]) if len(words) > 1 and words[0] == _REPLY_WORD and words[1].isdigit() else None
