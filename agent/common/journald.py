"""Sends log events to systemd's journal with fields, such as COMMAND_SID=, by which `journalctl` finds them.

The native protocol: one datagram of `NAME=value` lines; a value with a line feed has its length in front
(systemd.io/JOURNAL_NATIVE_PROTOCOL). The text is the same as on standard error.
"""

from __future__ import annotations

import logging
import os
import socket
import struct
from collections.abc import Mapping

from agent.common.events import Event

SOCKET_PATH = "/run/systemd/journal/socket"
SYSLOG_PRIORITIES = {logging.DEBUG: 7, logging.INFO: 6, logging.WARNING: 4, logging.ERROR: 3}
"""Priorities of syslog(3)."""
IDENTIFIER = "modem-agent"


class JournalHandler(logging.Handler):
    """Sends records to the journal; those that cannot be sent go to another handler."""

    def __init__(self, fallback: logging.Handler, path: str = SOCKET_PATH) -> None:
        super().__init__()
        self._fallback = fallback
        self._path = path
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        self._socket.setblocking(False)  # the event loop logs; a full socket must not stop it

    def emit(self, record: logging.LogRecord) -> None:
        event = record.__dict__.get("event")
        fields = {
            "MESSAGE": self.format(record),  # with the traceback, if there is one
            "PRIORITY": str(SYSLOG_PRIORITIES.get(record.levelno, 5)),
            "SYSLOG_IDENTIFIER": IDENTIFIER,
            **(event_fields(event) if isinstance(event, Event) else {}),
        }
        try:
            self._socket.sendto(encode_fields(fields), self._path)
        except OSError:
            self._fallback.handle(record)

    def close(self) -> None:
        self._socket.close()
        super().close()


def writes_to_journal(environ: Mapping[str, str], fd: int) -> bool:
    """Return True if systemd has connected a file descriptor to the journal (JOURNAL_STREAM)."""
    try:
        status = os.fstat(fd)
    except OSError:
        return False
    return environ.get("JOURNAL_STREAM") == f"{status.st_dev}:{status.st_ino}"


def event_fields(event: Event) -> dict[str, str]:
    """Return the fields of the journal for an event, without those that it does not have."""
    fields = {
        "EVENT": event.kind,
        "COMMAND_SID": event.sid,
        "COMMAND_ID": event.command_id,
        "REPLY_ID": event.reply_id,
        "SLOT": event.slot or None,
        "CONDITION": None if event.condition is None else event.condition.name.lower(),
        "RESOLVES": None if event.resolves is None else event.resolves.name.lower(),
    }
    return {name: str(value) for name, value in fields.items() if value is not None}


def encode_fields(fields: Mapping[str, str]) -> bytes:
    """Return the datagram of a journal entry."""
    lines = []
    for name, value in fields.items():
        data = value.encode("utf-8", "backslashreplace")
        if b"\n" in data:
            lines.append(name.encode() + b"\n" + struct.pack("<Q", len(data)) + data + b"\n")
        else:
            lines.append(name.encode() + b"=" + data + b"\n")
    return b"".join(lines)
