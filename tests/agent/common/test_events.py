import pytest

from agent.common.events import Event, EventKind, Severity, mask_number
from agent.common.printable import escape_unprintable


@pytest.mark.parametrize(
    ("event", "line"),
    [
        (Event(EventKind.READY), "ready"),
        (Event(EventKind.READY, "modem-agent 1.0"), "ready: modem-agent 1.0"),
        (Event(EventKind.RECEIVED, command_id=3), "received command 3"),
        (
            Event(EventKind.RECEIVED, command_id=3, sid="HC" + "0" * 32),
            f"received command 3 HC{'0' * 32}",
        ),
        (
            Event(EventKind.SENT, "reference 7", command_id=3, sid="HC0", reply_id=4),
            "sent command 3 HC0 reply 4: reference 7",
        ),
        (Event(EventKind.SENT, reply_id=4), "sent reply 4"),
        (
            Event(EventKind.IGNORED, "from +1555: not from 000", content="secret"),
            "ignored: from +1555: not from 000",
        ),
    ],
)
def test_event_is_formatted_as_a_log_line(event, line):
    """The line has the kind, the Command, the reply and the message, and never the content of an SMS."""
    assert str(event) == line


@pytest.mark.parametrize(
    "unprintable", ["\n", "\r\n", "\x1b[2J", "\x9b31m", "\x07", "\x00", "\u202e", "\u2028", "\ud800"]
)
def test_unprintable_characters_cannot_forge_a_log_line(unprintable):
    """An alphanumeric sender can neither begin a new line nor move the cursor."""
    line = str(Event(EventKind.IGNORED, f"from A{unprintable}B: not from 000"))
    assert line.isprintable()
    assert line.startswith("ignored: from A\\")
    assert line.endswith("B: not from 000")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("led on", "led on"),
        ("caf\u00e9 \u263a \U0001f600", "caf\u00e9 \u263a \U0001f600"),
        ("a\nb\tc", "a\\nb\\tc"),
        ("\x1b\x7f\x85", "\\x1b\\x7f\\x85"),
        ("\u200e\U000e0001", "\\u200e\\U000e0001"),
    ],
)
def test_only_unprintable_characters_are_escaped(text, shown):
    """Letters of all languages stay as they are."""
    assert escape_unprintable(text) == shown


def test_severities_are_levels_of_logging():
    """The log uses the values as levels."""
    assert [severity.value for severity in Severity] == [10, 20, 30, 40]


@pytest.mark.parametrize(
    ("number", "shown"),
    [
        ("+15557654321", "…321"),
        ("447700900123", "…123"),
        ("+1555123", "…123"),
        ("000", "000"),
        ("2936", "2936"),
        ("Orange", "Orange"),
        ("", ""),
    ],
)
def test_telephone_numbers_are_masked(number, shown):
    """Logs are attached to bug reports, so they show three digits at most."""
    assert mask_number(number) == shown
