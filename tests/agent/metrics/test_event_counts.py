"""What is counted, and how long Commands take."""

from agent.common.events import Event, EventKind
from agent.metrics.event_counts import DURATION_BUCKETS_S, MAX_TRACKED_COMMANDS, EventCounts


class CountedEvents:
    def __init__(self):
        self.now = 100.0
        self.passed_on = []
        self.changes = 0
        self.counts = EventCounts(self.passed_on.append, lambda: self.now, self._on_event)

    def _on_event(self):
        self.changes += 1

    def emit(self, kind, **fields):
        self.counts(Event(kind, **fields))


def test_failed_command_and_failed_reply_are_counted_apart():
    """Both have the kind `failed`. Every event is passed on and reported as a change."""
    events = CountedEvents()
    events.emit(EventKind.FAILED, command_id=1)
    events.emit(EventKind.FAILED, command_id=1, reply_id=1)
    events.emit(EventKind.IGNORED)
    counts = events.counts
    assert (counts.commands, counts.messages, counts.others) == ({"failed": 1}, {"failed": 1}, {"ignored": 1})
    assert (len(events.passed_on), events.changes) == (3, 3)


def test_duration_is_from_the_commit_to_the_end():
    """A Command whose begin was before the start of the agent is not measured."""
    events = CountedEvents()
    events.emit(EventKind.RECEIVED, command_id=1)
    events.emit(EventKind.RECEIVED, command_id=2)
    events.now += 0.1
    events.emit(EventKind.DONE, command_id=1)
    events.now += 4000
    events.emit(EventKind.EXPIRED, command_id=2)
    events.emit(EventKind.DONE, command_id=3)
    durations = events.counts.durations
    assert (durations[0], durations[-1], sum(durations)) == (1, 1, 2)
    assert len(durations) == len(DURATION_BUCKETS_S) + 1
    assert round(events.counts.duration_sum_s, 3) == 4000.2


def test_memory_for_commands_is_bounded():
    """A thousand Commands that wait are enough to see the trouble."""
    events = CountedEvents()
    for number in range(MAX_TRACKED_COMMANDS + 5):
        events.emit(EventKind.RECEIVED, command_id=number)
    assert len(events.counts._received_at) == MAX_TRACKED_COMMANDS
