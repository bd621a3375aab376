"""What the module says and in which frame (V.250 5.7): echo, information text, final, unsolicited, prompt.

Everything said during one event leaves in one write, so that no response is torn. Unsolicited codes that
come up while a command is being executed or text is being entered are held and follow the final code.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from hardware.sim.module.refusal import CME_WORDS, CMS_WORDS, RefusedError

if TYPE_CHECKING:
    from collections.abc import Callable

    from hardware.profile import DeviceProfile
    from hardware.sim.module.settings import Settings

Utterance = Literal["echo", "information", "final", "prompt", "unsolicited"]

NUMERIC = {"OK": "0", "CONNECT": "1", "RING": "2", "NO CARRIER": "3", "ERROR": "4"}
"""V.250 table 1."""

HELD = 100
"""Codes that wait at most; a prompt may stay open for ever, and a module's memory is small."""


class Speech:
    """The module's mouth."""

    def __init__(
        self, settings: Settings, device: DeviceProfile, say: Callable[[Utterance, bytes], None]
    ) -> None:
        self._settings = settings
        self._device = device
        self._say = say
        self._held: list[str] | None = None

    def echo(self, data: bytes) -> None:
        """Bytes of the terminal, back to it (ATE1)."""
        if self._settings.echo:
            self._say("echo", data)

    def information(self, text: str) -> None:
        """Information text; several lines of one answer are one text with line ends inside."""
        end = self._line_end
        text = text.replace("\r\n", end) if end != "\r\n" else text
        self._say("information", _octets(f"{end}{text}{end}" if self._settings.verbose else f"{text}{end}"))

    def prompt(self) -> None:
        """The four characters before text entry, 27.005 3.5.1."""
        self._say("prompt", _octets(self._device.prompt))

    def ok(self) -> None:
        """The final result of a line that succeeded."""
        self._final("OK")

    def refuse(self, refusal: RefusedError) -> None:
        """The final result of a line that failed."""
        self._final(self._words(refusal))

    def unsolicited(self, line: str) -> None:
        """An unsolicited code, perhaps with a second line."""
        if self._held is not None:
            self._held = [*self._held, line][-HELD:]
        elif not self._settings.quiet:  # ATQ1 silences these too, V.250 6.2.5
            self._say("unsolicited", self._framed(line))

    def hold(self) -> None:
        """From now on unsolicited codes wait."""
        if self._held is None:
            self._held = []

    def release(self) -> None:
        """Those that waited go out, in order."""
        held, self._held = self._held or [], None
        for line in held:
            self.unsolicited(line)

    def forget(self) -> None:
        """A restart: what waited is lost."""
        self._held = None

    @property
    def _line_end(self) -> str:
        return chr(self._settings.registers[3]) + chr(self._settings.registers[4])

    def _final(self, code: str) -> None:
        if not self._settings.quiet:
            self._say("final", self._framed(code))

    def _framed(self, line: str) -> bytes:
        end = self._line_end
        line = line.replace("\r\n", end) if end != "\r\n" else line
        if self._settings.verbose:
            return _octets(f"{end}{line}{end}")
        return _octets(NUMERIC.get(line, line) + end[0])

    def _words(self, refusal: RefusedError) -> str:
        if refusal.kind == "error":
            return "ERROR"
        level = self._settings.cmee
        if refusal.kind == "cms" and not self._device.cmee_rules_cms:
            level = 1  # 27.005 knows numbers only and no switch
        if level == 0:
            return "ERROR"
        words = (CME_WORDS if refusal.kind == "cme" else CMS_WORDS).get(refusal.code)
        return f"+{refusal.kind.upper()} ERROR: {words if level == 2 and words else refusal.code}"


def _octets(text: str) -> bytes:
    return text.encode("latin-1")
