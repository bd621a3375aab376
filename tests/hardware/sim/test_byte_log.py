"""The log of the bytes on the ports."""

from __future__ import annotations

import io
from datetime import UTC, datetime

from hardware.sim.byte_log import ByteLog
from hardware.sim.module.ports import LineDirection


class BrokenFile(io.StringIO):
    """A file on a full disk."""

    def flush(self):
        raise OSError(28, "No space left on device")


def now():
    return datetime(2026, 11, 29, 14, 30, 1, 5, tzinfo=UTC)


def test_each_piece_is_a_line():
    """Time, SIM, direction, and the bytes as in a recording."""
    file = io.StringIO()
    log = ByteLog(file, now, lambda error: None)
    log.write("meter", LineDirection.TO_MODULE, b"AT\r")
    log.write("meter", LineDirection.UNHEARD, b"\r\nRDY\xff\r\n")
    assert file.getvalue() == (
        "2026-11-29T14:30:01.000005+00:00 meter > AT\\r\n"
        "2026-11-29T14:30:01.000005+00:00 meter | \\r\\nRDY\\xff\\r\\n\n"
    )


def test_full_disk_is_reported_once():
    """The sandbox goes on without the log."""
    errors = []
    log = ByteLog(BrokenFile(), now, errors.append)
    for _ in range(3):
        log.write("meter", LineDirection.TO_MODULE, b"AT")
    assert [error.strerror for error in errors] == ["No space left on device"]
