"""How the module fares: registration, signal, and who it is."""

from __future__ import annotations

import re
from dataclasses import dataclass

from agent.at.client import AtClient
from agent.at.command import AtCommand, ResponsePattern
from agent.at.errors import CommandRefused
from agent.at.parameters import parse_values
from hardware.profile import DriverProfile

QUERY_TIMEOUT_S = 10.0
"""A76xx allows 9 s for most queries."""

HOME, SEARCHING, DENIED, ROAMING = 1, 2, 3, 5
SMS_CAPABLE_STATES = frozenset({1, 5, 6, 7, 9, 10})
"""<stat> of 27.007 7.2: home, roaming, and the same for SMS only or with CSFB not preferred. 8 and 11 are
emergency calls only."""
_STATE_NAMES = {
    0: "not registered",
    2: "searching",
    3: "registration denied",
    4: "registration unknown",
    8: "emergency calls only",
    11: "emergency calls only",
}
REGISTRATION_DOMAINS = ("+CREG", "+CGREG", "+CEREG")
"""Circuit switched, GPRS, EPS."""

# The read form has <n> first, the unsolicited code has not: `+CREG: 2,5,...` and `+CREG: 5,"1A2B",...`.
# A second value of one or two digits without quotes is <stat>; an area code has four digits.
_READ_FORM_RE = re.compile(r"[0-5]\s*,\s*\d{1,2}\s*(,|$)")


@dataclass(frozen=True, slots=True)
class Registration:
    """<stat> in each domain, None where the module does not tell."""

    circuit: int | None = None
    packet: int | None = None
    eps: int | None = None

    @property
    def states(self) -> tuple[int, ...]:
        """Those that are known."""
        return tuple(state for state in (self.circuit, self.packet, self.eps) if state is not None)

    @property
    def _states_by_domain(self) -> tuple[tuple[str, int | None], ...]:
        return (("circuit", self.circuit), ("packet", self.packet), ("EPS", self.eps))

    @property
    def can_send(self) -> bool:
        """Whether any domain carries SMS. Where nothing is known, sending will tell."""
        return not self.states or any(state in SMS_CAPABLE_STATES for state in self.states)

    def with_state(self, domain: str, state: int) -> Registration:
        """With another state in one domain."""
        states = {"+CREG": self.circuit, "+CGREG": self.packet, "+CEREG": self.eps} | {domain: state}
        return Registration(*(states[name] for name in REGISTRATION_DOMAINS))

    def __str__(self) -> str:
        if not self.states:
            return "registration unknown"
        if self.can_send:
            roaming = not any(state in {1, 6, 9} for state in self.states)
            said = "registered, roaming" if roaming else "registered, home"
            denied = ", ".join(name for name, state in self._states_by_domain if state == DENIED)
            return f"{said} ({_STATE_NAMES[DENIED]}: {denied})" if denied else said
        worst = next((state for state in (3, 2, 8, 11, 4, 0) if state in self.states), 4)
        return _STATE_NAMES[worst]


@dataclass(frozen=True, slots=True)
class Signal:
    """Strength of the signal."""

    dbm: int | None
    """None: not known or not detectable, which is normal on LTE-only modules."""

    def __str__(self) -> str:
        return "signal unknown" if self.dbm is None else f"signal {self.dbm} dBm"


@dataclass(frozen=True, slots=True)
class Identity:
    """Who the module and its SIM are; empty where it does not tell."""

    manufacturer: str = ""
    model: str = ""
    revision: str = ""
    imei: str = ""
    imsi: str = ""
    iccid: str = ""


def registration_command(domain: str) -> AtCommand:
    """The read form of a registration command."""
    return AtCommand(
        f"AT{domain}?", QUERY_TIMEOUT_S, (ResponsePattern(domain, _READ_FORM_RE),), requires_information=True
    )


def parse_registration(line: str) -> tuple[int | None, int | None]:
    """<n> and <stat> of an answer."""
    found = parse_values(line)
    return found.get(0).number, found.get(1).number


def parse_registration_urc(line: str) -> int | None:
    """<stat> of an unsolicited code, or of an answer that came so late that nobody waits for it any more."""
    _, _, told = line.partition(":")
    n_or_state, state = parse_registration(line)
    return state if _READ_FORM_RE.match(told.strip()) else n_or_state


async def query_registration(
    client: AtClient, domains: tuple[str, ...], previous: Registration
) -> Registration:
    """Ask in each domain; one that gives no answer of the known form keeps what it was last."""
    for domain in domains:
        try:
            response = await client.exchange(registration_command(domain))
        except CommandRefused:
            continue
        _, state = parse_registration(response.text)
        if state is not None:
            previous = previous.with_state(domain, state)
    return previous


async def query_signal(client: AtClient) -> Signal:
    """+CSQ, 27.007 8.5. A module that does not know it has no signal to tell of."""
    try:
        response = await client.exchange(
            AtCommand("AT+CSQ", QUERY_TIMEOUT_S, (ResponsePattern("+CSQ"),), requires_information=True)
        )
    except CommandRefused:
        return Signal(None)
    rssi = parse_values(response.text).get(0).number
    return Signal(-113 + 2 * rssi if rssi is not None and rssi <= 31 else None)


_DIGITS_RE = re.compile(r'"?\d{5,}')
_ICCID_RE = re.compile(r'"?89\d{10,}F?')


async def query_identity(client: AtClient, driver: DriverProfile) -> Identity:
    """What the module tells of itself. Free text is for people; nothing is decided by it."""
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
    client: AtClient, name: str, pattern: re.Pattern[str] | None = None, response_name: str = ""
) -> str:
    command = AtCommand(
        f"AT{name}",
        QUERY_TIMEOUT_S,
        (ResponsePattern(response_name or name), ResponsePattern(value_pattern=pattern)),
        requires_information=True,
    )
    try:
        text = (await client.exchange(command)).text
    except CommandRefused:
        return ""
    found = parse_values(text).get(0).text if text[:1] in {"+", "^", "%", "!"} else text
    return found.strip().strip('"').removeprefix("Revision:").strip()


async def query_iccid(client: AtClient, driver: DriverProfile, manufacturer: str = "") -> str:
    """The number of the SIM, empty where it is not told; each maker has a name of its own for it.

    The profile's comes first, then the likely one of the maker, then the others.
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
