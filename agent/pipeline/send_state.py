"""What a sender gets: the operator's limits, and the state that the senders of successive sessions share."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from agent.journal.timestamps import DAY_S
from agent.modem.send_refusals import SendRefusals
from agent.pipeline.brownout import BrownoutGuard
from agent.pipeline.send_backoff import DestinationBackoff


@dataclass(frozen=True, slots=True)
class SendConfig:
    """The limits and options for sending: keys of ``[service]``."""

    max_per_minute: int = 10
    max_per_day: int = 200
    status_reports: bool = False
    resend_unknown: bool = False
    max_answer_age_s: float = DAY_S


@dataclass(frozen=True, slots=True)
class SendState:
    """The state that the senders of successive sessions share."""

    destination_backoff: DestinationBackoff
    brownout_guard: BrownoutGuard
    refusals: SendRefusals
    """The permanent errors since a message was last accepted."""
    reply_queued: asyncio.Event
    """Set when a message was queued."""
