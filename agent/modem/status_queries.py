"""Query registration, signal and identity."""

from __future__ import annotations

import itertools
import re
from enum import IntEnum

from agent.at.client import CommandExchange
from agent.at.command import AtCommand, ResponsePattern
from agent.at.errors import CommandRefused
from agent.at.parameters import parse_values
from agent.modem.at_commands import read_command
from agent.modem.text_mode_codec import decode_setting
from hardware.profile import DriverProfile
from pdu.record import Record

QUERY_TIMEOUT_S = 10.0
"""A76xx allows 9 s for most queries."""


class RegistrationState(IntEnum):
    """<stat> of +CREG, +CGREG and +CEREG (27.007 7.2)."""

    NOT_REGISTERED = 0
    HOME = 1
    SEARCHING = 2
    DENIED = 3
    UNKNOWN = 4
    ROAMING = 5
    SMS_ONLY_HOME = 6
    SMS_ONLY_ROAMING = 7
    EMERGENCY_ONLY = 8
    CSFB_NOT_PREFERRED_HOME = 9
    CSFB_NOT_PREFERRED_ROAMING = 10
    EMERGENCY_ONLY_ACCESS = 11
    """Access to RLOS (restricted local operator services)."""


_HOME_STATES = frozenset(
    {
        RegistrationState.HOME,
        RegistrationState.SMS_ONLY_HOME,
        RegistrationState.CSFB_NOT_PREFERRED_HOME,
    }
)
SMS_CAPABLE_STATES = _HOME_STATES | {
    RegistrationState.ROAMING,
    RegistrationState.SMS_ONLY_ROAMING,
    RegistrationState.CSFB_NOT_PREFERRED_ROAMING,
}
_STATE_TEXTS = {
    RegistrationState.DENIED: "registration denied",
    RegistrationState.SEARCHING: "searching",
    RegistrationState.EMERGENCY_ONLY: "emergency calls only",
    RegistrationState.EMERGENCY_ONLY_ACCESS: "emergency calls only",
    RegistrationState.UNKNOWN: "registration unknown",
    RegistrationState.NOT_REGISTERED: "not registered",
}
"""The states without SMS, the most important first."""
REGISTRATION_DOMAINS = ("+CREG", "+CGREG", "+CEREG")
"""Circuit switched, GPRS, EPS."""

_READ_FORM_RE = re.compile(
    r"""
      [^,]*,\s*"?\s*\d+\s*"?\s*$             # two values: after an area code comes a cell
    | [^,]*,\s*0?\d{1,2}\s*,                 # <stat> has two digits at most, an area code has four
    | [^,]*,\s*0*\d{1,2}\s*,\s*"             # padded; an area code and its cell are both quoted, or neither
    | 0\d+\s*,\s*0*\d{1,2}\s*,              # <n> and <stat> padded
    | "[^,]*,\s*"\s*0*\d{1,2}\s*"\s*,        # <n> and <stat> quoted
    """,
    re.VERBOSE,
)
"""Matches the values of an answer, which begins with <n>: `2,5,...`. A URC does not: `5,"1A2B",...`."""


class Registration(Record):
    """<stat> in each domain; None if the module does not report it."""

    circuit: int | None = None
    packet: int | None = None
    eps: int | None = None

    @property
    def states(self) -> tuple[int, ...]:
        """The known <stat> values."""
        return tuple(state for state in (self.circuit, self.packet, self.eps) if state is not None)

    @property
    def _states_by_domain(self) -> tuple[tuple[str, int | None], ...]:
        return (("circuit", self.circuit), ("packet", self.packet), ("EPS", self.eps))

    @property
    def can_send(self) -> bool:
        """True if any domain carries SMS. If no state is known, an attempt to send shows it."""
        return not self.states or any(state in SMS_CAPABLE_STATES for state in self.states)

    def with_state(self, domain: str, state: int) -> Registration:
        """Return a copy with another <stat> in one domain, which is named by its command."""
        states = {"+CREG": self.circuit, "+CGREG": self.packet, "+CEREG": self.eps} | {domain: state}
        return Registration(*(states[name] for name in REGISTRATION_DOMAINS))

    def __str__(self) -> str:
        if not self.states:
            return "registration unknown"
        if self.can_send:
            is_home = any(state in _HOME_STATES for state in self.states)
            text = "registered, home" if is_home else "registered, roaming"
            denied = ", ".join(
                name for name, state in self._states_by_domain if state == RegistrationState.DENIED
            )
            return f"{text} (registration denied: {denied})" if denied else text
        return next(
            (text for state, text in _STATE_TEXTS.items() if state in self.states), "registration unknown"
        )


