"""The state machine of a connection to a module: its states and transitions.

    state             event                                                     next state
    ----------------  --------------------------------------------------------  ---------------
    IDLE              a command line is written                                 COMMAND_PENDING
    COMMAND_PENDING   the module prompts for the body                           PROMPT
    PROMPT            the body is written                                       BODY_SENT
    COMMAND_PENDING,  final result code, with the information that is due       IDLE
    PROMPT,           no final result code in time; the command is abandoned;   RESYNCING
    BODY_SENT         OK without the information that is due
    RESYNCING         a synchronisation query is answered, or every query is    IDLE
                      refused and the line is silent
    IDLE              the client wakes the module                               WAKING
    WAKING            the module answers, and is resynchronised                 IDLE
    any               the transport is closed; the module does not answer;      LOST
                      internal error; the owner closes the connection

In RESYNCING and WAKING the connection writes queries of its own. They are pending commands too, but do not
change the state. A lost connection stays lost.
"""

from __future__ import annotations

from enum import Enum


class ConnectionState(Enum):
    """A state of a connection."""

    IDLE = "idle"
    """The next command may be written."""
    COMMAND_PENDING = "command pending"
    """A command line was written; its final result code, or the prompt, is due."""
    PROMPT = "prompt"
    """The module waits for the body of the command."""
    BODY_SENT = "body sent"
    """The body was written, at least in part. Without a result its outcome is unknown."""
    RESYNCING = "resyncing"
    """Results of an abandoned command may still come. See `agent.at.resync`."""
    WAKING = "waking"
    """The module may be asleep, muted, in text entry, in data mode, or at another baud rate."""
    LOST = "lost"


_S = ConnectionState
COMMAND_STATES = frozenset({_S.COMMAND_PENDING, _S.PROMPT, _S.BODY_SENT})
"""A command of the client is under way."""
_TRANSITIONS = {
    _S.IDLE: {_S.COMMAND_PENDING, _S.WAKING, _S.LOST},
    _S.COMMAND_PENDING: {_S.PROMPT, _S.IDLE, _S.RESYNCING, _S.LOST},
    _S.PROMPT: {_S.BODY_SENT, _S.IDLE, _S.RESYNCING, _S.LOST},
    _S.BODY_SENT: {_S.IDLE, _S.RESYNCING, _S.LOST},
    _S.RESYNCING: {_S.IDLE, _S.LOST},
    _S.WAKING: {_S.IDLE, _S.LOST},
    _S.LOST: set[ConnectionState](),
}


class InvalidTransitionError(RuntimeError):
    """A transition that the table does not have: an error in this package."""


def check_transition(before: ConnectionState, after: ConnectionState) -> None:
    """Raise InvalidTransitionError if the table has no transition between these states."""
    if after not in _TRANSITIONS[before]:
        raise InvalidTransitionError(f"no transition from {before.name} to {after.name}")
