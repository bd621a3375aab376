"""Tables are converted by the annotations of a record, and every mistake names its key."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest

from hardware.table import Limits, TableError, convert_table
from pdu.record import Record


class Colour(Enum):
    RED = "red"


class Inner(Record):
    code: Annotated[str, Limits(pattern="[0-9]{2}")]


class Outer(Record):
    rate: Annotated[int, Limits(ge=300, le=9600)] | Literal["auto"] = "auto"
    wait: Annotated[float, Limits(gt=0)] | None = None
    on: bool = False
    file: Path = Path("/a")
    colours: tuple[Colour, ...] = ()
    inner: tuple[Inner, ...] = ()
    sizes: dict[str, int] | None = None
    other: Any = None


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({}, Outer()),
        ({"rate": 300}, Outer(rate=300)),
        ({"rate": "auto"}, Outer()),
        ({"wait": 2}, Outer(wait=2.0)),
        ({"file": "/b"}, Outer(file=Path("/b"))),
        ({"colours": ["red"]}, Outer(colours=(Colour.RED,))),
        ({"inner": [{"code": "12"}]}, Outer(inner=(Inner("12"),))),
        ({"sizes": {"a": 1}, "other": [1]}, Outer(sizes={"a": 1}, other=[1])),
    ],
)
def test_values_become_fields(values, expected):
    assert convert_table(values, Outer) == expected


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"rat": 300}, "unknown key rat; the keys are rate, wait,"),
        ({"rate": 299}, 'rate must be a whole number of 300 or more and 9600 or less or "auto", not 299'),
        ({"rate": True}, 'or "auto", not true'),
        ({"rate": 300.0}, 'or "auto", not 300.0'),
        ({"wait": 0}, "wait must be a number above 0, not 0"),
        ({"wait": 10**400}, "wait must be a number above 0, not 1000"),
        ({"wait": float("nan")}, "wait must be a number above 0, not nan"),
        ({"on": 1}, "on must be true or false, not 1"),
        ({"file": ""}, 'file must be a path, not ""'),
        ({"colours": ["red", "blue"]}, r'colours\[1\] must be one of red, not "blue"'),
        ({"colours": "red"}, 'colours must be a list, not "red"'),
        ({"inner": [{"code": "1"}]}, r"inner\[0\].code must be text like .*, not \"1\""),
        ({"inner": [{"code": "12\n"}]}, r"inner\[0\].code must be text like"),
        ({"inner": [{}]}, r"inner\[0\].code is missing"),
        ({"inner": [3]}, r"inner\[0\] must be a table, not 3"),
        ({"sizes": {"a": "x"}}, "sizes must be a table"),
    ],
)
def test_mistake_names_the_key_and_what_is_accepted(values, sentence):
    with pytest.raises(TableError, match=sentence):
        convert_table(values, Outer)


def test_numbers_may_be_written_as_text_where_that_is_asked_for():
    """Infinite ones are refused there: nothing could wait for them."""
    assert convert_table({"rate": "300", "wait": "1.5"}, Outer, from_text=True) == Outer(300, 1.5)
    with pytest.raises(TableError, match="wait"):
        convert_table({"wait": "inf"}, Outer, from_text=True)
    with pytest.raises(TableError, match="rate"):
        convert_table({"rate": "300"}, Outer)


def test_key_that_cannot_name_a_field_is_given_another():
    assert convert_table({"class": "12"}, Inner, names={"class": "code"}) == Inner("12")
