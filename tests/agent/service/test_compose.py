import pytest

import pdu
from agent.service.compose import ComposeError, ReplyConfig, compose
from agent.service.profile import SERVICE_PROFILES

SIM = SERVICE_PROFILES["super-sim"]
WIRELESS = SERVICE_PROFILES["programmable-wireless"]
SID = "HC0123456789abcdef0123456789abcdef"


def texts(content, sid=None, service=SIM, **rules):
    parts = compose(content, sid, service, ReplyConfig(**rules), 7)
    return [part.text for part in parts]


@pytest.mark.parametrize("length", [1, 159, 160])
def test_what_fits_is_sent_as_it_is(length):
    """Up to 160 septets in one message."""
    assert texts("x" * length) == ["x" * length]


def test_a_brace_costs_two():
    """Septets are counted, not characters."""
    assert texts("{" * 80) == ["{" * 80]
    assert texts("{" * 81) == ["{" * 79 + ".."]


@pytest.mark.parametrize("length", [161, 200, 100_000])
def test_a_long_reply_is_cut_and_marked(length):
    """One message unless more are allowed, and never without the mark."""
    assert texts("x" * length) == ["x" * 158 + ".."]


def test_more_parts_are_a_setting():
    """Two parts of 153 septets; the third would cost too much."""
    [one, two] = texts("x" * 400, max_parts=2)
    assert one + two == "x" * 304 + ".."


def test_foreign_characters_become_question_marks():
    """A curly quote must not turn a message of 160 characters into three."""
    assert texts("set \u201con\u201d") == ["set ?on?"]
    assert texts("set \u201con\u201d", allow_ucs2=True) == ["set \u201con\u201d"]
    assert texts("\u20ac") == ["\u20ac"]


def test_ucs2_is_cut_at_seventy():
    """With allow_ucs2 one message holds 70 characters, the mark among them."""
    assert texts("\u4e2d" * 71, allow_ucs2=True) == ["\u4e2d" * 68 + ".."]


def test_the_sid_stands_in_front_when_asked_for():
    """The prefix as the services write it, a space, the answer; 125 characters are left."""
    assert texts("on", SID, reply_sid="start") == [f"{SID} on"]
    assert texts("x" * 126, SID, reply_sid="start") == [f"{SID} " + "x" * 123 + ".."]
    assert texts("on", SID) == ["on"]
    assert texts("on", None, reply_sid="start") == ["on"]


def test_octets_go_where_the_service_carries_them():
    """140 octets on Programmable Wireless, none on Super SIM, never half of them."""
    [part] = compose(bytes(140), None, WIRELESS, ReplyConfig(), 1)
    assert part.data == bytes(140)
    assert part.alphabet is pdu.Alphabet.OCTETS
    with pytest.raises(ComposeError, match="super-sim carries no binary"):
        compose(b"x", None, SIM, ReplyConfig(), 1)
    with pytest.raises(ComposeError, match="141 octets needs 2 messages"):
        compose(bytes(141), None, WIRELESS, ReplyConfig(), 1)
