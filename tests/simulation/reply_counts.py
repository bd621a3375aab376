"""Compares the messages that the network received with the states of the replies in the journal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

SENT_STATES = {"sent", "delivered"}
"""The network accepted the message."""
UNSENT_STATES = {"queued"}
"""No octet of the body was written. In every other state the message may have reached the network."""


def find_wrong_reply_counts(received: Iterable[str], replies: Iterable[tuple[str, str]]) -> Iterator[str]:
    """Yield a sentence for each text that the network received too often or too seldom.

    `received` are the texts as the network received them, `replies` text and state of each reply in the
    journal. A reply that was sent was received once; one that may have been sent, once at most.
    """
    counts, least, most = Counter(received), Counter[str](), Counter[str]()
    for text, state in replies:
        least[text] += state in SENT_STATES
        most[text] += state not in UNSENT_STATES
    for text in {*counts, *most}:
        if not least[text] <= counts[text] <= most[text]:
            expected = least[text] if least[text] == most[text] else f"{least[text]} to {most[text]}"
            yield f"the reply {text!r} reached the network {counts[text]} times, not {expected}"
