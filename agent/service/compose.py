"""Composes the messages of a reply: alphabet, SID in front, length, parts.

A reply must not cost more than the operator agreed to. It is one message unless `max_parts` allows more, a
longer text is truncated and marked with ``..``, and characters outside GSM 7-bit become ``?`` unless
`allow_ucs2` allows messages of 70 characters.
"""

from __future__ import annotations

import pdu
from agent.service.profile import ServiceProfile
from pdu.record import Record

TRUNCATION_MARK = ".."


class ReplyConfig(Record):
    """The limits that the operator sets for replies: keys of ``[service]`` in agent.toml."""

    reply_sid: str = "none"
    """``start`` puts the SID of the Command in front of its reply."""
    max_parts: int = 1
    """Limit of the number of messages for one reply."""
    allow_ucs2: bool = False
    """True if replies may use UCS-2, which halves the length of a message."""


class Composition(Record):
    """The messages of one reply."""

    parts: tuple[pdu.UserData, ...]
    """The user data of each message."""
    omitted: int = 0
    """The number of characters at the end of the reply that did not fit into the messages."""


class ComposeError(ValueError):
    """The service cannot carry the reply; the text says why."""


def compose(
    content: str | bytes, sid: str | None, service: ServiceProfile, config: ReplyConfig, reference: int
) -> Composition:
    """Return the messages of the reply, at most `max_parts`.

    `reference` (0 to 255) joins the parts if there are several. Raises ComposeError for octets if the service
    has no binary Commands, and for octets that do not fit into `max_parts` messages: a truncated binary reply
    would be useless.
    """
    if isinstance(content, bytes):
        if not service.supports_binary:
            raise ComposeError(f"{service.name} cannot carry a binary reply")
        parts = pdu.segment(content, reference=reference)
        if len(parts) > config.max_parts:
            raise ComposeError(f"a binary reply of {len(content)} octets needs {len(parts)} messages")
        return Composition(parts)
    if sid is not None and config.reply_sid == "start":
        content = f"{sid} {content}"
    if pdu.septets(content) is None and not config.allow_ucs2:
        content = "".join(c if pdu.septets(c) is not None else "?" for c in content)
    return _truncate_to_fit(content, reference, config.max_parts)


def _truncate_to_fit(text: str, reference: int, max_parts: int) -> Composition:
    """Return the messages of the longest beginning of the text that fits, with its mark (binary search)."""
    length = len(text)
    text = text[: 160 * max_parts + 1]  # each character takes at least one septet
    parts = pdu.segment(text, reference=reference)
    if len(parts) <= max_parts:
        return Composition(parts)
    low, high = 0, len(text)
    while low < high:
        middle = (low + high + 1) // 2
        if len(pdu.segment(text[:middle] + TRUNCATION_MARK, reference=reference)) <= max_parts:
            low = middle
        else:
            high = middle - 1
    return Composition(pdu.segment(text[:low] + TRUNCATION_MARK, reference=reference), length - low)
