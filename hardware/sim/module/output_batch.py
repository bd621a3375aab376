"""Collects the output of the module while it handles one event, and writes it in one piece.

A client must never read half a response because the module happened to produce it in two steps.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from hardware.sim.module.response_writer import OutputKind


class OutputBatch:
    """The bytes of the current event; `filter_output` may change or drop them before they are buffered."""

    def __init__(
        self, sink: Callable[[bytes], None], filter_output: Callable[[OutputKind, bytes], bytes]
    ) -> None:
        self.sink = sink
        """Called with the bytes for the terminal. Tests replace it to intercept them."""
        self._filter_output = filter_output
        self._data = bytearray()
        self._depth = 0

    @contextmanager
    def batch(self) -> Iterator[None]:
        """Send everything that is written inside in one call of `sink`; batches may be nested."""
        self._depth += 1
        try:
            yield
        finally:
            self._depth -= 1
            if self._depth == 0 and self._data:
                data, self._data = bytes(self._data), bytearray()
                self.sink(data)

    def write(self, kind: OutputKind, data: bytes) -> None:
        """Append output of the module, after the filter."""
        self._data += self._filter_output(kind, data)

    def write_raw(self, data: bytes) -> None:
        """Append bytes that are not output of the AT interpreter, such as line noise."""
        self._data += data
