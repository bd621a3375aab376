"""Habits of modules that a driver must know, by the names that profiles use.

A quirk is a habit that no table of values can say. Profiles name them in `[driver] quirks`; a name that does
not stand here is refused. The sentences are for people: `describe` gives them.
"""

from __future__ import annotations

from enum import Enum


class Quirk(Enum):
    """Name in a profile."""

    # codes
    CODES_ON_ONE_PORT = "codes-on-one-port"
    CODES_WHERE_CNMI_WAS_SET = "codes-where-cnmi-was-set"
    CODES_NEED_DTR = "codes-need-dtr"
    NO_CODES_WHILE_AUTOBAUDING = "no-codes-while-autobauding"

    # start
    WAKES_SLOWLY = "wakes-slowly"
    EARLY_BOOT_CODE = "early-boot-code"
    BOOT_CODES_REPEAT = "boot-codes-repeat"
    BOOT_CODES_UNORDERED = "boot-codes-unordered"
    BOOT_CODES_OPTIONAL = "boot-codes-optional"
    SOME_VARIANTS_WITHOUT_SMS = "some-variants-without-sms"
    SAVES_SETTINGS = "saves-settings"

    # messages
    CNMA_OR_NOTHING = "cnma-or-nothing"
    CNMI_NEEDS_MODE = "cnmi-needs-mode"
    ONE_SMS_CLIENT = "one-sms-client"
    STORES_ELSEWHERE = "stores-elsewhere"
    CMTI_WITHOUT_INDEX = "cmti-without-index"
    ALPHA_MAY_LACK = "alpha-may-lack"
    FOUR_DIGIT_YEARS = "four-digit-years"
    SEND_ALONE_ON_LINE = "send-alone-on-line"
    LATE_SEND_FAILURE = "late-send-failure"
    CALLS_DISTURB_SMS = "calls-disturb-sms"
    SMS_ONLY_REGISTRATION = "sms-only-registration"

    # line and pins
    WANTS_FLOW_CONTROL = "wants-flow-control"
    AT_ON_UART_ONLY = "at-on-uart-only"
    ICCID_PREFIX_MAY_LACK = "iccid-prefix-may-lack"
    RESET_LINE_IS_POWER_KEY = "reset-line-is-power-key"
    NO_RESET_LINE = "no-reset-line"
    NO_GETPORTMODE = "no-getportmode"


_SENTENCES = {
    Quirk.CODES_ON_ONE_PORT: "unsolicited codes come out of the one port that a setting names",
    Quirk.CODES_WHERE_CNMI_WAS_SET: "codes for messages come out of the port on which +CNMI was set last",
    Quirk.CODES_NEED_DTR: "unsolicited codes are held back while DTR is not asserted",
    Quirk.NO_CODES_WHILE_AUTOBAUDING: "it says nothing by itself until it has found the rate from an AT",
    Quirk.WAKES_SLOWLY: "the first AT after power-on may need several tries",
    Quirk.EARLY_BOOT_CODE: "the first boot code comes before commands work",
    Quirk.BOOT_CODES_REPEAT: "the boot codes may come twice, with others between them",
    Quirk.BOOT_CODES_UNORDERED: "the order of the last boot codes is not fixed",
    Quirk.BOOT_CODES_OPTIONAL: "a setting or the firmware decides whether boot codes come",
    Quirk.SOME_VARIANTS_WITHOUT_SMS: "variants of this module have no SMS at all",
    Quirk.SAVES_SETTINGS: "setting +CNMI or +CPMS writes to flash memory: only write what differs",
    Quirk.CNMA_OR_NOTHING: "a +CMT that is not acknowledged under +CSMS=1 ends direct delivery",
    Quirk.CNMI_NEEDS_MODE: "+CNMI: <mt> 3 and <ds> 1 need <mode> 1, <mt> 2 needs <mode> 1 or 2",
    Quirk.ONE_SMS_CLIENT: "one client receives messages; +CMS ERROR: 524 means that it must set +CNMI again",
    Quirk.STORES_ELSEWHERE: "messages may be stored in another memory than +CPMS names",
    Quirk.CMTI_WITHOUT_INDEX: "+CMTI may come without a store and with the index -1",
    Quirk.ALPHA_MAY_LACK: "headers of text mode may lack <alpha> and its comma",
    Quirk.FOUR_DIGIT_YEARS: "timestamps of text mode may have years of four digits",
    Quirk.SEND_ALONE_ON_LINE: "+CMGS and +CMGW share a command line with nothing",
    Quirk.LATE_SEND_FAILURE: "a refusal of +CMGS was seen later than the longest time that is documented",
    Quirk.CALLS_DISTURB_SMS: "call commands and message commands disturb each other",
    Quirk.SMS_ONLY_REGISTRATION: "registration may be 6 or 7: for SMS only, which is enough",
    Quirk.WANTS_FLOW_CONTROL: "RTS/CTS is strongly recommended by the maker",
    Quirk.AT_ON_UART_ONLY: "AT commands are taken on the UART only; USB is for diagnostics",
    Quirk.ICCID_PREFIX_MAY_LACK: "the ICCID may be answered without its prefix",
    Quirk.RESET_LINE_IS_POWER_KEY: "the reset line is tied to the power key and may switch the module off",
    Quirk.NO_RESET_LINE: "the reset line may leave the module beyond recovery: never use it",
    Quirk.NO_GETPORTMODE: "^GETPORTMODE crashes a sister module with the same USB id: never send it",
}


def describe(quirk: Quirk) -> str:
    """The habit, as part of a sentence."""
    return _SENTENCES[quirk]
