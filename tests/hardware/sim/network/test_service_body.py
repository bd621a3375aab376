"""User data of a Command: lengths in septets, the SID in the body, long texts."""

from __future__ import annotations

import pytest

from hardware.sim.service.body import build_user_data
from hardware.sim.service.errors import ServiceError
from hardware.sim.service.product import PROGRAMMABLE_WIRELESS
from hardware.sim.service.request import CreateRequest
from hardware.sim.service.rules import Admission, LongText, ServiceRules

SID = "DC0123456789abcdef0123456789abcdef"


def texts(body, rules=None, **how):
    order = CreateRequest(sim="meter", body=body, **how)
    parts = build_user_data(PROGRAMMABLE_WIRELESS, order, SID, 7, rules or ServiceRules())
    return [part.text for part in parts]


def refused(body, rules=None, **how):
    with pytest.raises(ServiceError) as caught:
        texts(body, rules, **how)
    assert (caught.value.status, caught.value.code) == (400, 33101)
    return caught.value.message


@pytest.mark.parametrize("body", ["x", "x" * 160, "{" * 80, "é" * 160, "☃" * 70, "\U0001f600" * 35])
def test_body_that_fits(body):
    """160 septets, where extension characters count two, or 70 units of UCS-2, as one SMS."""
    assert texts(body) == [body]


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ("x" * 161, "161 septets"),
        ("{" * 80 + "x", "161 septets"),
        ("☃" * 71, "71 UCS-2 units"),
        ("\U0001f600" * 36, "72 UCS-2 units"),
    ],
)
def test_body_that_is_too_long_is_refused(body, says):
    """The sentence gives the length and the limit."""
    assert says in refused(body)


def test_position_of_the_sid():
    """At the start with a space after it, at the end with a space before it."""
    assert texts("led on", include_sid="start") == [f"{SID} led on"]
    assert texts("led on", include_sid="end") == [f"led on {SID}"]


@pytest.mark.parametrize("where", ["start", "end"])
def test_length_limit_with_a_sid(where):
    """125 septets or 35 units; 126 to 128, which the document allows, would need 161 to 163: refused."""
    for body in ("x" * 125, "{" * 62 + "x", "☃" * 35):
        (text,) = texts(body, include_sid=where)
        assert SID in text
        assert body in text
    for body in ("x" * 126, "x" * 128, "x" * 129, "{" * 63, "☃" * 36):
        refused(body, include_sid=where)


def test_long_text_is_split_if_allowed():
    """Into parts with one reference; with a SID it is refused."""
    rules = ServiceRules(long_text=LongText.SPLIT)
    assert "".join(texts("x{" * 200, rules)) == "x{" * 200
    order = CreateRequest(sim="meter", body="x" * 200)
    parts = build_user_data(PROGRAMMABLE_WIRELESS, order, SID, 7, rules)
    assert [(part.concatenation.reference, part.concatenation.number) for part in parts] == [(7, 1), (7, 2)]
    refused("x" * 160 * 255, rules)
    refused("x" * 126, rules, include_sid="end")


def test_long_text_is_truncated_if_chosen():
    """To one SMS, between characters."""
    rules = ServiceRules(long_text=LongText.TRUNCATE)
    assert texts("x" * 161, rules) == ["x" * 160]
    assert texts("x" + "{" * 80, rules) == ["x" + "{" * 79]
    assert texts("\U0001f600" * 36, rules) == ["\U0001f600" * 35]
    assert texts("x" * 160, rules) == ["x" * 160]


def test_sid_overrun_is_a_rule():
    """126 to 128 characters are split, or cut at the end; 129 are refused whatever is chosen."""
    split, cut = ServiceRules(sid_overrun=LongText.SPLIT), ServiceRules(sid_overrun=LongText.TRUNCATE)
    for length in (126, 128):
        for where in ("start", "end"):
            parts = texts("x" * length, split, include_sid=where)
            whole = f"{SID} {'x' * length}" if where == "start" else f"{'x' * length} {SID}"
            assert (len(parts), "".join(parts)) == (2, whole)
            assert texts("x" * length, cut, include_sid=where) == [whole[:160]]
            refused("x" * 129, split, include_sid=where)
    assert len(texts("x" * 125, split, include_sid="end")) == 1
    assert texts("☃" * 38, cut, include_sid="start") == [f"{SID} {'☃' * 35}"]
    refused("☃" * 39, cut, include_sid="start")


def test_ucs2_is_a_rule():
    """Refused, if the service knows the default alphabet only."""
    rules = ServiceRules(ucs2=Admission.REFUSE)
    assert "outside GSM 03.38" in refused("☃", rules)
    assert texts("é{", rules) == ["é{"]


def test_binary_is_eight_bit_data():
    """A whole user data field of 140 octets, without header."""
    order = CreateRequest(sim="meter", body="...", data=bytes(range(140)), mode="binary")
    (part,) = build_user_data(PROGRAMMABLE_WIRELESS, order, SID, 7, ServiceRules())
    assert (part.data, part.header, part.data_coding_scheme) == (bytes(range(140)), (), 4)
