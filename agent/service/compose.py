"""Makes the messages of a reply: the alphabet, the SID in front, the length, the parts.

A reply must not cost more than the operator agreed to. So it is one message unless `max_parts` allows
more, what does not fit is cut and marked with ``..``, and characters that GSM 7-bit lacks become ``?``
unless `allow_ucs2` pays for 70-character messages.
"""

from __future__ import annotations

from dataclasses import dataclass

import pdu
from agent.service.profile import ServiceProfile

TRUNCATION_MARK = ".."


@dataclass(frozen=True, slots=True)
class ReplyConfig:
    """What the operator allows; the keys of ``[service]`` in agent.toml."""

    reply_sid: str = "none"
    max_parts: int = 1
    allow_ucs2: bool = False


class ComposeError(ValueError):
    """The service cannot carry this reply; the text says why."""


def compose(
    content: str | bytes, sid: str | None, service: ServiceProfile, config: ReplyConfig, reference: int
) -> tuple[pdu.UserData, ...]:
    """The user data of each message, at most `max_parts` of them.

    `reference` (0 to 255) joins the parts where there are several. Raises CannotCompose for octets on a
    service without binary Commands, and for octets that `max_parts` messages cannot hold: half a binary
    answer is no answer.
    """
    if isinstance(content, bytes):
        if not service.supports_binary:
            raise ComposeError(f"{service.name} carries no binary answer")
        parts = pdu.segment(content, reference=reference)
        if len(parts) > config.max_parts:
            raise ComposeError(f"a binary answer of {len(content)} octets needs {len(parts)} messages")
        return parts
    if sid is not None and config.reply_sid == "start":
        content = f"{sid} {content}"
    if pdu.septets(content) is None and not config.allow_ucs2:
        content = "".join(c if pdu.septets(c) is not None else "?" for c in content)
    return _truncate_to_fit(content, reference, config.max_parts)


def _truncate_to_fit(text: str, reference: int, max_parts: int) -> tuple[pdu.UserData, ...]:
    """The longest beginning of the text that fits, with its mark; found by halving."""
    text = text[: 160 * max_parts + 1]  # no character takes less than a septet
    parts = pdu.segment(text, reference=reference)
    if len(parts) <= max_parts:
        return parts
    low, high = 0, len(text)
    while low < high:
        middle = (low + high + 1) // 2
        if len(pdu.segment(text[:middle] + TRUNCATION_MARK, reference=reference)) <= max_parts:
            low = middle
        else:
            high = middle - 1
    return pdu.segment(text[:low] + TRUNCATION_MARK, reference=reference)
