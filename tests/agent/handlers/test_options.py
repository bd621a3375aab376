"""Settings per handler."""

from __future__ import annotations

import pytest

from agent.handlers.options import check_options


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"repeatable": True, "timeout_s": 0.5, "max_age_s": 60, "reply_to": "2936"},
        {"repeatable": False, "timeout_s": 86400, "reply_to": "+447700900000"},
        {"repeatable": None, "timeout_s": None, "max_age_s": None, "reply_to": None},
    ],
)
def test_possible_options(options):
    """What makes sense is no mistake; None stands for not set."""
    assert check_options(options) == []


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("timeout_s", value) for value in (0, -1, 86401, float("nan"), float("inf"), True, "5")),
        *(("max_age_s", value) for value in (0, float("inf"), float("nan"), False, [])),
        *(("repeatable", value) for value in (1, "true")),
        *(("reply_to", value) for value in (2936, "", "+", "12a", "1" * 21, "\u0661\u0662")),
        ("retries", 3),
    ],
)
def test_impossible_options(name, value):
    """Each is named in one sentence."""
    (sentence,) = check_options({name: value})
    assert name in sentence


def test_all_mistakes_are_told():
    """Not only the first."""
    assert len(check_options({"timeout_s": 0, "max_age_s": 0, "reply_to": "x", "x": 1})) == 4
