"""Identify the module and load the profile that drives it.

The profile is named by the configuration, found by the USB id, or found by the answers to at most two
commands. A module that no profile knows is driven by the standards alone, without loss of function.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum, auto

from agent.at.client import CommandExchange
from agent.at.command import AtCommand, ResponsePattern
from agent.at.errors import CommandRefused, CommandTimedOut
from hardware import identify, profile
from hardware.identify import GENERIC, PortInfo
from hardware.profile import DriverProfile
from pdu.record import Record

AUTO_PROFILE = "auto"
IDENTIFY_TIMEOUT_S = 3.0
"""The module has just answered, so it is awake; a slower answer is not worth the wait."""
_IDENTIFY_COMMANDS = tuple(
    AtCommand(line, IDENTIFY_TIMEOUT_S, (ResponsePattern(may_repeat=True),)) for line in ("AT+CGMM", "ATI")
)


class ProfileSource(Enum):
    """The source of a profile."""

    DEFAULT = auto()
    """Nothing was configured and nothing was queried."""
    CONFIGURED = auto()
    USB_ID = auto()
    ANSWER = auto()
    """The module named itself."""
    NO_MATCH = auto()
    """No profile matches what the module answered."""


class IdentifiedProfile(Record):
    """The profile of a module and how it was found."""

    name: str = GENERIC
    source: ProfileSource = ProfileSource.DEFAULT
    evidence: str = ""
    """The USB id or the command by whose answer it was found."""
    driver: DriverProfile = DriverProfile()

    def __str__(self) -> str:
        match self.source:
            case ProfileSource.CONFIGURED:
                return f"{self.name} (as configured)"
            case ProfileSource.USB_ID:
                return f"{self.name} (by its USB id {self.evidence})"
            case ProfileSource.ANSWER:
                return f"{self.name} (by its answer to {self.evidence})"
            case ProfileSource.NO_MATCH:
                return f"{self.name} (no profile matches its answers)"
            case ProfileSource.DEFAULT:
                return self.name


async def identify_module(client: CommandExchange, configured: str, port_info: PortInfo) -> IdentifiedProfile:
    """Return the profile of a module that answers. `configured` is a name or "auto".

    Raises ModemLost, and ProfileError for a name without a profile.
    """
    if configured != AUTO_PROFILE:
        source = ProfileSource.CONFIGURED if configured != GENERIC else ProfileSource.DEFAULT
        return IdentifiedProfile(configured, source, driver=profile.load_driver_profile(configured))
    if len(port_info.profiles) == 1:
        name = port_info.profiles[0]
        driver = profile.load_driver_profile(name)
        return IdentifiedProfile(name, ProfileSource.USB_ID, port_info.usb_id, driver)
    answers: list[str] = []
    for command in _IDENTIFY_COMMANDS:
        try:
            response = await client.exchange(command)
        except CommandRefused:
            continue
        except CommandTimedOut:
            break
        answers += [line.text for line in response.information]
        if (name := identify.match_answers(answers, port_info.profiles)) != GENERIC:
            driver = profile.load_driver_profile(name)
            return IdentifiedProfile(name, ProfileSource.ANSWER, command.line, driver)
    return IdentifiedProfile(GENERIC, ProfileSource.NO_MATCH)


def command_timeouts(driver: DriverProfile) -> Mapping[str, float]:
    """Return the longest response times that the maker documents, in seconds by name of the command."""
    timeouts = {
        "+CMGR": driver.cmgr_timeout_s,
        "+CMGL": driver.cmgl_timeout_s,
        "+CMGD": driver.cmgd_timeout_s,
        "+COPS": driver.cops_timeout_s,
        "+CFUN": driver.cfun_timeout_s,
        "+CPIN": driver.cpin_timeout_s,
    }
    return {name: seconds for name, seconds in timeouts.items() if seconds is not None}
