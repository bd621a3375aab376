"""The AT commands that read and write a setting."""

from __future__ import annotations

from agent.at.command import AtCommand, ResponsePattern

SETTING_TIMEOUT_S = 10.0
"""A76xx allows 9 s for settings."""
CFUN_TIMEOUT_S = 30.0
"""+CFUN=1 was seen to take 14 s; Quectel allows 15 s."""


def set_command(line: str, timeout_s: float = SETTING_TIMEOUT_S) -> AtCommand:
    """Return a command that is answered by OK alone."""
    return AtCommand(line, timeout_s)


def read_command(name: str, suffix: str = "?") -> AtCommand:
    """Return the read form of a setting, or its test form with the suffix `=?`."""
    return AtCommand(
        f"AT{name}{suffix}", SETTING_TIMEOUT_S, (ResponsePattern(name),), requires_information=True
    )


def cnmi_command(values: tuple[int, ...]) -> AtCommand:
    """Return +CNMI with these values."""
    return set_command(f"AT+CNMI={','.join(map(str, values))}")
