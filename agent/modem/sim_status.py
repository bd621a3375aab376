"""The state of the SIM: the answer to +CPIN? is interpreted here and nowhere else (27.007 8.3)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from enum import Enum, auto

from agent.at.client import Response
from agent.at.command import AtCommand
from agent.at.error_codes import SIM_ABSENT_ERRORS, SIM_FAILURE_ERRORS
from agent.at.errors import CommandRefused
from agent.modem.at_commands import read_command
from pdu.record import Record


class SimState(Enum):
    """The state of the SIM, as +CPIN? reports it."""

    READY = auto()
    """The SIM needs no code."""
    PIN_REQUIRED = auto()
    """The SIM waits for its PIN."""
    PUK_REQUIRED = auto()
    """The SIM, or another lock, is blocked and waits for a PUK."""
    OTHER_LOCK = auto()
    """The SIM waits for another code."""
    NOT_READY = auto()
    """The SIM is being read, or has been switched off."""
    ABSENT = auto()
    """The module sees no SIM."""
    FAILED = auto()
    """The SIM does not answer."""
    UNKNOWN = auto()
    """The module does not report the state."""


class SimStatus(Record):
    """The state of the SIM, and the answer that reported it."""

    state: SimState
    code: str = ""
    """The code that the SIM waits for, for example "SIM PIN" or "PH-NET PIN"."""
    evidence: str = ""
    """The line or the error that reported the state."""
    refusal: CommandRefused | None = None
    """The error, if +CPIN? was refused."""

    @property
    def is_missing(self) -> bool:
        """True if the module cannot use a SIM now."""
        return self.state in {SimState.ABSENT, SimState.FAILED, SimState.NOT_READY}

    @property
    def reason_unusable(self) -> str:
        """The reason why the SIM cannot be used, with the remedy; empty if it can, or waits for its PIN."""
        match self.state:
            case SimState.ABSENT:
                return "the module sees no SIM; is it in its holder?"
            case SimState.FAILED:
                return "the SIM does not answer (SIM failure); is it in its holder and undamaged?"
            case SimState.PUK_REQUIRED:
                return (
                    f"the SIM asks for {self.code}: it is blocked until its PUK is entered in a phone, which "
                    "the agent never does"
                )
            case SimState.OTHER_LOCK:
                return f"the SIM asks for {self.code}; switch it off in a phone (it is never guessed)"
        return ""

    @property
    def may_be_unlocked(self) -> bool:
        """True unless the SIM is known to need a code; if its state is unknown, the next command shows it."""
        return self.state in {SimState.READY, SimState.UNKNOWN}


def parse_cpin(line: str) -> SimStatus:
    """Interpret a `+CPIN: <code>` line, whether it is an answer or a URC."""
    code = line.partition(":")[2].strip().strip('"').upper()
    if not code:
        state = SimState.UNKNOWN
    elif code == "READY":
        state = SimState.READY
    elif code == "SIM PIN":
        state = SimState.PIN_REQUIRED
    elif code.endswith("PUK"):
        state = SimState.PUK_REQUIRED
    elif code.endswith("NOT INSERTED"):
        state = SimState.ABSENT
    elif code.endswith("NOT READY"):
        state = SimState.NOT_READY
    else:
        state = SimState.OTHER_LOCK
    return SimStatus(state, code, line)


async def query_sim_status(exchange: Callable[[AtCommand], Awaitable[Response]]) -> SimStatus:
    """Send +CPIN? by `exchange` and interpret the answer. Raises CommandTimedOut, ModemLost."""
    try:
        return parse_cpin((await exchange(read_command("+CPIN"))).text)
    except CommandRefused as error:
        if error.is_one_of(SIM_ABSENT_ERRORS):
            state = SimState.ABSENT
        elif error.is_one_of(SIM_FAILURE_ERRORS):
            state = SimState.FAILED
        else:
            state = SimState.UNKNOWN
        return SimStatus(state, evidence=str(error), refusal=error)
