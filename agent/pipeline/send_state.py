"""Backoffs and refusals that outlive a session of the sender."""

from __future__ import annotations

import asyncio

from agent.modem.send_refusals import SendRefusals
from agent.pipeline.brownout import BrownoutGuard
from agent.pipeline.reply_handover import ReplyHandover
from agent.pipeline.send_backoff import DestinationBackoff
from pdu.record import Record


class SendState(Record):
    """The state that the senders of successive sessions share."""

    destination_backoff: DestinationBackoff
    brownout_guard: BrownoutGuard
    refusals: SendRefusals
    """The refusals since a message was last accepted."""
    reply_queued: asyncio.Event
    """Set when a message was queued or handed over."""
    handover: ReplyHandover
