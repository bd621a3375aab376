"""Modules that are not ours: small, each with a parser of its own making and one habit that others have had.

Each class has one habit, which stands in its docstring.

They know nothing of `hardware.sim`. What they understand is what somebody's simulator or a cheap stick does:
the few commands that programs usually send, in the form in which they are usually sent.
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
        for room in (line_format, stores, notifications, sending, lifecycle, emulator, vendor_quirks)
        for kind in vars(room).values()
        if isinstance(kind, type) and issubclass(kind, ForeignModule) and kind is not ForeignModule
    ),
]
