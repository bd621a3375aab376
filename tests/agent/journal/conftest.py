"""A journal with clocks that are turned by hand."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import pytest

import pdu
from agent.journal.actions import Actions
from agent.journal.forgetting import Forgetting
from agent.journal.inbox import Inbox
from agent.journal.journal import Journal
from agent.journal.outbox import Outbox
from agent.service.message import Command, Part, PartKey, Report, Stray

EPOCH = datetime(2026, 11, 22, 12, tzinfo=UTC).timestamp()
SID = "DC" + "0" * 32


@dataclass
class Desk:
    """An open journal and its rooms."""

    path: Path
    wall: float = EPOCH
    monotonic: float = 100.0
    alarms: list = field(default_factory=list)
    journal: Journal = None
    dedup_without_sid: bool = True

    def open(self):
        self.journal = Journal(self.path, lambda: self.wall, lambda: self.monotonic, self.alarms.append)
        self.outbox = Outbox(self.journal)
        self.inbox = Inbox(self.journal, self.outbox, dedup_without_sid=self.dedup_without_sid)
        self.actions = Actions(self.journal)
        return self

    def restart(self):
        """As after kill -9: nothing more is written, the file is opened anew; another monotonic clock."""
        self.journal.freed.clear()
        self.journal.close()
        self.monotonic = 5.0
        return self.open()

    def pass_time(self, seconds):
        self.wall += seconds
        self.monotonic += seconds

    def keep(self, received, slot=None, raw="00"):
        return self.inbox.keep(slot, raw, lambda _: received)

    def forget(self, keep_days=31, dedup_days=31):
        """A whole round; how many rows went, an incomplete message counting as one."""
        round_ = Forgetting(self.journal, self.inbox.parts, keep_days, dedup_days)
        while round_.step():
            pass
        return round_.count + round_.incomplete

    def column(self, query, *values):
        return [row[0] for row in self.journal.connection.execute(query, values)]


def command(body="led on", sid=SID, identity=b"i" * 16, at=EPOCH - 5, **fields):
    """A Command as the service room makes it."""
    when = None if at is None else datetime.fromtimestamp(at, UTC)
    values = {"sender": "2936", "timestamp": when, "answerable": True} | fields
    return Command(sid=sid, body=body, identity=None if sid else identity, **values)


def part(number, total=2, reference=9, raw=None, identity=None):
    """A part of a long message."""
    key = PartKey("2936", reference, wide=False, total=total)
    return Part(key, number, raw or f"0{number}", identity or bytes([number] * 16))


def report(reference, status=0, recipient="2936", at=EPOCH):
    """A status report on a message that the service centre took then."""
    stamp = pdu.Timestamp.of(datetime.fromtimestamp(at, UTC))
    return Report(
        pdu.StatusReport(
            message_reference=reference,
            recipient_address=pdu.Address.parse(recipient),
            service_centre_timestamp=stamp,
            discharge_time=stamp,
            status=status,
        )
    )


@pytest.fixture
def desk(tmp_path):
    desk = Desk(tmp_path / "journal.db").open()
    yield desk
    desk.journal.close()


@pytest.fixture(scope="session")
def desks():
    """Opens a journal that need not survive a power cut."""

    class Quick(Desk):
        def open(self):
            super().open()
            self.journal.connection.execute("PRAGMA synchronous = OFF")
            return self

    return lambda path: Quick(path).open()


@pytest.fixture(scope="session")
def make():
    """Makers of what is kept."""

    class Make:
        pass

    make = Make()
    make.command, make.part, make.report = command, part, report
    make.stray = lambda reason="not from 2936", text="x": Stray(reason, "+1555", text)
    return make
