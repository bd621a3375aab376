"""Which module it is, and so by which profile it is driven.

The configuration says it, or the place on USB does, or the module: two questions at the most. A module that
refuses them or answers nothing known is driven by the standards alone, which is no loss of function.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from agent.at.client import AtClient
from agent.at.command import AtCommand, ResponsePattern
from agent.at.errors import CommandRefused, CommandTimedOut
from hardware import identify, profile
from hardware.identify import GENERIC, PortInfo
from hardware.profile import DriverProfile

AUTO_PROFILE = "auto"
IDENTIFY_TIMEOUT_S = 3.0
"""The module has just answered; what it takes longer for than this is not worth the wait."""
_IDENTIFY_COMMANDS = tuple(
    AtCommand(line, IDENTIFY_TIMEOUT_S, (ResponsePattern(may_repeat=True),)) for line in ("AT+CGMM", "ATI")
)


@dataclass(frozen=True, slots=True)
class IdentifiedProfile:
    """The profile of a module."""

    name: str = GENERIC
    found_by: str = ""
    """What it was found by; empty for the one that is taken without looking."""
    driver: DriverProfile = field(default_factory=DriverProfile)

    def __str__(self) -> str:
        return f"{self.name} ({self.found_by})" if self.found_by else self.name


async def identify_module(client: AtClient, configured: str, port_info: PortInfo) -> IdentifiedProfile:
    """The profile of the module on this channel, which answers. Raises ModemLost, ProfileError.

    `wanted`: a name, or "auto".
    """
    if configured != AUTO_PROFILE:
        return IdentifiedProfile(
            configured,
            "as configured" if configured != GENERIC else "",
            profile.load_driver_profile(configured),
        )
    if len(port_info.profiles) == 1:
        return IdentifiedProfile(
            port_info.profiles[0],
            f"by its USB id {port_info.usb_id}",
            profile.load_driver_profile(port_info.profiles[0]),
        )
    answers: list[str] = []
    for question in _IDENTIFY_COMMANDS:
        try:
            response = await client.exchange(question)
        except CommandRefused:
            continue
        except CommandTimedOut:
            break
        answers += [line.text for line in response.information]
        if (name := identify.match_answers(answers, port_info.profiles)) != GENERIC:
            return IdentifiedProfile(
                name, f"by its answer to {question.line}", profile.load_driver_profile(name)
            )
    return IdentifiedProfile(GENERIC, "it says nothing that a profile knows")


def command_timeouts(driver: DriverProfile) -> Mapping[str, float]:
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
