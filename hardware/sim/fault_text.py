"""The text form of all faults, of modules, network and services: `NAME` or `NAME:key=value,key=value`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, TypeVar

from hardware.table import Limits, TableError, convert_table, field_types

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from pdu.record import Record

FaultType = TypeVar("FaultType", bound="Record")

Seconds = Annotated[float, Limits(ge=0, le=1e9)]
"""A time from now; neither `nan` nor `inf`, which no timer takes."""


class FaultError(ValueError):
    """The specification of a fault is invalid; the text is one sentence."""


def split_fault(text: str, names: Collection[str]) -> tuple[str, dict[str, str]]:
    """Return name and keys; raises FaultError unless the name is one of `names`."""
    name, _, rest = text.partition(":")
    if name not in names:
        raise FaultError(f'there is no fault "{name}"; the faults are {", ".join(names)}')
    return name, dict(item.partition("=")[::2] for item in rest.split(",") if item)


def convert_fault(name: str, keys: Mapping[str, str], fault_type: type[FaultType]) -> FaultType:
    """Return the fault, a record, with the values of the keys; raises FaultError."""
    fields = [each.rstrip("_") for each in field_types(fault_type) if each != "name"]
    for key in keys:
        if key not in fields:
            raise FaultError(f"fault {name}: there is no key {key}; the keys are {', '.join(fields)}")
    try:
        return convert_table({"name": name, **keys}, fault_type, from_text=True, names={"for": "for_"})
    except TableError as error:
        raise FaultError(f"fault {name}: {error}") from error
