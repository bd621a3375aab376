"""Converts a TOML table into a record and checks each value against the annotation of its field.

Standard library only: for a 32-bit system there are no compiled packages. An annotation may be `str`, `int`,
`float` (whole numbers are accepted), `bool`, `Path`, an `Enum` by value, `Literal`, a union, `tuple[X, ...]`,
`dict[str, X]`, another `Record`, or `Annotated` with `Limits`.
"""

from __future__ import annotations

import contextlib
import functools
import math
import re
import types
from collections.abc import Callable
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from pdu.record import Record, required_fields

TableT = TypeVar("TableT", bound=Record)
PathResolver = Callable[[str], Path]
_DESCRIPTIONS = {
    str: "text",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    Path: "a path",
    tuple: "a list",
    dict: "a table",
}


class TableError(ValueError):
    """A value does not fit; the text names the key and says what it must be."""


class Limits(Record):
    """The limits of a value. `title` describes the permitted values in an error message."""

    gt: float | None = None
    ge: float | None = None
    le: float | None = None
    pattern: str | None = None
    """A regular expression for the whole text."""
    title: str | None = None


def _read_field_types(table_type: Any) -> dict[str, Any]:
    return get_type_hints(table_type, include_extras=True)


field_types: Callable[[Any], dict[str, Any]] = functools.cache(_read_field_types)
"""Returns the annotation of each field of a record, with its `Limits`."""


def convert_table(
    values: object,
    table_type: type[TableT],
    *,
    from_text: bool = False,
    names: dict[str, str] | None = None,
    key: str = "",
) -> TableT:
    """Return the record with the values of a table; keys that are absent keep their default.

    `from_text` also accepts numbers that are written as text. `names` has the field of each key whose name no
    field can have. `key` is the table's own name for error messages. Raises TableError.
    """
    prefix = f"{key}." if key else ""
    if not isinstance(values, dict):
        raise TableError(f"{key} must be a table, not {format_value(values)}")
    kinds = field_types(table_type)
    found: dict[str, Any] = {}
    for name, value in values.items():
        field = (names or {}).get(name, name)
        if field not in kinds:
            raise TableError(f"unknown key {prefix}{name}; the keys are {', '.join(kinds)}")
        found[field] = convert_value(value, kinds[field], key=f"{prefix}{name}", from_text=from_text)
    for name in required_fields(table_type):
        if name not in found:
            raise TableError(f"{prefix}{name} is missing")
    return table_type(**found)


def convert_value(
    value: Any, kind: Any, *, key: str, from_text: bool = False, resolve_path: PathResolver = Path
) -> Any:
    """Return a value as the annotation `kind` asks for it; `key` names it in the text of a TableError."""
    convert = functools.partial(convert_value, from_text=from_text, resolve_path=resolve_path)
    origin, members = get_origin(kind), get_args(kind)
    if origin is Annotated:
        with contextlib.suppress(TableError):  # the error below has the limits too
            converted = convert(value, members[0], key=key)
            if all(_is_within(converted, limits) for limits in members[1:]):
                return converted
    elif origin in (Union, types.UnionType):
        for member in members:
            with contextlib.suppress(TableError):
                return convert(value, member, key=key)
    elif origin is Literal:
        if any(value == choice and type(value) is type(choice) for choice in members):
            return value
    elif origin is tuple and isinstance(value, list):
        return tuple(convert(each, members[0], key=f"{key}[{index}]") for index, each in enumerate(value))
    elif origin is dict and isinstance(value, dict):
        return {name: convert(each, members[1], key=f"{key}.{name}") for name, each in value.items()}
    elif isinstance(kind, type) and issubclass(kind, Record):
        return convert_table(value, kind, key=key, from_text=from_text)
    elif isinstance(kind, type) and issubclass(kind, Enum):
        if any(value == each.value for each in kind):
            return kind(value)
    elif kind is Any:
        return value
    else:
        with contextlib.suppress(ValueError, OverflowError):  # a whole number may be too large for a float
            return _convert_scalar(value, kind, from_text=from_text, resolve_path=resolve_path)
    raise TableError(f"{key} must be {describe_type(kind)}, not {format_value(value)}")


def _convert_scalar(value: Any, kind: Any, *, from_text: bool, resolve_path: PathResolver) -> Any:
    """Raises ValueError, OverflowError."""
    if kind is Path and isinstance(value, str) and value and "\0" not in value:
        return resolve_path(value)
    if from_text and kind in (int, float) and isinstance(value, str):
        value = kind(value)
        if kind is float and not math.isfinite(value):
            raise ValueError
    if kind is float and type(value) is int:  # a bool is no number
        return float(value)
    if type(value) is not kind:
        raise ValueError
    return value


def _is_within(value: Any, limits: Limits) -> bool:
    return (
        (limits.gt is None or value > limits.gt)
        and (limits.ge is None or value >= limits.ge)
        and (limits.le is None or value <= limits.le)
        and (limits.pattern is None or re.fullmatch(limits.pattern, value) is not None)
    )


def describe_type(kind: Any) -> str:
    """Describe the values that an annotation accepts, as part of a sentence."""
    limits = ""
    for meta in getattr(kind, "__metadata__", ()):
        if meta.title is not None:
            return str(meta.title)
        limits += "" if meta.gt is None else f" above {meta.gt:g}"
        limits += "" if meta.ge is None else f" of {meta.ge:.15g} or more"
        limits += "" if meta.le is None else f" and {meta.le:.15g} or less"
        limits += "" if meta.pattern is None else f" like {meta.pattern}"
        kind = kind.__origin__
    origin = get_origin(kind) or kind
    if origin is Literal:
        return " or ".join(f'"{choice}"' for choice in get_args(kind))
    if isinstance(origin, type) and issubclass(origin, Enum):
        return "one of " + ", ".join(str(each.value) for each in origin)
    if origin in (Union, types.UnionType):
        return " or ".join(describe_type(each) for each in get_args(kind) if each is not type(None))
    return _DESCRIPTIONS.get(origin, "a table") + limits


MAX_SHOWN_CHARS = 80
"""Characters of a value that an error message shows."""


def format_value(value: object) -> str:
    """Return a value as an error message shows it."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict | list):
        return "a table" if isinstance(value, dict) else "a list"
    shown = str(value)
    if len(shown) > MAX_SHOWN_CHARS:
        shown = f"{shown[:MAX_SHOWN_CHARS]}..."
    return f'"{shown}"' if isinstance(value, str) else shown
