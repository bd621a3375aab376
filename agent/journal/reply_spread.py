"""How long a reply waits, so that the replies of many devices to one Command do not come all at once.

The wait depends only on the SIM and the Command: whoever knows both can compute it. The SIM is named by its
ICCID, because a SIM with several IMSIs changes its IMSI with the network.
"""

from __future__ import annotations

import hashlib
from random import Random


class ReplySpread:
    """Draws the wait of each reply between 0 and `max_s` seconds (`service.reply_spread_s`)."""

    def __init__(self, max_s: float, rng: Random) -> None:
        self._max_s = max_s
        self._rng = rng
        self._unknown_sim = ""
        """In place of the ICCID of a SIM that does not report it: such devices must differ, too."""

    def delay_s(self, iccid: str, command: str) -> float:
        """Return the wait of a reply in seconds, less than `max_s`; the same for the same arguments.

        `command` is the SID of the Command, or its service centre time stamp if it has none.
        """
        if not self._max_s:
            return 0.0
        if not iccid:
            iccid = self._unknown_sim = self._unknown_sim or f"{self._rng.getrandbits(64):016x}"
        digest = hashlib.sha256(f"{iccid} {command}".encode()).digest()
        return int.from_bytes(digest[:6]) / 2**48 * self._max_s
