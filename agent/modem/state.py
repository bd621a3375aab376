"""How the module fares: registration, signal, and who it is."""

from __future__ import annotations

import re
from dataclasses import dataclass

from agent.at.channel import Channel
from agent.at.command import Answer, AtCommand
from agent.at.error import CommandRefused
from agent.at.parameters import values
from hardware.profile import DriverProfile

QUERY_S = 10.0
"""A76xx allows 9 s for most queries."""

HOME, SEARCHING, DENIED, ROAMING = 1, 2, 3, 5
SMS_CAPABLE = frozenset({1, 5, 6, 7, 9, 10})
"""<stat> of 27.007 7.2: home, roaming, and the same for SMS only or with CSFB not preferred. 8 and 11 are
emergency calls only."""
_WORDS = {
    0: "not registered",
    2: "searching",
    3: "registration denied",
    4: "registration unknown",
    8: "emergency calls only",
    11: "emergency calls only",
}
DOMAINS = ("+CREG", "+CGREG", "+CEREG")
"""Circuit switched, GPRS, EPS."""

# The read form has <n> first, the unsolicited code has not: `+CREG: 2,5,...` and `+CREG: 5,"1A2B",...`.
# A second value of one or two digits without quotes is <stat>; an area code has four digits.
_READ_FORM = re.compile(r"[0-5]\s*,\s*\d{1,2}\s*(,|$)")


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
    def _named(self) -> tuple[tuple[str, int | None], ...]:
        return (("circuit", self.circuit), ("packet", self.packet), ("EPS", self.eps))

    @property
    def can_send(self) -> bool:
        """Whether any domain carries SMS. Where nothing is known, sending will tell."""
        return not self.states or any(state in SMS_CAPABLE for state in self.states)

    def changed(self, domain: str, state: int) -> Registration:
        """With another state in one domain."""
        states = {"+CREG": self.circuit, "+CGREG": self.packet, "+CEREG": self.eps} | {domain: state}
        return Registration(*(states[name] for name in DOMAINS))

    def __str__(self) -> str:
        if not self.states:
            return "registration unknown"
        if self.can_send:
            roaming = not any(state in {1, 6, 9} for state in self.states)
            said = "registered, roaming" if roaming else "registered, home"
            denied = ", ".join(name for name, state in self._named if state == DENIED)
            return f"{said} ({_WORDS[DENIED]}: {denied})" if denied else said
        worst = next((state for state in (3, 2, 8, 11, 4, 0) if state in self.states), 4)
        return _WORDS[worst]


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


def query(name: str) -> AtCommand:
    """The read form of a registration command."""
    return AtCommand(f"AT{name}?", QUERY_S, (Answer(name, _READ_FORM),), informs=True)


def read_state(line: str) -> tuple[int | None, int | None]:
    """<n> and <stat> of an answer."""
    found = values(line)
    return found.at(0).number, found.at(1).number


def told_state(line: str) -> int | None:
    """<stat> of an unsolicited code, or of an answer that came so late that nobody waits for it any more."""
    _, _, told = line.partition(":")
    n_or_state, state = read_state(line)
    return state if _READ_FORM.match(told.strip()) else n_or_state


async def read_registration(channel: Channel, domains: tuple[str, ...], last: Registration) -> Registration:
    """Ask in each domain; one that gives no answer of the known form keeps what it was last."""
    for domain in domains:
        try:
            response = await channel.exchange(query(domain))
        except CommandRefused:
            continue
        _, state = read_state(response.text)
        if state is not None:
            last = last.changed(domain, state)
    return last


async def read_signal(channel: Channel) -> Signal:
    """+CSQ, 27.007 8.5. A module that does not know it has no signal to tell of."""
    try:
        response = await channel.exchange(AtCommand("AT+CSQ", QUERY_S, (Answer("+CSQ"),), informs=True))
    except CommandRefused:
        return Signal(None)
    rssi = values(response.text).at(0).number
    return Signal(-113 + 2 * rssi if rssi is not None and rssi <= 31 else None)


_DIGITS = re.compile(r'"?\d{5,}')
_ICCID = re.compile(r'"?89\d{10,}F?')


async def read_identity(channel: Channel, driver: DriverProfile) -> Identity:
    """What the module tells of itself. Free text is for people; nothing is decided by it."""
    manufacturer = await _tell(channel, "+CGMI")
    return Identity(
        manufacturer,
        await _tell(channel, "+CGMM"),
        await _tell(channel, "+CGMR"),
        await _tell(channel, "+CGSN", _DIGITS),
        await _tell(channel, "+CIMI", _DIGITS),
        await read_iccid(channel, driver, manufacturer),
    )


async def _tell(channel: Channel, name: str, shape: re.Pattern[str] | None = None, named: str = "") -> str:
    command = AtCommand(f"AT{name}", QUERY_S, (Answer(named or name), Answer(shape=shape)), informs=True)
    try:
        text = (await channel.exchange(command)).text
    except CommandRefused:
        return ""
    found = values(text).at(0).text if text[:1] in {"+", "^", "%", "!"} else text
    return found.strip().strip('"').removeprefix("Revision:").strip()


async def read_iccid(channel: Channel, driver: DriverProfile, manufacturer: str = "") -> str:
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
        if number := await _tell(channel, name, _ICCID, names[name]):
            return number.rstrip("Ff")
    return ""
