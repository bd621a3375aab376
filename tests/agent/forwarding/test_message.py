"""The id of a forwarded Command, and what is taken from an answer."""

from datetime import UTC, datetime

import pytest

from agent.forwarding.message import (
    AnswerFormatError,
    decode_answer,
    make_delivery_id,
    make_message,
    parse_command_number,
)

SID = "HC" + "0" * 32
WHEN = datetime(2026, 11, 22, 12, tzinfo=UTC)


def test_id_is_the_sid_or_names_gateway_and_command():
    """It stays the same over attempts, and differs between two Commands and between two journals."""
    assert make_delivery_id("gw", 7, SID, "on", WHEN) == SID
    plain = make_delivery_id("my-gw", 7, None, "on", WHEN)
    assert plain.startswith("my-gw-7-")
    assert plain == make_delivery_id("my-gw", 7, None, "on", WHEN)
    assert parse_command_number(plain) == 7
    assert (
        len(
            {
                plain,
                make_delivery_id("my-gw", 7, None, "off", WHEN),
                make_delivery_id("b", 7, None, "on", WHEN),
            }
        )
        == 3
    )
    assert parse_command_number(SID) is None


def test_message_has_text_or_octets():
    """A binary Command is in hexadecimal digits."""
    common = {"sid": None, "sender": "2936", "timestamp": None, "port": None}
    assert make_message("i", "gw", body="é", **common)["text"] == "é"
    assert make_message("i", "gw", body=b"\x01\xff", **common)["hex"] == "01FF"


@pytest.mark.parametrize(
    ("content_type", "payload", "answer"),
    [
        ("", b"done\n", "done"),
        ("text/plain; charset=utf-8", b"{done}", "{done}"),
        ("", b"{not json", "{not json"),
        ("", b'{"other": 1}', '{"other": 1}'),
        ("application/json", b'{"reply": "done"}', "done"),
        ("", b'{"reply": "done"}', "done"),
        ("application/json", b'{"hex": "01ff"}', b"\x01\xff"),
        ("application/json", b'{"reply": null}', None),
        ("application/json", b'{"ok": true}', None),
        ("application/json", b'"done"', None),
        ("text/html", b"<h1>ok</h1>", None),
        ("", b"", None),
    ],
)
def test_answer_is_text_or_a_json_object(content_type, payload, answer):
    """A page of HTML, or JSON without a reply, must not be sent by SMS."""
    assert decode_answer(content_type, payload) == answer


@pytest.mark.parametrize(
    ("content_type", "payload", "clause"),
    [
        ("application/json", b"{", "the answer is not valid JSON"),
        ("application/json", b'{"reply": 1}', "`reply` of the answer is not text"),
        ("application/json", b'{"hex": "0"}', "`hex` of the answer is not hexadecimal"),
        ("", b"\xff", "the answer is not UTF-8"),
        ("", b"x" * 70000, "the answer has more than 65536 octets"),
    ],
)
def test_unusable_answer_is_named(content_type, payload, clause):
    """The operator learns why nothing was sent."""
    with pytest.raises(AnswerFormatError, match=clause):
        decode_answer(content_type, payload)
