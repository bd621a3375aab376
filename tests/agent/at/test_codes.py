"""The code tables: names, words, and whether trying again helps."""

import pytest

from agent.at.codes import CME, CMS, ErrorClass, classify, name, number


@pytest.mark.parametrize(
    ("kind", "words", "code"),
    [
        ("cms", "unknown error", 500),
        ("cms", "Unknown Error (U)", 500),
        ("cms", "SIM busy", 314),
        ("cme", "SIM busy", 14),
        ("cme", "no network", 30),
        ("cme", "no network service", 30),
        ("cms", "something new", None),
    ],
)
def test_words_are_numbers(kind, words, code):
    """Under +CMEE=2 the same errors come as words."""
    assert number(kind, words) == code


@pytest.mark.parametrize(
    ("kind", "code", "before", "after"),
    [
        ("cms", 38, ErrorClass.LATER, ErrorClass.LATER),
        ("cms", 41, ErrorClass.TEMPORARY, ErrorClass.TEMPORARY),
        ("cms", 69, ErrorClass.PERMANENT, ErrorClass.PERMANENT),
        ("cms", 21, ErrorClass.QUOTA, ErrorClass.QUOTA),
        ("cms", 197, ErrorClass.AS_SENT, ErrorClass.AS_SENT),
        ("cms", 304, ErrorClass.PERMANENT, ErrorClass.PERMANENT),
        ("cms", 314, ErrorClass.TEMPORARY, ErrorClass.TEMPORARY),
        ("cms", 322, ErrorClass.STORE_FULL, ErrorClass.STORE_FULL),
        ("cms", 330, ErrorClass.NOT_READY, ErrorClass.NOT_READY),
        ("cms", 331, ErrorClass.NOT_READY, ErrorClass.NOT_READY),
        ("cms", 332, ErrorClass.TEMPORARY, ErrorClass.UNKNOWN),
        ("cms", 500, ErrorClass.TEMPORARY, ErrorClass.UNKNOWN),
        ("cms", 512, ErrorClass.TEMPORARY, ErrorClass.UNKNOWN),
        ("cms", 515, ErrorClass.TEMPORARY, ErrorClass.TEMPORARY),
        ("cms", 225, ErrorClass.TEMPORARY, ErrorClass.UNKNOWN),
        ("cms", 77, ErrorClass.TEMPORARY, ErrorClass.TEMPORARY),
        ("cms", 240, ErrorClass.TEMPORARY, ErrorClass.UNKNOWN),
        ("cms", 220, ErrorClass.PERMANENT, ErrorClass.PERMANENT),
        ("cme", 10, ErrorClass.NOT_READY, ErrorClass.NOT_READY),
        ("cme", 14, ErrorClass.TEMPORARY, ErrorClass.TEMPORARY),
        ("cme", 16, ErrorClass.PERMANENT, ErrorClass.PERMANENT),
        ("cme", 3517, ErrorClass.TEMPORARY, ErrorClass.UNKNOWN),
        ("error", None, ErrorClass.TEMPORARY, ErrorClass.TEMPORARY),
        ("cms", None, ErrorClass.TEMPORARY, ErrorClass.TEMPORARY),
    ],
)
def test_classes(kind, code, before, after):
    """Each kind of trouble has its class; what nobody knows may have sent the message, once its body left."""
    assert classify(kind, code, after_body=False) is before
    assert classify(kind, code, after_body=True) is after


def test_every_number_has_a_name():
    """A person reads the name, not the number."""
    assert all(text for table in (CMS, CME) for text, _ in table.values())
    assert name("cms", 321) == "invalid memory index"
    assert name("cme", 999) == ""
