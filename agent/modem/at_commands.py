"""The two shapes that nearly all settings have."""

from __future__ import annotations

from agent.at.command import AtCommand, ResponsePattern

SETTING_TIMEOUT_S = 10.0
"""A76xx allows 9 s for settings."""


def set_command(line: str, timeout_s: float = SETTING_TIMEOUT_S) -> AtCommand:
    """A command whose answer is OK."""
    return AtCommand(line, timeout_s)


def read_command(name: str, suffix: str = "?") -> AtCommand:
    """The read form of a setting, or its test form `=?`."""
    return AtCommand(
        f"AT{name}{suffix}", SETTING_TIMEOUT_S, (ResponsePattern(name),), requires_information=True
    )


def cnmi_command(values: tuple[int, ...]) -> AtCommand:
    """+CNMI with these values."""
    return set_command(f"AT+CNMI={','.join(map(str, values))}")
