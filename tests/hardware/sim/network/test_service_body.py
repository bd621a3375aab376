"""User data of a Command: lengths in septets, the SID in the body, rules for long texts."""

from __future__ import annotations

import pytest

from hardware.sim.service.body import build_user_data, truncate
from hardware.sim.service.errors import ServiceError
from hardware.sim.service.product import PROGRAMMABLE_WIRELESS, ServiceRules
from hardware.sim.service.request import CreateRequest

SID = "DC0123456789abcdef0123456789abcdef"


def texts(body, rules=None, **how):
    order = CreateRequest(sim="meter", body=body, **how)
    parts = build_user_data(PROGRAMMABLE_WIRELESS, rules or ServiceRules(), order, SID, 7)
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


def test_rule_for_126_to_128_characters():
    """Cut leaves an incomplete SID at the end, split makes two parts; 129 and more is refused."""
    for length, whole in ((126, 33), (128, 31)):
        (text,) = texts("x" * length, ServiceRules(long_text_with_sid="cut"), include_sid="end")
        assert text == "x" * length + " " + SID[:whole]
        (text,) = texts("x" * length, ServiceRules(long_text_with_sid="cut"), include_sid="start")
        assert text == f"{SID} " + "x" * 125
        parts = texts("x" * length, ServiceRules(long_text_with_sid="split"), include_sid="end")
        assert "".join(parts) == "x" * length + " " + SID
        assert len(parts) == 2
    for rule in ("cut", "split"):
        refused("x" * 129, ServiceRules(long_text_with_sid=rule), include_sid="end")


def test_rule_for_long_text():
    """Cut to one SMS, or split into parts with one reference."""
    assert texts("x" * 200, ServiceRules(long_text="cut")) == ["x" * 160]
    assert texts("☃" * 100, ServiceRules(long_text="cut")) == ["☃" * 70]
    assert "".join(texts("x{" * 200, ServiceRules(long_text="split"))) == "x{" * 200
    order = CreateRequest(sim="meter", body="x" * 200)
    parts = build_user_data(PROGRAMMABLE_WIRELESS, ServiceRules(long_text="split"), order, SID, 7)
    assert [(part.concatenation.reference, part.concatenation.number) for part in parts] == [(7, 1), (7, 2)]
    refused("x" * 160 * 255, ServiceRules(long_text="split"))


def test_cut_does_not_split_pairs():
    """Neither an escape sequence nor a surrogate pair."""
    assert truncate("x" + "{" * 80) == "x" + "{" * 79
    assert truncate("x" + "\U0001f600" * 40) == "x" + "\U0001f600" * 34


def test_rule_for_ucs2():
    """If the service does not allow UCS-2, such a text is refused, however short."""
    refused("☃", ServiceRules(allow_ucs2=False))
    assert texts("é", ServiceRules(allow_ucs2=False)) == ["é"]


def test_binary_is_eight_bit_data():
    """A whole user data field of 140 octets, without header."""
    order = CreateRequest(sim="meter", body="...", data=bytes(range(140)), mode="binary")
    (part,) = build_user_data(PROGRAMMABLE_WIRELESS, ServiceRules(), order, SID, 7)
    assert (part.data, part.header, part.data_coding_scheme) == (bytes(range(140)), (), 4)