class Signal(Record):
    """The signal strength."""

    dbm: int | None
    """None if it is unknown or not detectable, which is normal on LTE-only modules."""

    def __str__(self) -> str:
        return "signal unknown" if self.dbm is None else f"signal {self.dbm} dBm"


class Identity(Record):
    """The identity of the module and its SIM. A field is empty if the module does not report it."""

    manufacturer: str = ""
    model: str = ""
    revision: str = ""
    imei: str = ""
    imsi: str = ""
    iccid: str = ""


def registration_command(domain: str) -> AtCommand:
    """Return the read form of a registration command."""
    return AtCommand(
        f"AT{domain}?", QUERY_TIMEOUT_S, (ResponsePattern(domain, _READ_FORM_RE),), requires_information=True
    )


def parse_registration(line: str) -> tuple[int | None, int | None]:
    """Return <n> and <stat> of an answer or a URC; <n> is None in a URC and in an answer without it."""
    values = parse_values(line)
    if _READ_FORM_RE.match(line.partition(":")[2].strip()):
        return values.get(0).number, values.get(1).number
    return None, values.get(0).number


REJECT_CAUSES = {
    2: "the SIM is unknown to the network",
    3: "the SIM is not allowed",
    6: "this device (IMEI) is not allowed",
    7: "packet services are not allowed for this SIM",
    8: "neither packet nor other services are allowed for this SIM",
    11: "this network is not allowed for the SIM",
    12: "this area is not allowed for the SIM",
    13: "roaming is not allowed in this area",
    14: "packet services are not allowed in this network",
    15: "no suitable cell in this area",
    17: "the network has a failure",
    18: "the network gives no circuit switched services, or no SMS",
    19: "the network rejected the data connection (APN)",
    22: "the network is congested",
    35: "the requested service is not authorised in this network",
}
"""What <reject_cause> means for an operator (24.008 10.5.3.6 and 10.5.5.14, 24.301 9.9.3.9)."""


def parse_reject_cause(line: str) -> int | None:
    """Return <reject_cause> at the end of an answer with <n> 3 or more (27.007 7.2); None without one."""
    values = parse_values(line)
    is_read = _READ_FORM_RE.match(line.partition(":")[2].strip()) is not None
    first = 2 if is_read else 1  # <lac>, <ci>, <AcT>, then <rac> of +CGREG, then <cause_type>
    numbers = [values.get(at) for at in range(first + 3, first + 6)]
    for kind, cause in itertools.pairwise(numbers):
        if kind.number == 0 and cause.number:
            return cause.number
    return None


async def query_registration(
    client: CommandExchange, domains: tuple[str, ...], previous: Registration
) -> Registration:
    """Query each domain. One that is refused, or answers in an unknown form, keeps its previous state.

    Raises CommandTimedOut, ModemLost.
    """
    for domain in domains:
        try:
            response = await client.exchange(registration_command(domain))
        except CommandRefused:
            continue
        _, state = parse_registration(response.text)
        if state is not None:
            previous = previous.with_state(domain, state)
    return previous


