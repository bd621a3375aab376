"""Output of the module in the frames of V.250 5.7: echo, information text, final result code, URC, prompt.

Unsolicited result codes that arise while a command is executed or text is entered are held, and follow the
final result code.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from hardware.sim.module.errors import CME_ERROR_TEXTS, CMS_ERROR_TEXTS, CommandError
from hardware.sim.module.number_style import restyle_numbers

if TYPE_CHECKING:
    from collections.abc import Callable

    from hardware.profile import SimulatorProfile
    from hardware.sim.module.settings import Settings

OutputKind = Literal["echo", "information", "final", "prompt", "unsolicited"]

NUMERIC_RESULT_CODES = {"OK": "0", "CONNECT": "1", "RING": "2", "NO CARRIER": "3", "ERROR": "4"}
"""V.250 table 1."""

MAX_HELD_URCS = 100
"""Maximum number of held URCs: a prompt may stay open without limit, and a module's memory is small."""


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
        if error.kind == "error":
            return "ERROR"
        level = self._settings.cmee
        if error.kind == "cms" and not self._profile.cmee_rules_cms:
            level = 1  # 27.005 has numbers only, independent of +CMEE
        if level == 0:
            return "ERROR"
        words = (CME_ERROR_TEXTS if error.kind == "cme" else CMS_ERROR_TEXTS).get(error.code)
        return f"+{error.kind.upper()} ERROR: {words if level == 2 and words else error.code}"


def _encode(text: str) -> bytes:
    return text.encode("latin-1")
