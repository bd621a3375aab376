"""Sending one message, and the four things that may have become of it."""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from agent.at.client import AtClient, BeforeBody
from agent.at.command import AtCommand
from agent.at.error_codes import SERVICE_CENTRE_UNKNOWN_ERRORS
from agent.at.errors import CommandRefused, CommandTimedOut, ModemLost
from agent.at.parameters import parse_values
from agent.modem.message_format import CSMP_DEFAULTS_COMMAND


@dataclass(frozen=True, slots=True)
class Sent:
    """The network took it."""

    message_reference: int | None
    """TP-MR as the module gave it; some always say 0, None: it said nothing but OK."""


@dataclass(frozen=True, slots=True)
class Refused:
    """The module or the network said no; the error's class says whether trying again helps.

    `ErrorClass.UNKNOWN` is left to whoever decides: nobody knows what such an error means for the message.
    """

    error: CommandRefused


@dataclass(frozen=True, slots=True)
class NotSent:
    """Nothing left, that is proven."""

    reason: str


@dataclass(frozen=True, slots=True)
class OutcomeUnknown:
    """The body was written and no result came: it may have been sent."""

    reason: str


SendOutcome = Sent | Refused | NotSent | OutcomeUnknown


async def apply_csmp(client: AtClient, setting: AtCommand) -> Refused | NotSent | None:
    """Set what a message needs; None when it stands."""
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
    """Send; raises only what `before_body` raises, and then nothing was sent.

    `restore` writes a lost number of the service centre again, and tells whether it could.
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
            return NotSent(f"{error}; the module was still taking text")
        return OutcomeUnknown(str(error))
    except ModemLost as error:
        return OutcomeUnknown(str(error)) if error.body_sent else NotSent(str(error))
    return Sent(parse_values(response.text).get(0).number)
