"""Send one message with AT+CMGS, with one of four outcomes."""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable

from agent.at.client import AtClient, BeforeBody
from agent.at.command import AtCommand
from agent.at.error_codes import SERVICE_CENTRE_UNKNOWN_ERRORS
from agent.at.errors import CommandRefused, CommandTimedOut, ModemLost
from agent.at.parameters import parse_values
from agent.modem.message_format import CSMP_DEFAULTS_COMMAND
from pdu.record import Record


class Sent(Record):
    """The network accepted the message."""

    message_reference: int | None
    """TP-MR as the module reported it; some always report 0. None if it answered with OK alone."""


class Refused(Record):
    """The module or the network refused the message; the error class shows whether a retry can help.

    With `ErrorClass.OUTCOME_UNKNOWN` it is unknown whether the message was sent; the caller decides.
    """

    error: CommandRefused


class NotSent(Record):
    """The message has certainly not been sent."""

    reason: str


class OutcomeUnknown(Record):
    """The body was written and no result came: the message may have been sent."""

    reason: str


SendOutcome = Sent | Refused | NotSent | OutcomeUnknown


async def apply_csmp(client: AtClient, setting: AtCommand) -> Refused | NotSent | None:
    """Set +CSMP for a message. Return None if it is set, else the outcome of the message."""
    try:
        await client.exchange(setting)
    except CommandRefused as error:
        return Refused(error) if setting.line != CSMP_DEFAULTS_COMMAND else None
    except (CommandTimedOut, ModemLost) as error:
        return NotSent(str(error))
    return None


async def send(
    client: AtClient,
    command: AtCommand,
    before_body: BeforeBody,
    restore_service_centre: Callable[[], Awaitable[bool]],
) -> SendOutcome:
    """Send one message. Raises only what `before_body` raises, and then nothing was sent.

    `restore_service_centre` writes a lost service centre number again and returns True if it did.
    """
    try:
        response = await client.exchange(command, before_body)
    except CommandRefused as error:
        if error.is_one_of(SERVICE_CENTRE_UNKNOWN_ERRORS):
            with contextlib.suppress(ModemLost):
                if await restore_service_centre():
                    return NotSent(f"{error}; the number was written again (+CSCA)")
        return Refused(error)
    except CommandTimedOut as error:
        if not error.body_sent:
            return NotSent(str(error))
        if error.escape_confirmed:
            return NotSent(f"{error}; the module was still waiting for text")
        return OutcomeUnknown(str(error))
    except ModemLost as error:
        return OutcomeUnknown(str(error)) if error.body_sent else NotSent(str(error))
    return Sent(parse_values(response.text).get(0).number)
