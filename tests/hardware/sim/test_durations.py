"""Durations and times as people write them."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from hardware.sim.durations import parse_duration, parse_time


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        (90, 90), (12.5, 12.5), ("12.5", 12.5), ("24h", 86400), ("1h30m", 5400), ("2d", 172800),
        ("0.5s", 0.5), ("1w", 604800), ("PT24H", 86400), ("P30D", 2592000), ("P1DT0.5H", 88200),
        ("pt90s", 90), ("P2W", 1209600),
    ],
)  # fmt: skip
def test_durations(text, seconds):
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    "value",
    ["", "soon", "-5", "1h-2m", "P", "PT", "P1DT", "5 minutes", "1m1h", None, True, [], -1, float("nan"),
     1e12, 10**400, "9" * 400, "1e5", "٣"],
)  # fmt: skip
def test_other_texts_are_no_durations(value):
    with pytest.raises(ValueError, match="it must be"):
        parse_duration(value)


def test_times():
    """A time without a zone is in UTC; a time that no SMS can carry is refused."""
    assert parse_time("2026-11-01T01:00:00+01:00") == datetime(2026, 11, 1, tzinfo=UTC)
    assert parse_time("2026-11-01") == datetime(2026, 11, 1, tzinfo=UTC)
    for text in ("soon", "1970-01-01T00:00:00Z", "2070-01-01"):
        with pytest.raises(ValueError, match="it must be a time"):
            parse_time(text)
