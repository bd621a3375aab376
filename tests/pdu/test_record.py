"""Records of decoded messages: immutable, comparable and small."""

from __future__ import annotations

import copy
import pickle
import sys
from typing import TYPE_CHECKING

import pytest

from pdu import Address, Concatenation, Deliver, Submit, Timestamp, UserData
from pdu.record import Record, derived, fast_constructor, field_defaults, field_names, fresh, required_fields

if TYPE_CHECKING:
    from dataclasses import KW_ONLY


class Point(Record):
    x: int
    y: int = 2
    area: int = derived("x * y", int)

    @property
    def double(self):
        return 2 * self.area


class Options(Record, kw_only=True):
    colour: str = "red"


class Circle(Options):
    radius: int
    centre: Point = Point(0, 0)

    def __post_init__(self):
        if self.radius < 0:
            raise ValueError("negative radius")


class Nothing(Record):
    """A record without fields."""


class Marked(Record):
    x: int
    _: KW_ONLY
    y: int = 1


@pytest.mark.parametrize("make", [Point, fast_constructor(Point)])
def test_fields_have_defaults_and_derived_defaults(make):
    """They work by position and by name, through the class and through its fast constructor."""
    assert (make(3).x, make(3).y, make(3).area, make(3).double) == (3, 2, 6, 12)
    assert (make(3, y=4).area, make(3, 4, 5).area, make(x=1, area=None).area) == (12, 5, None)
    assert type(make(3)) is Point
    with pytest.raises(TypeError):
        make()
    with pytest.raises(TypeError):
        make(1, z=2)


@pytest.mark.parametrize("make", [Point, fast_constructor(Point)])
def test_record_is_frozen(make):
    """No attribute can be set, deleted or added."""
    point = make(1)
    with pytest.raises(AttributeError, match="frozen"):
        point.x = 2
    with pytest.raises(AttributeError, match="frozen"):
        del point.x
    with pytest.raises(AttributeError):
        point.z = 2
    assert not hasattr(point, "__dict__")
    assert point.x == 1


def test_records_compare_by_value():
    """Records of the same class with equal values are equal and have equal hashes."""

    class Other(Record):
        x: int
        y: int = 2
        area: int = 2

    assert Point(1) == Point(1, 2, 2) == fast_constructor(Point)(1)
    assert Point(1) != Point(2)
    assert Point(1) != Other(1)
    assert Point(1) != (1, 2, 2)
    assert len({Point(1), Point(1), Point(2)}) == 2
    assert repr(Point(1)) == "Point(x=1, y=2, area=2)"
    assert hash(Timestamp(b"")) == hash(Timestamp(b""))


def test_records_can_be_matched_copied_replaced_and_pickled():
    """They work like dataclasses."""
    match Point(1):
        case Point(x, y=2):
            assert x == 1
        case _:
            pytest.fail("no match")
    point = Point(1)
    assert copy.copy(point) == copy.deepcopy(point) == pickle.loads(pickle.dumps(point)) == point  # noqa: S301
    assert point.replace(y=5) == Point(1, 5, 2)
    assert point == Point(1)
    with pytest.raises(TypeError):
        point.replace(z=1)
    if sys.version_info >= (3, 13):
        assert copy.replace(point, x=7) == Point(7, 2, 2)


def test_types_have_no_instance_dict():
    """A message takes a few hundred octets of memory."""
    for record in (
        Address("000"),
        Timestamp(bytes(7)),
        UserData.of("x"),
        Concatenation(1, 2, 1),
        Submit(Address("000"), UserData.of("x")),
        Deliver(Address("000"), Timestamp(bytes(7)), UserData.of("x")),
    ):
        assert not hasattr(record, "__dict__")
        assert sys.getsizeof(record) <= 16 + 8 * (len(record.__match_args__) + 2)
        assert pickle.loads(pickle.dumps(record)) == record  # noqa: S301  # made here


def test_inherited_fields_may_be_given_by_name_only():
    """A record has the fields of its base; those that are declared with `kw_only` have no position."""
    circle = Circle(3, colour="blue")
    assert (circle.radius, circle.colour, circle.centre) == (3, "blue", Point(0, 0))
    assert repr(circle) == "Circle(colour='blue', radius=3, centre=Point(x=0, y=0, area=0))"
    assert field_names(Circle) == ("colour", "radius", "centre")
    assert required_fields(Circle) == ["radius"]
    assert field_defaults(Circle) == {"colour": "red", "centre": Point(0, 0)}
    assert circle.replace(radius=4) == Circle(4, colour="blue") != Circle(4)
    assert pickle.loads(pickle.dumps(circle)) == copy.deepcopy(circle) == circle  # noqa: S301  # made here
    with pytest.raises(AttributeError, match="frozen"):
        circle.colour = "red"
    with pytest.raises(TypeError):
        Circle(3, Point(1), "blue")
    assert Marked(1, y=2).as_dict() == {"x": 1, "y": 2}
    with pytest.raises(TypeError):
        Marked(1, 2)


def test_fresh_default_is_made_for_each_record():
    """Values that can change are not shared."""

    class Lists(Record):
        one: list[int] = fresh(list)
        two: list[int] = fresh(lambda: [1])

    first = Lists()
    first.one.append(5)
    first.two.append(5)
    assert Lists() == Lists([], [1])


def test_record_checks_its_values():
    """`__post_init__` is called for every new record, also for a changed copy."""
    for make in (lambda: Circle(-1), lambda: Circle(1).replace(radius=-1)):
        with pytest.raises(ValueError, match="negative"):
            make()


def test_records_without_fields_are_equal():
    """They are frozen values as well."""
    assert Nothing() == Nothing() != Point(1)
    assert (repr(Nothing()), len({Nothing(), Nothing()}), field_names(Nothing)) == ("Nothing()", 1, ())
    with pytest.raises(AttributeError):
        Nothing().x = 1
