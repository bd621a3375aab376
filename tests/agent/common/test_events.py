import pytest

from agent.common.events import Event, Severity, escape_unprintable, mask_number


@pytest.mark.parametrize(
    ("step", "line"),
    [
        (Event("ready"), "ready"),
        (Event("ready", "modem-agent 1.0"), "ready: modem-agent 1.0"),
        (Event("received", command=3), "received command 3"),
        (Event("received", command=3, sid="HC" + "0" * 32), f"received command 3 HC{'0' * 32}"),
        (
            Event("sent", "reference 7", command=3, sid="HC0", reply=4),
            "sent command 3 HC0 reply 4: reference 7",
        ),
        (Event("sent", reply=4), "sent reply 4"),
        (Event("stray", "from +1555: not from 000", content="secret"), "stray: from +1555: not from 000"),
    ],
)
def test_a_step_is_a_line_of_the_log(step, line):
    """What happened, to whom; what a message says is left out."""
    assert str(step) == line


@pytest.mark.parametrize(
    "nasty", ["\n", "\r\n", "\x1b[2J", "\x9b31m", "\x07", "\x00", "\u202e", "\u2028", "\ud800"]
)
def test_a_line_stays_one_line(nasty):
    """A name that a stranger gave himself forges no further line and moves no cursor."""
    line = str(Event("stray", f"from A{nasty}B: not from 000"))
    assert line.isprintable()
    assert line.startswith("stray: from A\\")
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
def test_what_is_visible_stays(text, shown):
    """Letters of all languages as they are, everything else as an escape."""
    assert escape_unprintable(text) == shown


def test_weights_are_those_of_logging():
    """The log takes them as levels."""
    assert [weight.value for weight in Severity] == [10, 20, 30, 40]


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
def test_telephone_numbers_are_not_shown_whole(number, shown):
    """Logs end up in bug reports."""
    assert mask_number(number) == shown
