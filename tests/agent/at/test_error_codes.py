"""The tables of error codes: names, words, and retry classes."""

import pytest

from agent.at.error_codes import (
    CME_ERRORS,
    CMS_ERRORS,
    ErrorClass,
    ErrorKind,
    classify_error,
    find_error_code,
    find_error_name,
)

CMS, CME = ErrorKind.CMS, ErrorKind.CME


@pytest.mark.parametrize(
    ("kind", "words", "code"),
    [
        (CMS, "unknown error", 500),
        (CMS, "Unknown Error (U)", 500),
        (CMS, "SIM busy", 314),
        (CME, "SIM busy", 14),
        (CME, "no network", 30),
        (CME, "no network service", 30),
        (CMS, "something new", None),
    ],
)
def test_words_have_their_number(kind, words, code):
    """Under +CMEE=2 the same errors come as words."""
    assert find_error_code(kind, words) == code


@pytest.mark.parametrize(
    ("kind", "code", "before", "after"),
    [
        (CMS, 38, ErrorClass.RETRY_LATER, ErrorClass.RETRY_LATER),
        (CMS, 41, ErrorClass.RETRY_SOON, ErrorClass.RETRY_SOON),
        (CMS, 69, ErrorClass.PERMANENT, ErrorClass.PERMANENT),
        (CMS, 21, ErrorClass.BARRED, ErrorClass.BARRED),
        (CMS, 197, ErrorClass.ALREADY_DELIVERED, ErrorClass.ALREADY_DELIVERED),
        (CMS, 304, ErrorClass.PERMANENT, ErrorClass.PERMANENT),
        (CMS, 314, ErrorClass.RETRY_SOON, ErrorClass.RETRY_SOON),
        (CMS, 322, ErrorClass.STORE_FULL, ErrorClass.STORE_FULL),
        (CMS, 330, ErrorClass.NOT_READY, ErrorClass.NOT_READY),
        (CMS, 331, ErrorClass.NOT_READY, ErrorClass.NOT_READY),
        (CMS, 332, ErrorClass.RETRY_SOON, ErrorClass.OUTCOME_UNKNOWN),
        (CMS, 500, ErrorClass.RETRY_SOON, ErrorClass.OUTCOME_UNKNOWN),
        (CMS, 512, ErrorClass.RETRY_SOON, ErrorClass.OUTCOME_UNKNOWN),
        (CMS, 515, ErrorClass.RETRY_SOON, ErrorClass.RETRY_SOON),
        (CMS, 225, ErrorClass.RETRY_SOON, ErrorClass.OUTCOME_UNKNOWN),
        (CMS, 77, ErrorClass.RETRY_SOON, ErrorClass.RETRY_SOON),
        (CMS, 240, ErrorClass.RETRY_SOON, ErrorClass.OUTCOME_UNKNOWN),
        (CMS, 220, ErrorClass.PERMANENT, ErrorClass.PERMANENT),
        (CME, 10, ErrorClass.NOT_READY, ErrorClass.NOT_READY),
        (CME, 14, ErrorClass.RETRY_SOON, ErrorClass.RETRY_SOON),
        (CME, 16, ErrorClass.PERMANENT, ErrorClass.PERMANENT),
        (CME, 3517, ErrorClass.RETRY_SOON, ErrorClass.OUTCOME_UNKNOWN),
        (ErrorKind.PLAIN, None, ErrorClass.RETRY_SOON, ErrorClass.RETRY_SOON),
        (CMS, None, ErrorClass.RETRY_SOON, ErrorClass.RETRY_SOON),
    ],
)
def test_retry_class_before_and_after_the_body(kind, code, before, after):
    """An error without a known meaning leaves the outcome unknown only after the body."""
    assert classify_error(kind, code, after_body=False) is before
    assert classify_error(kind, code, after_body=True) is after


def test_each_code_has_a_name():
    """Logs show the name with the number."""
    assert all(text for table in (CMS_ERRORS, CME_ERRORS) for text, _ in table.values())
    assert find_error_name(CMS, 321) == "invalid memory index"
    assert find_error_name(CME, 999) == ""


@pytest.mark.parametrize(
    ("kind", "error_class", "codes"),
    [
        (CMS, ErrorClass.RETRY_SOON, (41, 81, 98, 301, 314, 320, 341, 515)),
        (
            CMS,
            ErrorClass.RETRY_LATER,
            (17, 22, 27, 38, 42, 47, 111, 127, 192, 194, 209, 210, 212, 213, 255, 300),
        ),
        (CMS, ErrorClass.NOT_READY, (28, 302, 310, 311, 312, 313, 315, 316, 330, 331)),
        (CMS, ErrorClass.STORE_FULL, (208, 211, 322)),
        (
            CMS,
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
        (CMS, ErrorClass.BARRED, (8, 10, 21, 510)),
        (CMS, ErrorClass.ALREADY_DELIVERED, (197,)),
        (CMS, ErrorClass.OUTCOME_UNKNOWN, (332, 500, 350)),
        (CME, ErrorClass.RETRY_SOON, (14, 23, 52, 100)),
        (CME, ErrorClass.RETRY_LATER, (0, 1, 2, 31, 57, 60, 122, 126)),
        (
            CME,
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
        (CME, ErrorClass.STORE_FULL, (20,)),
        (CME, ErrorClass.PERMANENT, (4, 16, 21, 22, 24, 25, 26, 27, 48, 49, 50, 51, 56, 58, 59, 61, 62)),
    ],
)
def test_retry_class_of_each_code(kind, error_class, codes):
    """A changed class decides about messages and money: it must be changed here as well."""
    table = CMS_ERRORS if kind is CMS else CME_ERRORS
    assert tuple(code for code, (_, found) in table.items() if found is error_class) == codes
