"""GSM 7-bit default alphabet and its extension table."""

from __future__ import annotations

import json
import unicodedata
from importlib.resources import files

import pytest

from pdu import gsm7, septets

TABLES = json.loads(files("pdu").joinpath("gsm7_tables.json").read_text())


def test_default_alphabet_equals_data_file():
    """The tables in the code and those in the data file are equal."""
    default = TABLES["default"]
    assert "".join(chr(code) for code in default["locking"]) == gsm7.DEFAULT_ALPHABET
    assert {int(key, 16): chr(code) for key, code in default["single"].items()} == gsm7.EXTENSION_TABLE


@pytest.mark.parametrize("code", [code for code in range(128) if code != gsm7.ESCAPE])
def test_every_septet_round_trips(code):
    """All 127 characters of the main table are encoded and decoded."""
    character = gsm7.DEFAULT_ALPHABET[code]
    assert gsm7.decode(bytes((code,))) == character
    assert gsm7.encode(character) == bytes((code,))
    assert gsm7.encode(f"é{character}é") == bytes((5, code, 5))


@pytest.mark.parametrize("code", sorted(gsm7.EXTENSION_TABLE))
def test_extension_character_takes_two_septets(code):
    """Escape and code round-trip, alone and among other characters."""
    character = gsm7.EXTENSION_TABLE[code]
    pair = bytes((gsm7.ESCAPE, code))
    assert gsm7.encode(character) == pair
    assert gsm7.decode(pair) == character
    assert gsm7.encode(f"a{character}{character}é") == b"\x61" + pair + pair + b"\x05"
    assert gsm7.decode(b"\x61" + pair + pair + b"\x05") == f"a{character}{character}é"
    assert septets(character * 80) == 160


@pytest.mark.parametrize(
    ("octets", "text"),
    [
        ("1B", " "),  # an escape and nothing behind it
        ("611B", "a "),
        ("1B1B", " "),
        ("1B1B65", " e"),
        ("1B1B1B65", " €"),
        ("1B61", "a"),  # not defined in the extension: as in the main table
        ("1B00", "@"),
        ("1B10", "Δ"),
        ("1B0D", "\r"),
        ("1B0A", "\f"),
        ("10", "Δ"),
        ("1065", "Δe"),
    ],
)
def test_any_septets_decode(octets, text):
    """Undefined escapes are decoded as 23.038 6.2.1.1 requires."""
    assert gsm7.decode(bytes.fromhex(octets)) == text


@pytest.mark.parametrize(
    "text",
    [
        "ç",
        "`",
        "\t",
        "\0",
        "\x1b",
        "\x7f",
        "\x80",
        "\xa0",
        "ÿ",
        "\u2019",
        "имя",
        "🚀",
        "\ud83d",
        "\ufffe",
        "\uffff",
    ],
)
def test_character_outside_alphabet_gives_none(text):
    """The result is None, alone and among other characters: nothing is replaced silently."""
    assert gsm7.encode(text) is None
    assert gsm7.encode(f"abc{text}def") is None
    assert gsm7.encode(f"Ä{text}€") is None
    assert septets(text) is None


def test_only_alphabet_characters_encode():
    """Of the whole basic plane only the characters of the two tables can be encoded."""
    known = set(gsm7.DEFAULT_ALPHABET) - {"\x1b"} | set(gsm7.EXTENSION_TABLE.values())
    encodable = {chr(code) for code in range(0x10000) if gsm7.encode(chr(code)) is not None}
    assert encodable == known
    assert len(known) == 137


@pytest.mark.parametrize(
    ("text", "count"),
    [("", 0), ("led on", 6), ("[21,5 €]", 11), ("{}", 4), ("Grüße", 5), ("@" * 160, 160), ("21,5 °C", None)],
)
def test_septets_counts_extension_characters_twice(text, count):
    """It is None if the alphabet lacks a character."""
    assert septets(text) == count


def test_tables_have_no_unassigned_character():
    """A typing error in the data would probably be an unassigned code point."""
    for table in TABLES.values():
        codes = [code for code in table["locking"] or () if code is not None] + list(table["single"].values())
        assert all(unicodedata.category(chr(code)) != "Cn" for code in codes)
