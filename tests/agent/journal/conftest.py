"""An open journal with clocks that the test sets, and factories of received messages."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import pytest
from file_operations import FileOperations

import pdu
from agent.journal.actions import ActionStore
from agent.journal.connection import open_journal_file
from agent.journal.inbox import CommandStore
from agent.journal.journal import Journal
from agent.journal.outbox import OutboxStore
from agent.journal.pruning import Pruner
from agent.service.message import (
    ConcatenationKey,
    IgnoredMessage,
    MessagePart,
    ReceivedCommand,
    ReceivedReport,
)

EPOCH = datetime(2026, 11, 22, 12, tzinfo=UTC).timestamp()
SID = "DC" + "0" * 32


@dataclass
class JournalHarness:
    """An open journal and its stores."""

    path: Path
    wall: float = EPOCH
    monotonic: float = 100.0
    damage_messages: list = field(default_factory=list)
    journal: Journal = None
    dedup_without_sid: bool = True
    open_error: Exception | None = None
    """Raised instead of opening the file."""

    def open(self):
        self.journal = Journal(
            self.path,
            lambda: self.wall,
            lambda: self.monotonic,
            self.damage_messages.append,
            self._open_file,
        )
        self.outbox = OutboxStore(self.journal)
        self.inbox = CommandStore(self.journal, self.outbox, dedup_without_sid=self.dedup_without_sid)
        self.actions = ActionStore(self.journal)
        return self

    def _open_file(self, path):
        if self.open_error is not None:
            raise self.open_error
        return open_journal_file(path)

    def restart(self):
        """Open the file again as after kill -9: nothing more is written; the monotonic clock restarts."""
        self.journal.freed_slots.clear()
        self.journal.close()
        self.monotonic = 5.0
        return self.open()

    def advance(self, seconds):
        self.wall += seconds
        self.monotonic += seconds

    def store(self, received, slot=None, raw="00"):
        return self.inbox.store(slot, raw, lambda _: received)

    def prune(self, keep_days=31, dedup_days=31):
        """Run the whole pruning; return the number of rows and of incomplete messages that it deleted."""
        pruner = Pruner(self.journal, self.inbox.parts, keep_days, dedup_days)
        while pruner.prune_batch():
            pass
        return pruner.pruned_rows + pruner.discarded_messages

    def query_column(self, query, *values):
        return [row[0] for row in self.journal.connection.execute(query, values)]


def command(body="led on", sid=SID, identity=b"i" * 16, at=EPOCH - 5, **fields):
    """A Command as `agent.service` returns it."""
    timestamp = None if at is None else datetime.fromtimestamp(at, UTC)
    values = {"sender": "2936", "timestamp": timestamp, "answerable": True} | fields
    return ReceivedCommand(sid=sid, body=body, identity=None if sid else identity, **values)


def part(number, total=2, reference=9, raw=None, identity=None):
    """A part of a long message."""
    key = ConcatenationKey("2936", reference, reference_16bit=False, total=total)
    return MessagePart(key, number, raw or f"0{number}", identity or bytes([number] * 16))


def report(reference, status=0, recipient="2936", at=EPOCH):
    """A status report on a message that the service centre received at this time."""
    stamp = pdu.Timestamp.of(datetime.fromtimestamp(at, UTC))
    return ReceivedReport(
        pdu.StatusReport(
            message_reference=reference,
            recipient_address=pdu.Address.parse(recipient),
            service_centre_timestamp=stamp,
            discharge_time=stamp,
            status=status,
        )
    )


@pytest.fixture(scope="session")
def file_operations():
    return FileOperations()


@pytest.fixture
def journal_env(tmp_path):
    harness = JournalHarness(tmp_path / "journal.db").open()
    yield harness
    harness.journal.close()


@pytest.fixture(scope="session")
def open_fast_journal():
    """Open a journal that need not survive a power cut."""

    class FastHarness(JournalHarness):
        def open(self):
            super().open()
            self.journal.connection.execute("PRAGMA synchronous = OFF")
            return self

    return lambda path: FastHarness(path).open()


@pytest.fixture(scope="session")
def factories():
    """Factories of received messages."""

    def ignored(reason="not from 2936", text="x"):
        return IgnoredMessage(reason, "+1555", text)

    return SimpleNamespace(command=command, part=part, report=report, ignored=ignored)