async def query_functionality(client: CommandExchange) -> int | None:
    """Return <fun> of +CFUN? (27.007 8.2); None if the module does not report it.

    Raises CommandTimedOut, ModemLost.
    """
    try:
        response = await client.exchange(read_command("+CFUN"))
    except CommandRefused:
        return None
    return parse_values(response.text).get(0).number


async def query_signal(client: CommandExchange) -> Signal:
    """Query +CSQ (27.007 8.5). A refusal counts as unknown. Raises CommandTimedOut, ModemLost."""
    try:
        response = await client.exchange(
            AtCommand("AT+CSQ", QUERY_TIMEOUT_S, (ResponsePattern("+CSQ"),), requires_information=True)
        )
    except CommandRefused:
        return Signal(None)
    rssi = parse_values(response.text).get(0).number
    return Signal(-113 + 2 * rssi if rssi is not None and rssi <= 31 else None)


_DIGITS_RE = re.compile(r"\d{5,}")
_ICCID_RE = re.compile(r"89\d{10,}F?")
_NAMED_LINE_RE = re.compile(r"[+^*#%$!&]?\w[\w ]*:")


async def query_identity(client: CommandExchange, driver: DriverProfile) -> Identity:
    """Query the identity. Its free text is shown to the operator; nothing depends on it.

    Raises CommandTimedOut, ModemLost.
    """
    manufacturer = await _query_text(client, "+CGMI")
    return Identity(
        manufacturer,
        await _query_text(client, "+CGMM"),
        await _query_text(client, "+CGMR"),
        await _query_text(client, "+CGSN", _DIGITS_RE),
        await _query_text(client, "+CIMI", _DIGITS_RE),
        await query_iccid(client, driver, manufacturer),
    )


async def _query_text(
    client: CommandExchange, name: str, pattern: re.Pattern[str] | None = None, response_name: str = ""
) -> str:
    """Return the value of an answer of free text; empty if the command is refused.

    `pattern`: matches the value, which blanks and dashes may divide into groups. `response_name`: the name
    that the module may write before the value. Lines with it are preferred, then lines without any name.
    """
    response_name = response_name or name
    command = AtCommand(
        f"AT{name}",
        QUERY_TIMEOUT_S,
        (ResponsePattern(response_name), ResponsePattern()),
        requires_information=True,
    )
    try:
        lines = [line.text for line in (await client.exchange(command)).information]
    except CommandRefused:
        return ""
    lines.sort(key=lambda line: (not line.startswith(response_name), _NAMED_LINE_RE.match(line) is not None))
    for line in lines:
        if pattern is None:
            value = parse_values(line).get(0).text if line[:1] in {"+", "^", "%", "!"} else line
            return decode_setting(value.strip().strip('"')).removeprefix("Revision:").strip()
        groups = line.removeprefix(response_name).strip(': "')
        if (found := pattern.search(re.sub("[ -]", "", decode_setting(groups)))) is not None:
            return found[0]
    return ""


async def query_iccid(client: CommandExchange, driver: DriverProfile, manufacturer: str = "") -> str:
    """Query the ICCID of the SIM; empty if the module does not report it.

    Each maker has its own command: the one of the profile is tried first, then the usual one of the maker,
    then the others. Raises CommandTimedOut, ModemLost.
    """
    names = {"+CCID": "+CCID", "+QCCID": "+QCCID", "+CICCID": "+ICCID", "+ICCID": "+ICCID"}
    first = {"QUECTEL": "+QCCID", "SIMCOM": "+CICCID", "TELIT": "+ICCID"}
    likely = next((name for vendor, name in first.items() if vendor in manufacturer.upper()), "+CCID")
    if driver.iccid_command:
        likely = driver.iccid_command.removeprefix("AT")
        names[likely] = (driver.iccid_prefix or likely).rstrip(":?")
    for name in sorted(names, key=lambda name: name != likely):
        if number := await _query_text(client, name, _ICCID_RE, names[name]):
            return number.rstrip("Ff")
    return ""
