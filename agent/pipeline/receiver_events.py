"""Builds the log events of the receiver: one for each message, and events about the module."""

from __future__ import annotations

import pdu
from agent.at.errors import CommandRefused
from agent.common.events import Condition, Event, EventKind, Severity
from agent.journal.models import StoreOutcome, StoreResult
from agent.modem.status_queries import Registration
from agent.modem.stored_message import Slot, StoredMessage

_EVENT_KINDS = {
    StoreOutcome.NEW: EventKind.RECEIVED,
    StoreOutcome.DUPLICATE: EventKind.DUPLICATE,
    StoreOutcome.ALREADY_STORED: EventKind.ALREADY_STORED,
    StoreOutcome.EXPIRED: EventKind.EXPIRED,
    StoreOutcome.PART: EventKind.PART,
    StoreOutcome.IGNORED: EventKind.IGNORED,
    StoreOutcome.REPORT: EventKind.STATUS_REPORT,
}
_SIM_URC_PREFIXES = ("+CPIN", "+QUSIM")


def stored_event(result: StoreResult) -> Event:
    """Return the event for a message that the journal has committed."""
    detail = result.detail
    if result.outcome is StoreOutcome.DUPLICATE and result.command_id is not None:
        detail = f"delivery {result.deliveries}, not run again"
    return Event(
        _EVENT_KINDS[result.outcome],
        detail,
        command_id=result.command_id,
        sid=result.sid,
        reply_id=result.reply_id,
        content=result.content,
        severity=Severity.DEBUG if result.outcome is StoreOutcome.ALREADY_STORED else Severity.INFO,
    )


def first_start_event(messages: list[StoredMessage], *, run: bool) -> Event:
    """Return the event for the messages that the module holds at the first start with a new journal.

    They may be old, or may have run under an earlier journal. `run` is True if their Commands are run.
    """
    times = sorted(
        timestamp.time
        for message in messages
        if isinstance(message.message, pdu.Deliver)
        and (timestamp := message.message.service_centre_timestamp).time is not None
    )
    count = f"{len(messages)} message{'' if len(messages) == 1 else 's'}"
    sent = f", sent from {times[0].isoformat()} to {times[-1].isoformat()}" if times else ""
    action = "Commands are run" if run else "Commands are kept as expired and not run"
    text = f"the journal is new and the module holds {count}{sent}; {action}"
    return Event(EventKind.FIRST_START, text, severity=Severity.WARNING)


def settings_lost_event(reason: str) -> Event:
    """Return the event for a module that has to be initialised again, by the result code that shows it.

    A SIM that is removed or inserted also requires a new initialisation.
    """
    if reason.startswith(_SIM_URC_PREFIXES):
        return Event(EventKind.SIM_STATE_CHANGED, reason, severity=Severity.WARNING)
    return Event(
        EventKind.MODULE_RESTARTED, reason, severity=Severity.WARNING, condition=Condition.CONNECTION
    )


def registration_event(registration: Registration) -> Event:
    """Return the event for a change of the network registration."""
    if registration.can_send:
        return Event(EventKind.REGISTRATION, str(registration), resolves=Condition.NETWORK)
    return Event(EventKind.REGISTRATION, str(registration), condition=Condition.NETWORK)


def read_refused_event(error: CommandRefused, *, is_followed_up: bool = False) -> Event:
    """Return the event for a module that refused to read or list messages.

    `is_followed_up`: a sweep follows at once, which reports the condition if it lasts.
    """
    severity = Severity.DEBUG if is_followed_up else Severity.WARNING
    return Event(EventKind.READ_REFUSED, f"{error}; next attempt within a minute", severity=severity)


def slot_silent_event(slot: Slot) -> Event:
    """Return the event for a slot that is skipped because the module does not answer when it is read."""
    select = f'+CPMS="{slot.store}";' if slot.store else ""  # +CMGD deletes from the selected store
    text = (
        f"{slot}: the module does not answer when this slot is read; it is skipped, the other slots are read"
        f" one by one; to delete its message: modem-agent at --force 'AT{select}+CMGD={slot.index}'"
    )
    return Event(EventKind.READ_REFUSED, text, severity=Severity.WARNING, slot=str(slot))


def not_deleted_event(slot: Slot, reason: str) -> Event:
    """Return the event for a message that the module keeps although it was to be deleted."""
    text = f"{slot}: {reason}; the message stays in the module and is not run again"
    return Event(EventKind.NOT_DELETED, text, severity=Severity.WARNING, slot=str(slot))


def nearly_full_event(store: str, used: int, capacity: int) -> Event:
    """Return the event for a message store that is nearly full."""
    return Event(
        EventKind.STORE_NEARLY_FULL, f"{store} holds {used} of {capacity}", severity=Severity.WARNING
    )


def port_conflict_event(evidence: str, users: str) -> Event:
    """Return the event for another program on the module's port; `users` is a sentence that names it."""
    text = f"another program seems to use the module's port: {evidence}; {users}"
    return Event(EventKind.PORT_CONFLICT, text, severity=Severity.WARNING, condition=Condition.PORT_CONFLICT)
