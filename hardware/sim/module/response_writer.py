"""What the module says and in which frame (V.250 5.7): echo, information text, final, unsolicited, prompt.

Everything said during one event leaves in one write, so that no response is torn. Unsolicited codes that
come up while a command is being executed or text is being entered are held and follow the final code.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from hardware.sim.module.errors import CME_ERROR_TEXTS, CMS_ERROR_TEXTS, CommandError

if TYPE_CHECKING:
    from collections.abc import Callable

    from hardware.profile import SimulatorProfile
    from hardware.sim.module.settings import Settings

OutputKind = Literal["echo", "information", "final", "prompt", "unsolicited"]

NUMERIC_RESULT_CODES = {"OK": "0", "CONNECT": "1", "RING": "2", "NO CARRIER": "3", "ERROR": "4"}
"""V.250 table 1."""

MAX_HELD_URCS = 100
"""Codes that wait at most; a prompt may stay open for ever, and a module's memory is small."""


class ResponseWriter:
    """The module's mouth."""

    def __init__(
        self, settings: Settings, profile: SimulatorProfile, write: Callable[[OutputKind, bytes], None]
    ) -> None:
        self._settings = settings
        self._profile = profile
        self._write = write
        self._held_urcs: list[str] | None = None

    def write_echo(self, data: bytes) -> None:
        """Bytes of the terminal, back to it (ATE1)."""
        if self._settings.echo:
            self._write("echo", data)

    def write_information(self, text: str) -> None:
        """Information text; several lines of one answer are one text with line ends inside."""
        end = self._line_end
        text = text.replace("\r\n", end) if end != "\r\n" else text
        self._write("information", _encode(f"{end}{text}{end}" if self._settings.verbose else f"{text}{end}"))

    def write_prompt(self) -> None:
        """The four characters before text entry, 27.005 3.5.1."""
        self._write("prompt", _encode(self._profile.prompt))

    def write_ok(self) -> None:
        """The final result of a line that succeeded."""
        self._write_final("OK")

    def write_error(self, error: CommandError) -> None:
        """The final result of a line that failed."""
        self._write_final(self._error_text(error))

    def write_urc(self, line: str) -> None:
        """An unsolicited code, perhaps with a second line."""
        if self._held_urcs is not None:
            self._held_urcs = [*self._held_urcs, line][-MAX_HELD_URCS:]
        elif not self._settings.quiet:  # ATQ1 silences these too, V.250 6.2.5
            self._write("unsolicited", self._frame(line))

    def hold_urcs(self) -> None:
        """From now on unsolicited codes wait."""
        if self._held_urcs is None:
            self._held_urcs = []

    def release_urcs(self) -> None:
        """Those that waited go out, in order."""
        held, self._held_urcs = self._held_urcs or [], None
        for line in held:
            self.write_urc(line)

    def reset(self) -> None:
        """A restart: what waited is lost."""
        self._held_urcs = None

    @property
    def _line_end(self) -> str:
        return chr(self._settings.registers[3]) + chr(self._settings.registers[4])

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
            level = 1  # 27.005 knows numbers only and no switch
        if level == 0:
            return "ERROR"
        words = (CME_ERROR_TEXTS if error.kind == "cme" else CMS_ERROR_TEXTS).get(error.code)
        return f"+{error.kind.upper()} ERROR: {words if level == 2 and words else error.code}"


def _encode(text: str) -> bytes:
    return text.encode("latin-1")
