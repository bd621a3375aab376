"""Modules that are independent of our simulator: each has its own parser and one quirk of real modules.

The docstring of each class describes its quirk. Nothing here imports `hardware.sim`. The modules understand
the few commands that programs usually send, in the usual form, like other simulators and cheap USB sticks.
"""

from foreign import (
    emulator,
    lifecycle,
    line_format,
    notifications,
    sending,
    stores,
    vendor_quirks,
)
from foreign.base import ForeignModule

ALL_MODULES = [
    ForeignModule,
    *(
        kind
        for family in (line_format, stores, notifications, sending, lifecycle, emulator, vendor_quirks)
        for kind in vars(family).values()
        if isinstance(kind, type) and issubclass(kind, ForeignModule) and kind is not ForeignModule
    ),
]
"""The module without a quirk, and those that are derived from it."""
