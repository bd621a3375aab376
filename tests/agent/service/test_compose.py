import pytest

import pdu
from agent.service.compose import ComposeError, ReplyConfig, compose
from agent.service.profile import SERVICE_PROFILES

SIM = SERVICE_PROFILES["super-sim"]
WIRELESS = SERVICE_PROFILES["programmable-wireless"]
SID = "HC0123456789abcdef0123456789abcdef"


def texts(content, sid=None, service=SIM, **rules):
    return [part.text for part in compose(content, sid, service, ReplyConfig(**rules), 7).parts]


@pytest.mark.parametrize("length", [1, 159, 160])
def test_short_reply_is_unchanged(length):
    """Up to 160 septets go into one message."""
    assert texts("x" * length) == ["x" * length]


def test_extension_character_takes_two_septets():
    """The limit counts septets, not characters."""
    assert texts("{" * 80) == ["{" * 80]
    assert texts("{" * 81) == ["{" * 79 + ".."]


@pytest.mark.parametrize("length", [161, 200, 100_000])
def test_long_reply_is_truncated_and_marked(length):
    """It is one message unless more are allowed, and it ends with the mark."""
    assert texts("x" * length) == ["x" * 158 + ".."]


def test_number_of_omitted_characters_is_returned():
    """It counts the characters of the reply that were cut off, not those that the mark replaced."""
    assert compose("x" * 160, None, SIM, ReplyConfig(), 7).omitted == 0
    assert compose("x" * 161, None, SIM, ReplyConfig(), 7).omitted == 3
    assert compose("x" * 100_000, None, SIM, ReplyConfig(), 7).omitted == 100_000 - 158
    assert compose("x" * 400, None, SIM, ReplyConfig(max_parts=2), 7).omitted == 400 - 304


def test_max_parts_allows_more_messages():
    """With max_parts = 2 there are two parts of 153 septets and no third."""
    [one, two] = texts("x" * 400, max_parts=2)
    assert one + two == "x" * 304 + ".."


def test_characters_outside_gsm7_become_question_marks():
    """One curly quote must not turn a message of 160 characters into three messages."""
    assert texts("set \u201con\u201d") == ["set ?on?"]
    assert texts("set \u201con\u201d", allow_ucs2=True) == ["set \u201con\u201d"]
    assert texts("\u20ac") == ["\u20ac"]


def test_ucs2_reply_is_truncated_at_70_characters():
    """With allow_ucs2 one message has 70 characters, including the mark."""
    assert texts("\u4e2d" * 71, allow_ucs2=True) == ["\u4e2d" * 68 + ".."]


def test_reply_sid_start_puts_sid_in_front():
    """The SID and a space leave 125 characters for the reply."""
    assert texts("on", SID, reply_sid="start") == [f"{SID} on"]
    assert texts("x" * 126, SID, reply_sid="start") == [f"{SID} " + "x" * 123 + ".."]
    assert texts("on", SID) == ["on"]
    assert texts("on", None, reply_sid="start") == ["on"]


def test_binary_reply_needs_binary_service():
    """Programmable Wireless carries 140 octets, Super SIM none; a binary reply is never truncated."""
    [part] = compose(bytes(140), None, WIRELESS, ReplyConfig(), 1).parts
    assert part.data == bytes(140)
    assert part.alphabet is pdu.Alphabet.OCTETS
    with pytest.raises(ComposeError, match="super-sim cannot carry a binary reply"):
        compose(b"x", None, SIM, ReplyConfig(), 1)
    with pytest.raises(ComposeError, match="141 octets needs 2 messages"):
        compose(bytes(141), None, WIRELESS, ReplyConfig(), 1)
