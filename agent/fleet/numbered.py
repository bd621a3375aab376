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


def commanded_number(text: str | bytes | None) -> int | None:
    """Return the number of the Command that has a text; None if it is of no Command of the fleet."""
    return _number_after(HANDLER_WORD, text)


def replied_number(text: str | bytes | None) -> int | None:
    """Return the number of the Command that a text replies to; None if it replies to none."""
    return _number_after(_REPLY_WORD, text)


def _number_after(word: str, text: str | bytes | None) -> int | None:
    words = text.split() if isinstance(text, str) else []
    return int(words[1]) if len(words) > 1 and words[0] == word and words[1].isdigit() else None
