"""Quirks of modules: behaviour that the driver must know and that no other key of a profile expresses.

Profiles list them in `[driver] quirks` by the values of `Quirk`; an unknown name is refused.
"""

from __future__ import annotations

from enum import Enum


class Quirk(Enum):
    """A quirk; the value is its name in a profile."""

    # unsolicited result codes (URCs)
    URCS_ON_ONE_PORT = "urcs-on-one-port"
    URCS_ON_CNMI_PORT = "urcs-on-cnmi-port"
    URCS_NEED_DTR = "urcs-need-dtr"
    NO_URCS_WHILE_AUTOBAUDING = "no-urcs-while-autobauding"

    # start
    WAKES_SLOWLY = "wakes-slowly"
    EARLY_BOOT_URC = "early-boot-urc"
    BOOT_URCS_REPEAT = "boot-urcs-repeat"
    BOOT_URCS_UNORDERED = "boot-urcs-unordered"
    BOOT_URCS_OPTIONAL = "boot-urcs-optional"
    SOME_VARIANTS_WITHOUT_SMS = "some-variants-without-sms"
    SETTINGS_WRITE_FLASH = "settings-write-flash"

    # messages
    CNMA_REQUIRED = "cnma-required"
    CNMI_NEEDS_MODE = "cnmi-needs-mode"
    ONE_SMS_CLIENT = "one-sms-client"
    CPMS_STORE_IGNORED = "cpms-store-ignored"
    CMTI_WITHOUT_INDEX = "cmti-without-index"
    ALPHA_OPTIONAL = "alpha-optional"
    FOUR_DIGIT_YEARS = "four-digit-years"
    SEND_ALONE_ON_LINE = "send-alone-on-line"
    LATE_SEND_FAILURE = "late-send-failure"
    CALLS_DISTURB_SMS = "calls-disturb-sms"
    SMS_ONLY_REGISTRATION = "sms-only-registration"

    # UART and hardware lines
    WANTS_FLOW_CONTROL = "wants-flow-control"
    AT_ON_UART_ONLY = "at-on-uart-only"
    ICCID_PREFIX_OPTIONAL = "iccid-prefix-optional"
    RESET_LINE_IS_POWER_KEY = "reset-line-is-power-key"
    RESET_LINE_UNSAFE = "reset-line-unsafe"
    GETPORTMODE_CRASHES = "getportmode-crashes"


_DESCRIPTIONS = {
    Quirk.URCS_ON_ONE_PORT: "URCs appear only on the port that a setting selects",
    Quirk.URCS_ON_CNMI_PORT: "URCs for messages appear on the port on which +CNMI was set last",
    Quirk.URCS_NEED_DTR: "URCs are withheld while DTR is not asserted",
    Quirk.NO_URCS_WHILE_AUTOBAUDING: "there are no URCs until the rate has been detected from an AT",
    Quirk.WAKES_SLOWLY: "the first AT after power-on may need several tries",
    Quirk.EARLY_BOOT_URC: "the first boot URC comes before commands work",
    Quirk.BOOT_URCS_REPEAT: "the boot URCs may come twice, with others between them",
    Quirk.BOOT_URCS_UNORDERED: "the order of the last boot URCs varies",
    Quirk.BOOT_URCS_OPTIONAL: "a setting or the firmware decides whether boot URCs come",
    Quirk.SOME_VARIANTS_WITHOUT_SMS: "variants of this module have no SMS at all",
    Quirk.SETTINGS_WRITE_FLASH: "setting +CNMI or +CPMS writes to flash: write only values that differ",
    Quirk.CNMA_REQUIRED: "a +CMT that is not acknowledged under +CSMS=1 ends direct delivery",
    Quirk.CNMI_NEEDS_MODE: "+CNMI: <mt> 3 and <ds> 1 need <mode> 1, <mt> 2 needs <mode> 1 or 2",
    Quirk.ONE_SMS_CLIENT: "only one client receives messages; after +CMS ERROR: 524 it must set +CNMI again",
    Quirk.CPMS_STORE_IGNORED: "messages may be stored in another memory than the one set with +CPMS",
    Quirk.CMTI_WITHOUT_INDEX: "+CMTI may come without a store and with the index -1",
    Quirk.ALPHA_OPTIONAL: "headers of text mode may lack <alpha> and its comma",
    Quirk.FOUR_DIGIT_YEARS: "timestamps of text mode may have years of four digits",
    Quirk.SEND_ALONE_ON_LINE: "+CMGS and +CMGW must be the only command on their line",
    Quirk.LATE_SEND_FAILURE: "a refusal of +CMGS was seen after the documented maximum response time",
    Quirk.CALLS_DISTURB_SMS: "call commands and message commands disturb each other",
    Quirk.SMS_ONLY_REGISTRATION: "the registration status may be 6 or 7 (SMS only), which is sufficient",
    Quirk.WANTS_FLOW_CONTROL: "the maker strongly recommends RTS/CTS flow control",
    Quirk.AT_ON_UART_ONLY: "only the UART accepts AT commands; USB is for diagnostics",
    Quirk.ICCID_PREFIX_OPTIONAL: "the ICCID may come without its prefix",
    Quirk.RESET_LINE_IS_POWER_KEY: "the reset line is tied to the power key and may switch the module off",
    Quirk.RESET_LINE_UNSAFE: "the reset line may leave the module beyond recovery: never use it",
    Quirk.GETPORTMODE_CRASHES: "^GETPORTMODE crashes a sister module with the same USB id: never send it",
}


def describe_quirk(quirk: Quirk) -> str:
    """Return a description of the quirk, as part of a sentence."""
    return _DESCRIPTIONS[quirk]
