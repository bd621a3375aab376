"""What a module answers to the questions of the doctor. Only read forms are sent, so nothing is changed."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, timezone

from agent.at.client import CommandExchange
from agent.at.command import AtCommand, ResponsePattern
from agent.at.errors import CommandRefused, CommandTimedOut
from agent.at.parameters import ParameterValues, parse_ranges, parse_values
from agent.modem.at_commands import read_command
from agent.modem.cpms import parse_store_usage
from agent.modem.identification import IdentifiedProfile, identify_module
from agent.modem.settings import StoreUsage
from agent.modem.sim import query_pin_tries
from agent.modem.sim_status import SimState, SimStatus, query_sim_status
from agent.modem.status_queries import (
    QUERY_TIMEOUT_S,
    REGISTRATION_DOMAINS,
    Identity,
    Registration,
    Signal,
    parse_registration,
    parse_reject_cause,
    query_functionality,
    query_identity,
    query_signal,
    registration_command,
)
from agent.modem.text_mode_codec import decode_number, decode_setting
from hardware.identify import PortInfo


@dataclass(slots=True)
class ModuleAnswers:
    """The answers. What the module refused or was not asked is None or empty."""

    profile: IdentifiedProfile = field(default_factory=IdentifiedProfile)
    identity: Identity = field(default_factory=Identity)
    functionality: int | None = None
    """<fun> of +CFUN?."""
    sim: SimStatus = field(default_factory=lambda: SimStatus(SimState.UNKNOWN))
    pin_tries: int | None = None
    """The remaining tries of a PIN that the SIM asks for."""
    registration: Registration = field(default_factory=Registration)
    reject_causes: dict[str, int] = field(default_factory=dict)
    """<reject_cause> by the command that reports the domain."""
    extended_error: str = ""
    """The answer to +CEER, asked if the registration is denied."""
    signal: Signal = field(default_factory=lambda: Signal(None))
    message_format_refusal: str = ""
    """Why +CMGF? was refused; a module without SMS refuses it."""
    message_types: tuple[int, ...] = ()
    """<mt> and <mo> of +CSMS?: whether messages can be received and sent."""
    service_centre: str | None = None
    notifications: tuple[int, ...] = ()
    """+CNMI?."""
    offered_mt: frozenset[str] = frozenset()
    """The values of <mt> that +CNMI=? offers."""
    stores: tuple[StoreUsage, ...] = ()
    stores_refusal: str = ""
    """Why +CPMS? was refused."""
    clock: datetime | None = None
    """+CCLK?; most modules have a wrong one until the network gives the time."""
    unanswered: list[str] = field(default_factory=list)
    """The commands that got no answer."""


class ModuleInterview:
    """Asks one module. After `run` has ended or was cancelled, `answers` has what came."""

    def __init__(self, exchange: CommandExchange, profile: str, port_info: PortInfo) -> None:
        """`profile`: the name of the configured profile, or "auto"."""
        self._exchange = exchange
        self._profile = profile
        self._port_info = port_info
        self.answers = ModuleAnswers()

    async def run(self) -> None:
        """Ask everything that the state of the SIM allows. Raises ModemLost, ProfileError."""
        answers = self.answers
        answers.profile = await identify_module(self._exchange, self._profile, self._port_info)
        answers.functionality = await query_functionality(self._exchange)
        try:
            answers.sim = await query_sim_status(self._exchange.exchange)
        except CommandTimedOut:
            answers.unanswered.append("AT+CPIN?")
        if answers.sim.state is SimState.PIN_REQUIRED:
            answers.pin_tries = await query_pin_tries(self._exchange, answers.profile.driver)
        if answers.sim.may_be_unlocked:
            await self._ask_registration()
            await self._ask_messages()
            answers.signal = await query_signal(self._exchange)
        answers.clock = parse_clock(await self._read("+CCLK"))
        answers.identity = await query_identity(self._exchange, answers.profile.driver)

    async def _ask_registration(self) -> None:
        answers = self.answers
        for domain in answers.profile.driver.registration or REGISTRATION_DOMAINS:
            try:
                line = (await self._exchange.exchange(registration_command(domain))).text
            except CommandRefused:
                continue
            _, state = parse_registration(line)
            if state is not None:
                answers.registration = answers.registration.with_state(domain, state)
            if (cause := parse_reject_cause(line)) is not None:
                answers.reject_causes[domain] = cause
        if not answers.registration.can_send:
            command = AtCommand("AT+CEER", QUERY_TIMEOUT_S, (ResponsePattern("+CEER"),))
            try:
                text = (await self._exchange.exchange(command)).text
            except (CommandRefused, CommandTimedOut):
                return
            answers.extended_error = text.partition(":")[2].strip()

    async def _ask_messages(self) -> None:
        answers = self.answers
        try:
            await self._exchange.exchange(read_command("+CMGF"))
        except CommandRefused as error:
            answers.message_format_refusal = str(error)
        charset = decode_setting(parse_values(await self._read("+CSCS")).get(0).text, "")
        answers.message_types = _numbers(parse_values(await self._read("+CSMS")))[1:3]
        if line := await self._read("+CSCA"):
            number, type_of_address = (parse_values(line).get(at) for at in (0, 1))
            answers.service_centre = decode_number(number.text, type_of_address.number, charset)
        answers.notifications = _numbers(parse_values(await self._read("+CNMI")))
        offered = parse_ranges(await self._read("+CNMI", "=?"))
        answers.offered_mt = offered[1] if len(offered) > 1 else frozenset()
        try:
            text = (await self._exchange.exchange(read_command("+CPMS"))).text
            answers.stores = tuple(dict.fromkeys(parse_store_usage(text, charset)))
        except CommandRefused as error:
            answers.stores_refusal = str(error)

    async def _read(self, name: str, suffix: str = "?") -> str:
        """Return the line that answers a read form; empty if it was refused or ignored."""
        try:
            return (await self._exchange.exchange(read_command(name, suffix))).text
        except CommandRefused:
            return ""
        except CommandTimedOut:
            self.answers.unanswered.append(f"AT{name}{suffix}")
            return ""


def _numbers(values: ParameterValues) -> tuple[int, ...]:
    return tuple(value.number for value in values if value.number is not None)


def parse_clock(line: str) -> datetime | None:
    """Return the time in the answer to +CCLK? (27.007 8.15); None if it is not one, or obviously not set.

    The zone is in quarters of an hour.
    """
    text = parse_values(line).get(0).text
    try:
        moment = datetime.strptime(text[:17], "%y/%m/%d,%H:%M:%S").replace(tzinfo=UTC)
        zone = timedelta(minutes=15 * int(text[17:] or "0"))
    except ValueError:
        return None
    if not 2024 <= moment.year < 2069:  # modules begin at 1970, 1980, 2000 or 2004
        return None
    return moment.replace(tzinfo=timezone(zone))
