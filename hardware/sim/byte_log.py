r"""A log of all bytes between clients and simulated modules, one line for each piece.

    2026-11-29T14:30:01.123456+00:00 super-sim > AT+CSQ\r
    2026-11-29T14:30:01.123789+00:00 super-sim < \r\n+CSQ: 21,99\r\n\r\nOK\r\n

Time, unique name of the SIM, direction and bytes: `>` to the module, `<` from it, `|` from it while no client
had a port open. Bytes are escaped as in a recording.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TextIO

from hardware.recording import escape_bytes

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from hardware.sim.module.ports import LineDirection


class ByteLog:
    """Writes each line at once. `on_error` is called once when the file cannot be written any more."""

    def __init__(
        self, file: TextIO, wall_clock: Callable[[], datetime], on_error: Callable[[OSError], None]
    ) -> None:
        self._file: TextIO | None = file
        self._wall_clock = wall_clock
        self._on_error = on_error

    def write(self, sim: str, direction: LineDirection, data: bytes) -> None:
        """Log bytes of the module of a SIM."""
        if self._file is None:
            return
        time = self._wall_clock().isoformat(timespec="microseconds")
        try:
            self._file.write(f"{time} {sim} {direction.value} {escape_bytes(data)}\n")
            self._file.flush()
        except OSError as error:
            self._file = None
            self._on_error(error)
