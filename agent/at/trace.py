r"""The two-way trace: every octet between us and the module, with its time.

One line for each piece that was read or written: seconds on the loop's clock, `<` for what the module says
and `>` for what it is told, and the octets with CR and LF visible:

    1042.118351 < \r\n+CMTI: "ME",3\r\n
    1042.118902 > AT+CMGR=3\r
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

_HIDDEN = re.compile(r"[^\x20-\x5b\x5d-\x7e]")
_SHORT = {"\r": r"\r", "\n": r"\n", "\\": r"\\"}


@dataclass(frozen=True, slots=True)
class Trace:
    """Writes lines without their end to `write`. What messages say is among them."""

    write: Callable[[str], None]

    def received(self, data: bytes, at: float) -> None:
        """Octets from the module; `at` in seconds on the loop's clock."""
        self.write(f"{at:.6f} < {visible(data)}")

    def sent(self, data: bytes, at: float) -> None:
        """Octets to the module."""
        self.write(f"{at:.6f} > {visible(data)}")


def visible(data: bytes) -> str:
    """Octets as one line of ASCII."""
    return _HIDDEN.sub(lambda octet: _SHORT.get(octet[0], f"\\x{ord(octet[0]):02x}"), data.decode("latin-1"))
