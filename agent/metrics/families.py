"""The metrics of the agent, made from its status and from the events that were counted. Pure.

Names follow the conventions of Prometheus: base units, `_total` for what is counted, time stamps instead of
ages. Every label has few values. Counters begin at 0 at the start of the agent; what the journal holds is a
gauge.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from itertools import accumulate
from math import inf
from typing import Any

from agent.common.events import EventKind
from agent.metrics.event_counts import DURATION_BUCKETS_S, EventCounts
from agent.metrics.text_format import FamilyKind, MetricFamily, Sample, format_number
from pdu.record import Record

PREFIX = "modem_agent"
_DOMAINS = ("circuit", "packet", "eps")


class Readings(Record):
    """What is read from the agent for one export."""

    status: Mapping[str, Any]
    """What `modem-agent status --json` shows."""
    can_receive: bool
    can_answer: bool
    start_time_s: float
    """When the agent started, in seconds since 1970."""
    journal_bytes: int
    """Size of the journal with its write-ahead log."""
    at_errors: Mapping[str, int]
    recovery_actions: Mapping[str, int]
    """Recovery actions since the start, all kinds."""
    command_states: tuple[str, ...]
    """All states of a Command in the journal."""
    reply_states: tuple[str, ...]
    """All states of an outgoing message in the journal."""


def make_families(readings: Readings, counts: EventCounts) -> Iterator[MetricFamily]:
    """Yield all families; those without a value now have no samples."""
    status, modem = readings.status, readings.status["modem"]
    yield _info("build", "The program.", {"version": status["version"], "service": status["service"]})
    yield _gauge("start_time_seconds", "When the agent started, since 1970.", readings.start_time_s)
    yield from _connection(modem, readings)
    yield from _commands(readings, counts)
    yield from _messages(readings, counts)
    yield from _recovery(readings)
    yield _gauge("journal_size_bytes", "Size of the journal with its log.", readings.journal_bytes)
    yield _counter(
        "journal_errors",
        "Commits that failed, and damage that was repaired.",
        "kind",
        {
            "commit": counts.others[EventKind.JOURNAL_CANNOT_COMMIT],
            "damaged": counts.others[EventKind.JOURNAL_DAMAGED],
        },
    )
    yield _gauge("handler_mistakes", "Mistakes in handler files.", len(status["handler_errors"]))
    yield _gauge("overdue_tasks", "Tasks past their deadline.", len(status["overdue"]))


def _connection(modem: Mapping[str, Any], readings: Readings) -> Iterator[MetricFamily]:
    yield _gauge("can_receive", "1 if Commands can be received now.", readings.can_receive)
    yield _gauge("can_answer", "1 if Commands can be answered now.", readings.can_answer)
    in_session = "registration" in modem
    yield _gauge("session_active", "1 if there is a session with the module.", in_session)
    yield _counter("sessions", "Sessions with the module that began.", "", {"": modem["sessions"]})
    domains = modem.get("domains") or {}
    samples = {
        domain: str(domains[domain]).startswith("registered") for domain in _DOMAINS if domain in domains
    }
    yield _gauges("registered", "1 if the module is registered in this domain.", "domain", samples)
    yield _gauge("signal_dbm", "Received signal strength.", modem.get("signal_dbm"))
    labels = {name: modem.get(name) or "" for name in ("module", "revision", "profile")}
    yield _info("module", "The module of the session.", labels if in_session else None)
    errors = {kind: readings.at_errors.get(kind, 0) for kind in ("refused", "timed_out")}
    yield _counter("at_errors", "AT commands without a successful result.", "kind", errors)


def _commands(readings: Readings, counts: EventCounts) -> Iterator[MetricFamily]:
    kinds, states = counts.commands, readings.command_states
    yield _counter("commands_received", "New Commands.", "", {"": kinds[EventKind.RECEIVED]})
    yield _counter(
        "commands_started", "Runs of handlers, repeated ones included.", "", {"": kinds[EventKind.RUNNING]}
    )
    ended = {str(state): kinds[state] for state in (EventKind.DONE, EventKind.FAILED, EventKind.EXPIRED)}
    yield _counter("commands_ended", "Commands that ended.", "state", ended)
    yield _counter(
        "commands_duplicate", "Commands that were delivered again.", "", {"": kinds[EventKind.DUPLICATE]}
    )
    yield _counter(
        "messages_ignored",
        "Messages that are no Commands.",
        "",
        {"": counts.others[EventKind.IGNORED]},
    )
    stored = {state: readings.status["commands"].get(state, 0) for state in states}
    yield _gauges("journal_commands", "Commands in the journal.", "state", stored)
    last = (readings.status["last_command"] or {}).get("received")
    moment = None if last is None else datetime.fromisoformat(last).timestamp()
    yield _gauge("last_command_timestamp_seconds", "When the last Command was stored, since 1970.", moment)
    buckets = zip((*DURATION_BUCKETS_S, inf), accumulate(counts.durations), strict=True)
    samples = [Sample(count, {"le": format_number(bound)}, "_bucket") for bound, count in buckets]
    samples += [
        Sample(counts.duration_sum_s, suffix="_sum"),
        Sample(sum(counts.durations), suffix="_count"),
    ]
    text = "Time from the commit of a Command to its end."
    yield MetricFamily(f"{PREFIX}_command_duration_seconds", FamilyKind.HISTOGRAM, text, samples)


def _messages(readings: Readings, counts: EventCounts) -> Iterator[MetricFamily]:
    kinds, status = counts.messages, readings.status
    outcomes = {
        "sent": kinds[EventKind.SENT],
        "refused": kinds[EventKind.FAILED],
        "unknown": kinds[EventKind.UNKNOWN],
    }
    yield _counter("replies", "Outgoing messages by their outcome.", "outcome", outcomes)
    yield _counter("send_retries", "Attempts to send that are repeated.", "", {"": kinds[EventKind.NOT_SENT]})
    stored = {state: status["replies"].get(state, 0) for state in readings.reply_states}
    yield _gauges("journal_replies", "Outgoing messages in the journal.", "state", stored)
    sent = status["sent"] or {}
    used = {window: sent[f"last_{window}"] for window in ("minute", "day") if f"last_{window}" in sent}
    yield _gauges("messages_sent", "Messages that count against the limit.", "window", used)
    yield _gauges("messages_sent_limit", "Messages that may be sent.", "window", status["limits"])


def _recovery(readings: Readings) -> Iterator[MetricFamily]:
    recovery = readings.status["recovery"]
    yield _counter("recovery_actions", "Actions against a failure.", "action", readings.recovery_actions)
    used = {window: recovery[f"resets_{window}"] for window in ("hour", "day")}
    limits = {window: recovery[f"resets_per_{window}"] for window in ("hour", "day")}
    yield _gauges("module_resets", "Resets that count against the limit.", "window", used)
    yield _gauges("module_resets_limit", "Resets that are allowed.", "window", limits)


def _gauge(name: str, text: str, value: float | None) -> MetricFamily:
    samples = [] if value is None else [Sample(float(value))]
    return MetricFamily(f"{PREFIX}_{name}", FamilyKind.GAUGE, text, samples)


def _gauges(name: str, text: str, label: str, values: Mapping[str, float]) -> MetricFamily:
    return MetricFamily(f"{PREFIX}_{name}", FamilyKind.GAUGE, text, _samples(label, values.items()))


def _counter(name: str, text: str, label: str, values: Mapping[str, float]) -> MetricFamily:
    """Return a family of counters; without a label it has one value, under the key ""."""
    return MetricFamily(f"{PREFIX}_{name}", FamilyKind.COUNTER, text, _samples(label, values.items()))


def _info(name: str, text: str, labels: Mapping[str, str] | None) -> MetricFamily:
    samples = [] if labels is None else [Sample(1, labels)]
    return MetricFamily(f"{PREFIX}_{name}", FamilyKind.INFO, text, samples)


def _samples(label: str, values: Iterable[tuple[str, float]]) -> list[Sample]:
    return [Sample(value, {label: str(key)} if label else {}) for key, value in values]
