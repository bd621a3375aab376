"""The states of a connection and its transitions."""

import asyncio
import itertools

import pytest
from memory_transport import memory_transport_pair

from agent.at.client import AtClient
from agent.at.command import AtCommand, ResponsePattern
from agent.at.connection_state import (
    COMMAND_STATES,
    ConnectionState,
    InvalidTransitionError,
    check_transition,
)
from agent.at.errors import CommandTimedOut, ModemLost
from agent.at.trace import Trace

OK = b"\r\nOK\r\n"
DELETE = AtCommand("AT+CMGD=3", 30)
SEND = AtCommand("AT+CMGS=15", 10, (ResponsePattern("+CMGS"),), True, body=b"0011\x1a", body_timeout_s=120)
IDLE, LOST = ConnectionState.IDLE, ConnectionState.LOST


@pytest.fixture
def run_with_states(run_virtual, attach_scripted_module):
    """Run a scenario with a client and a module, and return the states of the connection.

    The state is recorded at each write and each read, whenever the scenario calls `record`, and at the end.
    """

    def run(scenario):
        states = []

        async def run_scenario():
            def record(_line=None):
                if client is not None and client._connection.state not in states[-1:]:
                    states.append(client._connection.state)

            client = None
            near, far = memory_transport_pair()
            module = await attach_scripted_module(far)
            client = await AtClient.open(near.open, Trace(record))
            await scenario(client, module, record)
            record()
            client.close()
            await asyncio.sleep(0)
            record()

        run_virtual(run_scenario())
        return states

    return run


def test_transitions():
    """A lost connection stays lost; every other state can be lost, and nothing skips the prompt."""
    for before, after in itertools.product(ConnectionState, ConnectionState):
        if before is LOST:
            with pytest.raises(InvalidTransitionError):
                check_transition(before, after)
        elif after is LOST:
            check_transition(before, after)
    for state in COMMAND_STATES:
        check_transition(state, IDLE)
        check_transition(state, ConnectionState.RESYNCING)
    with pytest.raises(InvalidTransitionError, match="from COMMAND_PENDING to BODY_SENT"):
        check_transition(ConnectionState.COMMAND_PENDING, ConnectionState.BODY_SENT)
    with pytest.raises(InvalidTransitionError):
        check_transition(ConnectionState.RESYNCING, ConnectionState.COMMAND_PENDING)


def test_states_of_a_command_with_body(run_with_states):
    """The command passes through the prompt and the body to IDLE."""

    async def scenario(client, module, record):
        module.on("AT+CMGS=15", b"\r\n> ")
        module.on("body", b"\r\n+CMGS: 7\r\n" + OK)

        async def before_body():
            record()

        await client.exchange(SEND, before_body)

    assert run_with_states(scenario) == [
        ConnectionState.COMMAND_PENDING,
        ConnectionState.PROMPT,
        ConnectionState.BODY_SENT,
        IDLE,
        LOST,
    ]


def test_states_of_waking_and_resynchronisation(run_with_states):
    """The queries of the recovery do not change the state."""

    async def scenario(client, module, record):
        await client.wake_module(30)
        record()
        module.on("AT+CMGD=3", None)
        with pytest.raises(CommandTimedOut):
            await client.exchange(DELETE)

    assert run_with_states(scenario) == [
        ConnectionState.WAKING,
        IDLE,
        ConnectionState.COMMAND_PENDING,
        ConnectionState.RESYNCING,
        IDLE,
        LOST,
    ]


def test_failed_resynchronisation_ends_in_lost(run_with_states):
    """A module that answers nothing any more is lost."""

    async def scenario(client, module, record):
        for line in ("AT", "AT+CMGD=3", "AT+CMEE?", "AT+CMGF?", "AT+CSCS?", "AT+CSMS?"):
            module.on(line, None)
        with pytest.raises(ModemLost):
            await client.exchange(DELETE)

    assert run_with_states(scenario) == [ConnectionState.COMMAND_PENDING, ConnectionState.RESYNCING, LOST]
