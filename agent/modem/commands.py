"""The two shapes that nearly all settings have."""

from __future__ import annotations

from agent.at.command import Answer, AtCommand

SETTING_S = 10.0
"""A76xx allows 9 s for settings."""


def write(line: str, timeout_s: float = SETTING_S) -> AtCommand:
    """A command whose answer is OK."""
    return AtCommand(line, timeout_s)


def read(name: str, form: str = "?") -> AtCommand:
    """The read form of a setting, or its test form `=?`."""
    return AtCommand(f"AT{name}{form}", SETTING_S, (Answer(name),), informs=True)


def routing(values: tuple[int, ...]) -> AtCommand:
    """+CNMI with these values."""
    return write(f"AT+CNMI={','.join(map(str, values))}")
