"""Options of a handler."""

from __future__ import annotations

import pytest

from agent.handlers.checks import check_options


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"repeatable": True, "timeout_s": 0.5, "max_age_s": 60, "reply_to": "2936"},
        {"repeatable": False, "timeout_s": 86400, "reply_to": "+447700900000"},
        {"repeatable": None, "timeout_s": None, "max_age_s": None, "reply_to": None},
    ],
)
def test_valid_options_have_no_errors(options):
    """None means that the option is not set."""
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
def test_invalid_option_is_named(name, value):
    """The one error names the option."""
    (error,) = check_options({name: value})
    assert name in error


def test_all_invalid_options_are_reported():
    """Each invalid option has an error of its own."""
    assert len(check_options({"timeout_s": 0, "max_age_s": 0, "reply_to": "x", "x": 1})) == 4
