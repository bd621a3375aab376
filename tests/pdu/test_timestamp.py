"""Timestamps in semi-octets with a time zone."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

from pdu import PduError, Timestamp


def at(text):
    return datetime.fromisoformat(text)


TIMES = [  # both ways
    ("62203040506000", "2026-02-03T04:05:06+00:00"),
    ("6220304050600A", "2026-02-03T04:05:06-05:00"),
    ("62203040506022", "2026-02-03T04:05:06+05:30"),
    ("62203040506040", "2026-02-03T04:05:06+01:00"),
    ("6220304050602B", "2026-02-03T04:05:06-08:00"),
    ("62203040506032", "2026-02-03T04:05:06+05:45"),
    ("07101000000000", "1970-01-01T00:00:00+00:00"),
    ("99213132959500", "1999-12-13T23:59:59+00:00"),
    ("96213132959597", "2069-12-13T23:59:59+19:45"),
    ("9621313295959F", "2069-12-13T23:59:59-19:45"),
    ("42209200000000", "2024-02-29T00:00:00+00:00"),
]


@pytest.mark.parametrize(("digits", "text"), TIMES)
def test_time_keeps_its_offset(digits, text):
    """Octets and aware times convert both ways, with the offset; years 70 to 69."""
    timestamp = Timestamp(bytes.fromhex(digits))
    assert timestamp.time == at(text)
    assert timestamp.time.utcoffset() == at(text).utcoffset()
    assert Timestamp.of(at(text)) == timestamp


@pytest.mark.parametrize(
    ("digits", "text"),
    [
        ("6220304050A000", "2026-02-03T04:05:00+00:00"),
        ("62203040506F00", "2026-02-03T04:05:06+00:00"),
        ("6220FF40506000", None),  # day 0
        ("622030F0506000", "2026-02-03T00:05:06+00:00"),
        ("622030405060F0", "2026-02-03T04:05:06+00:00"),
        ("62203040506008", "2026-02-03T04:05:06+00:00"),
    ],
)
def test_invalid_semi_octet_counts_as_zero(digits, text):
    """23.040 9.2.3.11 requires it; the resulting date counts."""
    time = Timestamp(bytes.fromhex(digits)).time
    assert time == (text and at(text))


@pytest.mark.parametrize(
    "digits",
    [
        "62003040506000",  # month 0
        "62313040506000",  # month 13
        "62200040506000",  # day 0
        "62200340506000",  # 30 February
        "62203042506000",  # hour 24
        "62203040066000",  # minute 60
        "62203040500600",  # second 60
        "00000000000000",
        "FFFFFFFFFFFFFF",
        "",
        "6220304050",
    ],
)
def test_invalid_date_is_kept_without_time(digits):
    """The time is None and there is no error, so the message is not lost."""
    timestamp = Timestamp(bytes.fromhex(digits))
    assert timestamp.time is None
    assert timestamp.octets.hex().upper() == digits


@pytest.mark.parametrize(
    ("time", "reason"),
    [
        (datetime(2026, 2, 3), "needs its offset"),  # noqa: DTZ001  # the point of the case
        (datetime(1969, 12, 31, tzinfo=UTC), "1969"),
        (datetime(2070, 1, 1, tzinfo=UTC), "2070"),
        (datetime(2026, 1, 1, tzinfo=timezone(timedelta(minutes=20))), "quarter"),
        (datetime(2026, 1, 1, tzinfo=timezone(timedelta(seconds=1))), "quarter"),
        (datetime(2026, 1, 1, tzinfo=timezone(timedelta(hours=20))), "quarter"),
    ],
)
def test_time_that_does_not_fit_raises(time, reason):
    """A missing offset is not guessed, and nothing is rounded."""
    with pytest.raises(PduError, match=reason):
        Timestamp.of(time)


def test_fractions_of_a_second_are_dropped():
    """The octets count whole seconds."""
    assert Timestamp.of(datetime(2026, 2, 3, 4, 5, 6, 999999, tzinfo=UTC)) == Timestamp.of(
        datetime(2026, 2, 3, 4, 5, 6, tzinfo=UTC)
    )


def test_str_is_time_or_octets():
    """A valid date is shown as a date, an invalid one as octets."""
    assert str(Timestamp(bytes.fromhex("6220304050600A"))) == "2026-02-03 04:05:06-05:00"
    assert str(Timestamp(bytes(7))) == "00000000000000"
