"""National language shift tables: 3GPP TS 23.038 annex A."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from importlib.resources import files

import pytest

from pdu import NationalLanguage, UserData, gsm7, national

CODES = range(1, 14)


def test_tables_have_known_checksum():
    """The data file is the one that was compared cell by cell with six sources."""
    data = files("pdu").joinpath("gsm7_tables.json").read_bytes()
    assert hashlib.sha256(data).hexdigest().startswith("810ad0d71ecccf46")


@pytest.mark.parametrize("code", CODES)
def test_locking_table_round_trips(code):
    """Reserved positions are decoded as a space, which is encoded as 0x20."""
    table = national.locking_table(code)
    encoding = national.make_encoder(None, code)
    assert len(table) == 128
    for septet, character in enumerate(table):
        if septet == gsm7.ESCAPE:
            continue
        assert gsm7.decode(bytes((septet,)), table) == character
        written = encoding.encode(character)
        assert written is not None
        assert gsm7.decode(written, table) == character
        assert len(written) == 1
    assert encoding.encode(" ") == b" "


@pytest.mark.parametrize("code", CODES)
def test_single_shift_table_round_trips(code):
    """A character takes two septets, or one if the main table has it."""
    table = national.single_shift_table(code)
    encoding = national.make_encoder(code, None)
    for septet, character in table.items():
        pair = bytes((gsm7.ESCAPE, septet))
        assert gsm7.decode(pair, gsm7.DEFAULT_ALPHABET, table) == character
        written = encoding.encode(character)
        if (code, septet) == national.DECODE_ONLY_EURO:
            assert written is None
        else:
            assert written is not None
            assert gsm7.decode(written, gsm7.DEFAULT_ALPHABET, table) == character
            assert len(written) == (1 if character in gsm7.DEFAULT_ALPHABET else 2)


@pytest.mark.parametrize("code", range(4, 14))
@pytest.mark.parametrize(("lower", "character"), [(0x13, "¡"), (0x0B, "*")])
def test_duplicate_character_takes_lower_code(code, lower, character):
    """The inverted exclamation mark and the asterisk occur twice in tables 4 to 13."""
    assert sum(value == character for value in national.single_shift_table(code).values()) == 2
    assert national.make_encoder(code, code).encode(character) == bytes((gsm7.ESCAPE, lower))


@pytest.mark.parametrize("code", range(1, 14))
def test_euro_sign_is_not_written_in_telugu(code):
    """It is decoded in every single shift table; only some copies of the standard have the Telugu one."""
    euro = bytes((gsm7.ESCAPE, 0x65))
    assert gsm7.decode(euro, gsm7.DEFAULT_ALPHABET, national.single_shift_table(code)) == "€"
    assert national.make_encoder(code, None).encode("€") == (None if code == 12 else euro)


def test_spanish_has_default_locking_table():
    """The standard defines no locking shift table 2."""
    assert national.locking_table(2) == gsm7.DEFAULT_ALPHABET


@pytest.mark.parametrize(
    ("language", "text", "septets"),
    [
        (NationalLanguage(single=3), "êçãõ ÀÂ Φ", 15),
        (NationalLanguage(locking=3), "ação Ônibus ú | ~", 17),
        (NationalLanguage(single=2), "añó ÁÍÓÚ áíóú ç €", 28),
        (NationalLanguage(single=13, locking=13), "اآبٻڀپڦتۂٿ ۰۱۲۳۴", 21),
        (NationalLanguage(single=1), "çok \u0131ş\u0131k ŞİĞ {x}", 25),
        (NationalLanguage(single=1, locking=3), "ação Ş", 7),
    ],
)
def test_user_data_with_languages_round_trips(language, text, septets):
    """The elements select the tables both ways: single, locking, both, and two languages at once."""
    user_data = UserData.of(text, header=language.elements)
    assert user_data.text == text
    assert user_data.septets == septets
    assert user_data.national_language == language


def test_tables_are_loaded_on_first_use():
    """Importing the codec and decoding plain messages opens no data file."""
    code = (
        "import sys, pdu\n"
        "pdu.decode('07914151550501F004038100F00000622030405060000AE8329BFD4697D9EC37').text\n"
        "print('json' in sys.modules, 'pdu.national' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.split() == ["False", "False"]
