"""Which module it is, and so by which profile it is driven.

The configuration says it, or the place on USB does, or the module: two questions at the most. A module that
refuses them or answers nothing known is driven by the standards alone, which is no loss of function.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from agent.at.channel import Channel
from agent.at.command import Answer, AtCommand
from agent.at.error import CommandRefused, CommandTimedOut
from hardware import identify, profile
from hardware.identify import GENERIC, Place
from hardware.profile import DriverProfile

AUTO = "auto"
ASKED_S = 3.0
"""The module has just answered; what it takes longer for than this is not worth the wait."""
_QUESTIONS = tuple(AtCommand(line, ASKED_S, (Answer(many=True),)) for line in ("AT+CGMM", "ATI"))


@dataclass(frozen=True, slots=True)
class Known:
    """The profile of a module."""

    name: str = GENERIC
    how: str = ""
    """What it was found by; empty for the one that is taken without looking."""
    driver: DriverProfile = field(default_factory=DriverProfile)

    def __str__(self) -> str:
        return f"{self.name} ({self.how})" if self.how else self.name


async def know(channel: Channel, wanted: str, place: Place) -> Known:
    """The profile of the module on this channel, which answers. Raises ModemLost, ProfileError.

    `wanted`: a name, or "auto".
    """
    if wanted != AUTO:
        return Known(wanted, "as configured" if wanted != GENERIC else "", profile.driver(wanted))
    if len(place.profiles) == 1:
        return Known(place.profiles[0], f"by its USB id {place.ids}", profile.driver(place.profiles[0]))
    answers: list[str] = []
    for question in _QUESTIONS:
        try:
            response = await channel.exchange(question)
        except CommandRefused:
            continue
        except CommandTimedOut:
            break
        answers += [line.text for line in response.information]
        if (name := identify.by_answers(answers, place.profiles)) != GENERIC:
            return Known(name, f"by its answer to {question.line}", profile.driver(name))
    return Known(GENERIC, "it says nothing that a profile knows")


def longest(driver: DriverProfile) -> Mapping[str, float]:
    """The maker's longest times by name of the command; what nobody has published is left out."""
    times = {
        "+CMGR": driver.cmgr_timeout_s,
        "+CMGL": driver.cmgl_timeout_s,
        "+CMGD": driver.cmgd_timeout_s,
        "+COPS": driver.cops_timeout_s,
        "+CFUN": driver.cfun_timeout_s,
        "+CPIN": driver.cpin_timeout_s,
    }
    return {name: seconds for name, seconds in times.items() if seconds is not None}
