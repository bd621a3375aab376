"""The code tables: names, words, and whether trying again helps."""

import pytest

from agent.at.error_codes import (
    CME_ERRORS,
    CMS_ERRORS,
    ErrorClass,
    classify_error,
    find_error_code,
    find_error_name,
)


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
    assert find_error_code(kind, words) == code


@pytest.mark.parametrize(
    ("kind", "code", "before", "after"),
    [
        ("cms", 38, ErrorClass.RETRY_LATER, ErrorClass.RETRY_LATER),
        ("cms", 41, ErrorClass.RETRY_SOON, ErrorClass.RETRY_SOON),
        ("cms", 69, ErrorClass.PERMANENT, ErrorClass.PERMANENT),
        ("cms", 21, ErrorClass.BARRED, ErrorClass.BARRED),
        ("cms", 197, ErrorClass.ALREADY_DELIVERED, ErrorClass.ALREADY_DELIVERED),
        ("cms", 304, ErrorClass.PERMANENT, ErrorClass.PERMANENT),
        ("cms", 314, ErrorClass.RETRY_SOON, ErrorClass.RETRY_SOON),
        ("cms", 322, ErrorClass.STORE_FULL, ErrorClass.STORE_FULL),
        ("cms", 330, ErrorClass.NOT_READY, ErrorClass.NOT_READY),
        ("cms", 331, ErrorClass.NOT_READY, ErrorClass.NOT_READY),
        ("cms", 332, ErrorClass.RETRY_SOON, ErrorClass.OUTCOME_UNKNOWN),
        ("cms", 500, ErrorClass.RETRY_SOON, ErrorClass.OUTCOME_UNKNOWN),
        ("cms", 512, ErrorClass.RETRY_SOON, ErrorClass.OUTCOME_UNKNOWN),
        ("cms", 515, ErrorClass.RETRY_SOON, ErrorClass.RETRY_SOON),
        ("cms", 225, ErrorClass.RETRY_SOON, ErrorClass.OUTCOME_UNKNOWN),
        ("cms", 77, ErrorClass.RETRY_SOON, ErrorClass.RETRY_SOON),
        ("cms", 240, ErrorClass.RETRY_SOON, ErrorClass.OUTCOME_UNKNOWN),
        ("cms", 220, ErrorClass.PERMANENT, ErrorClass.PERMANENT),
        ("cme", 10, ErrorClass.NOT_READY, ErrorClass.NOT_READY),
        ("cme", 14, ErrorClass.RETRY_SOON, ErrorClass.RETRY_SOON),
        ("cme", 16, ErrorClass.PERMANENT, ErrorClass.PERMANENT),
        ("cme", 3517, ErrorClass.RETRY_SOON, ErrorClass.OUTCOME_UNKNOWN),
        ("error", None, ErrorClass.RETRY_SOON, ErrorClass.RETRY_SOON),
        ("cms", None, ErrorClass.RETRY_SOON, ErrorClass.RETRY_SOON),
    ],
)
def test_classes(kind, code, before, after):
    """Each kind of trouble has its class; what nobody knows may have sent the message, once its body left."""
    assert classify_error(kind, code, after_body=False) is before
    assert classify_error(kind, code, after_body=True) is after


def test_every_number_has_a_name():
    """A person reads the name, not the number."""
    assert all(text for table in (CMS_ERRORS, CME_ERRORS) for text, _ in table.values())
    assert find_error_name("cms", 321) == "invalid memory index"
    assert find_error_name("cme", 999) == ""


@pytest.mark.parametrize(
    ("kind", "error_class", "codes"),
    [
        ("cms", ErrorClass.RETRY_SOON, (41, 81, 98, 301, 314, 320, 341, 515)),
        (
            "cms",
            ErrorClass.RETRY_LATER,
            (17, 22, 27, 38, 42, 47, 111, 127, 192, 194, 209, 210, 212, 213, 255, 300),
        ),
        ("cms", ErrorClass.NOT_READY, (28, 302, 310, 311, 312, 313, 315, 316, 330, 331)),
        ("cms", ErrorClass.STORE_FULL, (208, 211, 322)),
        (
            "cms",
            ErrorClass.PERMANENT,
            (
                1,
                29,
                30,
                50,
                69,
                95,
                96,
                97,
                99,
                128,
                129,
                130,
                143,
                144,
                145,
                159,
                160,
                161,
                175,
                176,
                193,
                195,
                196,
                198,
                199,
                303,
                304,
                305,
                317,
                318,
                321,
                340,
                323,
                324,
                325,
                342,
                513,
            ),
        ),
        ("cms", ErrorClass.BARRED, (8, 10, 21, 510)),
        ("cms", ErrorClass.ALREADY_DELIVERED, (197,)),
        ("cms", ErrorClass.OUTCOME_UNKNOWN, (332, 500, 350)),
        ("cme", ErrorClass.RETRY_SOON, (14, 23, 52, 100)),
        ("cme", ErrorClass.RETRY_LATER, (0, 1, 2, 31, 57, 60, 122, 126)),
        (
            "cme",
            ErrorClass.NOT_READY,
            (
                3,
                5,
                6,
                7,
                10,
                11,
                12,
                13,
                15,
                17,
                18,
                30,
                32,
                40,
                41,
                42,
                43,
                44,
                45,
                46,
                47,
                53,
                54,
                55,
                103,
                106,
                107,
                111,
                112,
                113,
            ),
        ),
        ("cme", ErrorClass.STORE_FULL, (20,)),
        ("cme", ErrorClass.PERMANENT, (4, 16, 21, 22, 24, 25, 26, 27, 48, 49, 50, 51, 56, 58, 59, 61, 62)),
    ],
)
def test_the_class_of_each_number(kind, error_class, codes):
    """A row that changes its class decides about messages and money: it is changed here as well."""
    table = CMS_ERRORS if kind == "cms" else CME_ERRORS
    assert tuple(code for code, (_, found) in table.items() if found is error_class) == codes
