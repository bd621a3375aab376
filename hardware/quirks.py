"""Quirks of modules: behaviour that the driver must know and that no other key of a profile expresses.

Profiles list them in `[driver] quirks` by the values of `Quirk`; an unknown name is refused.
"""

from __future__ import annotations

from enum import Enum


class Quirk(Enum):
    """A quirk; the value is its name in a profile."""

    # unsolicited result codes (URCs)
    URCS_ON_CNMI_PORT = "urcs-on-cnmi-port"
    """URCs for messages appear on the port on which +CNMI was set last."""
    NO_URCS_WHILE_AUTOBAUDING = "no-urcs-while-autobauding"
    """There are no URCs until the rate has been detected from an AT."""

    # start
    EARLY_BOOT_URC = "early-boot-urc"
    """The first boot URC comes before commands work."""
    BOOT_URCS_OPTIONAL = "boot-urcs-optional"
    """A setting or the firmware decides whether boot URCs come."""
    SOME_VARIANTS_WITHOUT_SMS = "some-variants-without-sms"
    """Variants of this module have no SMS at all."""

    # messages
    CNMI_NEEDS_MODE = "cnmi-needs-mode"
    """+CNMI: <mt> 3 and <ds> 1 need <mode> 1, <mt> 2 needs <mode> 1 or 2."""
    ONE_SMS_CLIENT = "one-sms-client"
    """Only one client receives messages; after +CMS ERROR: 524 it must set +CNMI again."""
    LATE_SEND_FAILURE = "late-send-failure"
    """A refusal of +CMGS was seen after the documented maximum response time."""

    # UART and hardware lines
    WANTS_FLOW_CONTROL = "wants-flow-control"
    """The maker strongly recommends RTS/CTS flow control."""
    RESET_LINE_IS_POWER_KEY = "reset-line-is-power-key"
    """The reset line is tied to the power key and may switch the module off."""
    RESET_LINE_UNSAFE = "reset-line-unsafe"
    """The reset line may leave the module beyond recovery: never use it."""
