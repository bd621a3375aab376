"""Entries of systemd's journal: the datagram, its fields, and where the log goes without a journal."""

from __future__ import annotations

import logging
import os
import socket

import pytest

from agent.common.events import Condition, Event, EventKind
from agent.common.journald import JournalHandler, encode_fields, event_fields, writes_to_journal


class Kept(logging.Handler):
    def __init__(self):
        super().__init__()
        self.records = []

    def emit(self, record):
        self.records.append(record)


def make_record(event):
    record = logging.LogRecord("modem-agent", logging.WARNING, "", 0, "%s", (event,), None)
    record.event = event
    return record


def test_entry_has_the_text_and_the_fields_of_the_event(tmp_path):
    """One datagram, to be found by SID, row and kind."""
    event = Event(EventKind.SENT, "reference 7", sid="DC1", command_id=3, reply_id=4)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as journal:
        journal.bind(str(tmp_path / "socket"))
        handler = JournalHandler(Kept(), str(tmp_path / "socket"))
        handler.handle(make_record(event))
        handler.close()
        lines = journal.recv(65536).decode().splitlines()
    assert lines == [
        f"MESSAGE={event}", "PRIORITY=4", "SYSLOG_IDENTIFIER=modem-agent",
        "EVENT=sent", "COMMAND_SID=DC1", "COMMAND_ID=3", "REPLY_ID=4",
    ]  # fmt: skip


def test_entry_has_the_traceback_of_an_internal_error(tmp_path):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as journal:
        journal.bind(str(tmp_path / "socket"))
        handler = JournalHandler(Kept(), str(tmp_path / "socket"))
        error = ValueError("broken")
        handler.handle(
            logging.LogRecord(
                "modem-agent", logging.ERROR, "", 0, "internal error", (), (type(error), error, None)
            )
        )
        handler.close()
        assert b"internal error\nValueError: broken\n" in journal.recv(65536)


def test_conditions_are_fields():
    event = Event(EventKind.PORT, condition=Condition.CONNECTION, slot="ME 3")
    assert event_fields(event) == {"EVENT": "port", "SLOT": "ME 3", "CONDITION": "connection"}
    assert event_fields(Event(EventKind.SESSION, resolves=Condition.CONNECTION))["RESOLVES"] == "connection"


def test_record_goes_to_standard_error_if_the_journal_does_not_take_it(tmp_path):
    kept = Kept()
    handler = JournalHandler(kept, str(tmp_path / "absent"))
    handler.handle(make_record(Event(EventKind.SENT)))
    handler.close()
    assert len(kept.records) == 1


@pytest.mark.parametrize(
    ("value", "data"),
    [
        ("a=b", b"F=a=b\n"),
        ("a\nb", b"F\n\x03\x00\x00\x00\x00\x00\x00\x00a\nb\n"),
        ("\udcff", b"F=\\udcff\n"),
    ],
)
def test_values_are_framed(value, data):
    """A line feed cannot begin another field."""
    assert encode_fields({"F": value}) == data


def test_journal_is_recognised_by_the_stream_of_systemd(tmp_path):
    """A redirection of standard error in the unit has another inode."""
    with (tmp_path / "stream").open("w") as stream:
        status = os.fstat(stream.fileno())
        environ = {"JOURNAL_STREAM": f"{status.st_dev}:{status.st_ino}"}
        assert writes_to_journal(environ, stream.fileno())
        assert not writes_to_journal({"JOURNAL_STREAM": "1:2"}, stream.fileno())
        assert not writes_to_journal({}, stream.fileno())
