"""Explain why no module answers on a port, from the lines received there instead of an answer."""

from __future__ import annotations

import re
from collections.abc import Iterable

from agent.at.events import NoiseKind
from hardware.recording import redact_pins

_PPP_FRAME = re.compile(r"~(?:(?:\xff|\\xff)(?:\}#|\x03|\\x03)|(?:\x00|\\x00)?!E)")
"""The start of a PPP frame, as octets or escaped for display: address and control field, with or without
octet stuffing (RFC 1662 3.1 and 7.1), or, if both sides omit these, the protocol number of IP and its
version."""
_KERNEL_LOG_LINE = re.compile(r"\[ *\d+\.\d{3,}\] ")
"""The start of a line of the kernel's log: seconds since the boot."""


def has_ppp_frame(line: str) -> bool:
    """Return True if a PPP frame begins in this line."""
    return _PPP_FRAME.search(line) is not None


def explain_no_answer(recent_lines: Iterable[str], *, is_data_mode: bool) -> str:
    """Return a clause on the lines received last, for an operator who looks for the right port."""
    lines = list(recent_lines)
    if is_data_mode:
        return "the port is in data mode (PPP); another program has dialled on it"
    if not lines:
        return "nothing came back (wrong port, module off, or another baud rate)"
    if any(line.startswith(("$GP", "$GN")) for line in lines):
        return "only positions are received ($GP..., NMEA): this is the GNSS port of the module"
    if any("login:" in line for line in lines):
        return "a login console is on this port; disable serial-getty for it"
    if any(_KERNEL_LOG_LINE.search(line) for line in lines):
        return "the kernel writes its log to this port; remove its console= from the kernel's command line"
    if any(NoiseKind.NON_TEXT.value in line for line in lines):
        return f"only {lines[-1]} (another baud rate?)"
    return f"the last line received was {redact_pins(lines[-1])!r}"
