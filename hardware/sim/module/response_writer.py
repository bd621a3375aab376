"""Output of the module in the frames of V.250 5.7: echo, information text, final result code, URC, prompt.

Unsolicited result codes that arise while a command is executed or text is entered are held, and follow the
final result code.
"""

from __future__ import annotations

import re
from contextlib import contextmanager
from typing import TYPE_CHECKING, Literal

from hardware.sim.module.errors import CME_ERROR_TEXTS, CMS_ERROR_TEXTS, CommandError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from hardware.profile import NumberStyle, SimulatorProfile
    from hardware.sim.module.settings import Settings

OutputKind = Literal["echo", "information", "final", "prompt", "unsolicited"]

NUMERIC_RESULT_CODES = {
    "OK": "0",
    "CONNECT": "1",
    "RING": "2",
    "NO CARRIER": "3",
    "ERROR": "4",
    "NO DIALTONE": "6",
    "BUSY": "7",
    "NO ANSWER": "8",
}
"""V.250 table 1."""

MAX_HELD_URCS = 100
"""Maximum number of held URCs: a prompt may stay open without limit, and a module's memory is small."""


_QUOTED_OR_NUMBER = re.compile(r'"[^"]*"|(?<![\w+.])\d{1,3}(?![\w.])')
_TEMPLATES = {"plain": "{}", "padded": "{:0>3}", "spaced": " {} ", "quoted": '"{}"'}


class ResponseWriter:
    """Formats the output by the settings (ATE, ATV, ATQ, S3, S4, +CMEE) and passes it to `write`."""

    def __init__(
        self, settings: Settings, profile: SimulatorProfile, write: Callable[[OutputKind, bytes], None]
    ) -> None:
        self._settings = settings
        self._profile = profile
        self._write = write
        self._held_urcs: list[str] | None = None

    def write_echo(self, data: bytes) -> None:
        """Write input back to the terminal (ATE1)."""
        if self._settings.echo:
            self._write("echo", data)

    def write_information(self, text: str) -> None:
        """Write an information text; the lines of a multi-line answer are separated by CR LF."""
        end = self._line_end
        text = self._restyle(text)
        text = text.replace("\r\n", end) if end != "\r\n" else text
        self._write("information", _encode(f"{end}{text}{end}" if self._settings.verbose else f"{text}{end}"))

    def write_prompt(self) -> None:
        """Write the prompt before a text entry, 27.005 3.5.1."""
        self._write("prompt", _encode(self._profile.prompt))

    def write_ok(self) -> None:
        """Write the final result code of a line that succeeded."""
        self._write_final("OK")

    def write_error(self, error: CommandError) -> None:
        """Write the final result code of a line that failed."""
        self._write_final(self._error_text(error))

    def write_urc(self, line: str) -> None:
        """Write an unsolicited result code, perhaps of several lines, or hold it."""
        if self._held_urcs is not None:
            self._held_urcs = [*self._held_urcs, line][-MAX_HELD_URCS:]
        elif not self._settings.quiet:  # ATQ1 suppresses URCs too, V.250 6.2.5
            self._write("unsolicited", self._frame(self._restyle(line)))

    def hold_urcs(self) -> None:
        """Hold unsolicited result codes from now on."""
        if self._held_urcs is None:
            self._held_urcs = []

    def release_urcs(self) -> None:
        """Write the held unsolicited result codes in order, and hold no more."""
        held, self._held_urcs = self._held_urcs or [], None
        for line in held:
            self.write_urc(line)

    def reset(self) -> None:
        """Drop the held unsolicited result codes, as at power-off."""
        self._held_urcs = None

    @property
    def _line_end(self) -> str:
        return chr(self._settings.registers[3]) + chr(self._settings.registers[4])

    def _restyle(self, text: str) -> str:
        """Write the numbers as the profile says. For messages the formatter does that."""
        is_message = text.startswith(("+CMT:", "+CDS:", "+CMGR:", "+CMGL:"))
        return text if is_message else restyle_numbers(text, self._profile.number_style)

    def _write_final(self, code: str) -> None:
        if not self._settings.quiet:
            self._write("final", self._frame(code))

    def _frame(self, line: str) -> bytes:
        end = self._line_end
        line = line.replace("\r\n", end) if end != "\r\n" else line
        if self._settings.verbose:
            return _encode(f"{end}{line}{end}")
        return _encode(NUMERIC_RESULT_CODES.get(line, line) + end[0])

    def _error_text(self, error: CommandError) -> str:
        if error.kind in {"error", "call"}:
            return error.result
        level = self._settings.cmee
        if error.kind == "cms" and not self._profile.cmee_rules_cms:
            level = 1  # 27.005 has numbers only, independent of +CMEE
        if level == 0:
            return "ERROR"
        words = (CME_ERROR_TEXTS if error.kind == "cme" else CMS_ERROR_TEXTS).get(error.code)
        return f"+{error.kind.upper()} ERROR: {words if level == 2 and words else error.code}"


def restyle_numbers(line: str, style: NumberStyle) -> str:
    """Return the line with the numbers after its name in another style; strings and longer numbers stay."""
    name, colon, values = line.partition(":")
    if style == "plain" or not colon or name[:1] not in "+^#*":
        return line
    return name + colon + _QUOTED_OR_NUMBER.sub(lambda found: _restyle(found[0], style), values)


def _restyle(value: str, style: NumberStyle) -> str:
    return value if value.startswith('"') else _TEMPLATES[style].format(value)


def _encode(text: str) -> bytes:
    return text.encode("latin-1")


class OutputBatch:
    """Collects the output of the module while it handles one event, and writes it in one piece.

    A client must never read half a response because the module happened to produce it in two steps.
    `filter_output` may change or drop output before it is collected.
    """

    def __init__(
        self, sink: Callable[[bytes], None], filter_output: Callable[[OutputKind, bytes], bytes]
    ) -> None:
        self.sink = sink
        """Called with the bytes for the terminal. Tests replace it to intercept them."""
        self._filter_output = filter_output
        self.before_end: Callable[[], None] = lambda: None
        """Called before each batch ends, to add what has become due in it."""
        self._data = bytearray()
        self._depth = 0

    @contextmanager
    def batch(self) -> Iterator[None]:
        """Send everything that is written inside in one call of `sink`; batches may be nested."""
        self._depth += 1
        try:
            yield
        finally:
            if self._depth == 1:
                self.before_end()
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
