"""Profiles of modules: TOML files with what a module is (`[device]`) and how it is driven (`[driver]`).

The simulated module reads `[device]` and nothing else, the agent reads `[driver]` and nothing else, so that a
mistake in the one is not repeated by the other.
"""

from __future__ import annotations

import tomllib
from importlib import resources
from typing import TypeVar

import msgspec

Table = TypeVar("Table")


class ProfileError(ValueError):
    """A profile that does not exist or cannot be read; the text is one sentence that names it."""


class DeviceProfile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a module behaves. The defaults are those of the plain module of 27.005 and 27.007."""

    manufacturer: str = "Simulated"
    model: str = "Generic"
    revision: str = "1.0"
    imei: str = "359990000000008"
    boot: tuple[str, ...] = ("RDY", "+CPIN: READY", "SMS DONE")
    """Unsolicited lines after power-on, in order."""
    boot_s: float = 0.0
    """From power-on to the first line."""
    stores: dict[str, int] = msgspec.field(default_factory=lambda: {"SM": 10, "ME": 20, "MT": 30, "SR": 10})
    """Name and capacity."""
    store: str = "ME"
    """Factory value of all three of +CPMS."""
    first_index: int = 1


class DriverProfile(msgspec.Struct, frozen=True, kw_only=True):
    """How a module is found and driven. A value that nobody has published is None or empty."""

    vendor_id: str | None = None
    """USB idVendor, four hexadecimal digits."""
    product_ids: tuple[str, ...] = ()
    at_interface: int | None = None
    """USB bInterfaceNumber of the AT port."""


def names() -> list[str]:
    """All profiles there are."""
    folder = resources.files("hardware") / "profiles"
    return sorted(
        entry.name.removesuffix(".toml") for entry in folder.iterdir() if entry.name.endswith(".toml")
    )


def device(name: str = "generic") -> DeviceProfile:
    """What the module of that name is; raises ProfileError."""
    return _table(name, "device", DeviceProfile)


def driver(name: str = "generic") -> DriverProfile:
    """How the module of that name is driven; raises ProfileError."""
    return _table(name, "driver", DriverProfile)


def _table(name: str, table: str, kind: type[Table]) -> Table:
    if name not in names():
        raise ProfileError(f'there is no profile "{name}"; known are {", ".join(names())}')
    text = (resources.files("hardware") / "profiles" / f"{name}.toml").read_text(encoding="utf-8")
    try:
        return msgspec.convert(tomllib.loads(text).get(table, {}), kind)
    except (tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise ProfileError(f"profile {name}, table {table}: {error}") from error
