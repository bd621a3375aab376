"""Which Command an agent has received, and which Command a message from a SIM answers.

The messages do not always say so: Super SIM sends no SID with a Command, and a reply has one only if the
device puts it there.
"""

from __future__ import annotations

import re
from collections import deque
from typing import NamedTuple

MAX_REMEMBERED = 64
"""Number of the latest Commands and replies of a SIM that are remembered."""

_SID = re.compile(r"\b(?:DC|HC)[0-9a-f]{32}\b")


class AnsweredCommand(NamedTuple):
    """The Command that a message from the SIM answers, and how that is known."""

    sid: str
    evidence: str


class SimCorrelation:
    """The latest Commands of one SIM."""

    def __init__(self) -> None:
        self._offered: deque[tuple[str, str | bytes | None]] = deque(maxlen=MAX_REMEMBERED)
        """SID and body of the Commands that no agent has reported as received, oldest first."""
        self._announced: deque[tuple[str, str | bytes]] = deque(maxlen=MAX_REMEMBERED)
        """SID of the Command and content of each reply that an agent passes to the module."""
        self._acknowledged: str | None = None
        """SID of the last Command that the module acknowledged, until a message follows."""

    def add_offered(self, sid: str, body: str | bytes | None) -> None:
        """Remember a Command that is offered to the module for the first time."""
        self._offered.append((sid, body))

    def add_acknowledged(self, sid: str) -> None:
        """Remember the last Command that the module acknowledged."""
        self._acknowledged = sid

    def claim_received(self, sid: str | None, content: str | bytes | None) -> str | None:
        """Return the SID of the Command that an agent has received; None if it is not known here.

        Without a SID it is the oldest one with that content that no agent has claimed.
        """
        for offered in self._offered:
            if offered[0] == sid or (sid is None and content is not None and offered[1] == content):
                self._offered.remove(offered)
                return offered[0]
        return sid

    def announce_reply(self, sid: str, content: str | bytes) -> None:
        """Remember a reply that an agent passes to the module now."""
        self._announced.append((sid, content))

    def find_answered(self, body: str | bytes | None) -> AnsweredCommand | None:
        """Return the Command that a message from the SIM answers; each counts once."""
        for announced in self._announced:
            if announced[1] == body:
                self._announced.remove(announced)
                self._acknowledged = None
                return AnsweredCommand(announced[0], "the agent says which Command it answers")
        sid, self._acknowledged = self._acknowledged, None
        if isinstance(body, str) and (written := _SID.search(body)):
            return AnsweredCommand(written[0], "it contains the SID")
        if sid is not None:
            return AnsweredCommand(sid, "taken for the reply: it is the first message after the Command")
        return None
