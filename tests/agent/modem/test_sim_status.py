"""The state of the SIM from the answer to +CPIN?."""

import pytest

from agent.at.error_codes import ErrorKind
from agent.at.errors import CommandRefused
from agent.at.events import FinalResult
from agent.modem.sim_status import SimState, parse_cpin, query_sim_status


@pytest.mark.parametrize(
    ("line", "state", "code"),
    [
        ("+CPIN: READY", SimState.READY, "READY"),
        ("+CPIN:ready", SimState.READY, "READY"),
        ('+CPIN: "SIM PIN"', SimState.PIN_REQUIRED, "SIM PIN"),
        ("+CPIN: SIM PUK", SimState.PUK_REQUIRED, "SIM PUK"),
        ("+CPIN: PH-NET PUK", SimState.PUK_REQUIRED, "PH-NET PUK"),
        ("+CPIN: SIM PIN2", SimState.OTHER_LOCK, "SIM PIN2"),
        ("+CPIN: PH-SIM PIN", SimState.OTHER_LOCK, "PH-SIM PIN"),
        ("+CPIN: NOT INSERTED", SimState.ABSENT, "NOT INSERTED"),
        ("+CPIN: SIM NOT INSERTED", SimState.ABSENT, "SIM NOT INSERTED"),
        ("+CPIN: NOT READY", SimState.NOT_READY, "NOT READY"),
        ("+CPIN:", SimState.UNKNOWN, ""),
    ],
)
def test_cpin_codes(line, state, code):
    """Each code is one state; the code itself is kept for the operator."""
    status = parse_cpin(line)
    assert (status.state, status.code, status.evidence) == (state, code, line)


@pytest.mark.parametrize(
    ("kind", "number", "state"),
    [
        (ErrorKind.CME, 10, SimState.ABSENT),
        (ErrorKind.CMS, 310, SimState.ABSENT),
        (ErrorKind.CME, 13, SimState.FAILED),
        (ErrorKind.CMS, 313, SimState.FAILED),
        (ErrorKind.CME, 14, SimState.UNKNOWN),
        (ErrorKind.PLAIN, None, SimState.UNKNOWN),
    ],
)
def test_cpin_errors(run_virtual, kind, number, state):
    """An absent SIM and a failing SIM are missing; any other error leaves the state unknown."""
    error = CommandRefused("AT+CPIN?", FinalResult("ERROR", ok=False, kind=kind, code=number))

    async def refuse(command):
        assert command.line == "AT+CPIN?"
        raise error

    status = run_virtual(query_sim_status(refuse))
    assert (status.state, status.refusal) == (state, error)
    assert status.is_missing == (state is not SimState.UNKNOWN)
    assert status.may_be_unlocked == (state is SimState.UNKNOWN)
