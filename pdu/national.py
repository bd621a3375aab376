"""The national language tables, loaded from the package's data at first use (23.038 annex A)."""

from __future__ import annotations

import json
from functools import cache
from importlib.resources import files

from pdu import gsm7

DECODE_ONLY_EURO = (12, 0x65)
"""Language and code of a character that is decoded but not written: only some copies of the standard have the
€ in the Telugu single shift table."""


@cache
def _load_tables() -> dict[int, tuple[str, dict[int, str]]]:
    """Load all tables: language code to locking and single shift table. Reserved positions are spaces."""
    text = files("pdu").joinpath("gsm7_tables.json").read_text(encoding="ascii")
    tables = {}
    for key, table in json.loads(text).items():
        codes = table["locking"]
        locking = (
            gsm7.DEFAULT_ALPHABET
            if codes is None
            else "".join(chr(0x20 if code is None else code) for code in codes)
        )
        single = {int(septet, 16): chr(code) for septet, code in table["single"].items()}
        tables[0 if key == "default" else int(key)] = locking, single
    return tables


def locking_table(code: int | None) -> str:
    """Return the locking shift table of a language; for None, the default alphabet."""
    return gsm7.DEFAULT_ALPHABET if code is None else _load_tables()[code][0]


def single_shift_table(code: int | None) -> dict[int, str]:
    """Return the single shift table of a language; for None, the default extension table."""
    return gsm7.EXTENSION_TABLE if code is None else _load_tables()[code][1]


@cache
def make_encoder(single_code: int | None, locking_code: int | None) -> gsm7.SeptetEncoder:
    """Return the encoder for the tables of these languages."""
    shift = single_shift_table(single_code)
    if single_code == DECODE_ONLY_EURO[0]:
        shift = {code: character for code, character in shift.items() if code != DECODE_ONLY_EURO[1]}
    return gsm7.SeptetEncoder(locking_table(locking_code), shift)
