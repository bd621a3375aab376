"""The ear: bytes from the terminal become command lines and entered text (V.250 5.2, 27.005 3.5.1).

Bytes that come while a command is being executed wait in a receive buffer as on a UART, echo included, and
are looked at when it is done. So commands are executed strictly in order, however they were sent. The
buffer is bounded; what does not fit is lost and counted.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from hardware.sim.module.settings import Settings
    from hardware.sim.module.speech import Speech

TYPE_AHEAD = 4096
"""Bytes of the receive buffer."""

LINE_LIMIT = 1024
"""Characters of a command line; V.250 5.2.1 asks for 40 at least."""

MALFORMED = "?"
"""What stands for a line that was too long: it gets its ERROR when it ends (V.250 5.5)."""

TEXT_LIMIT = 2048
"""Bytes of one text entry; what is beyond is not kept. The longest PDU has 2 x 176 digits."""

ESC, CTRL_Z = 0x1B, 0x1A


@dataclass(slots=True)
class Entry:
    """An open text entry."""

    done: Callable[[bytes | None], None]
    """Called with the text, or with None when it was given up by ESC."""
    lines: bool
    """Text mode: a carriage return draws another prompt and a backspace deletes."""
    text: bytearray


class Terminal:
    """The line layer: collects, echoes, and hands on."""

    def __init__(self, settings: Settings, speech: Speech, execute: Callable[[str], None]) -> None:
        self._settings = settings
        self._speech = speech
        self._execute = execute
        self.overrun = 0
        self.reset()

    def reset(self) -> None:
        """As after power-on: nothing typed, nothing repeated, no text entry."""
        self.busy = False
        self._ahead = bytearray()
        self._line: bytearray | None = None
        self._prefix = b""
        self._last_body = ""
        self._entry: Entry | None = None
        self._working = False

    @property
    def entering(self) -> bool:
        """Whether the prompt has been given and text is awaited."""
        return self._entry is not None

    def receive(self, data: bytes) -> None:
        """Bytes from the terminal."""
        room = TYPE_AHEAD - len(self._ahead) if self.busy else len(data)
        self.overrun += max(0, len(data) - room)
        self._ahead += data[:room]
        self.work()

    def work(self) -> None:
        """Go on with what has been received; does nothing while a command is being executed."""
        if self._working:
            return
        self._working = True
        ahead = self._ahead
        try:
            while ahead and not self.busy and ahead is self._ahead:
                if self._entry is None and self._line is not None:
                    self._type_on(self._line, ahead)
                    if not ahead:
                        break
                byte = ahead[0]
                del ahead[0]
                if self._entry is not None:
                    self._enter(self._entry, byte)
                else:
                    self._type(byte)
        finally:
            self._working = False

    def enter(self, done: Callable[[bytes | None], None], *, lines: bool) -> None:
        """Give the prompt and take everything that follows as text."""
        self._entry = Entry(done, lines, bytearray())
        self._speech.prompt()

    def _type(self, byte: int) -> None:
        """One byte in command state."""
        self._speech.echo(bytes([byte]))
        byte &= 0x7F  # V.250 5.1: only the low seven bits count
        if self._line is None:
            self._look_for_prefix(byte)
        elif byte == self._settings.registers[3]:
            line, self._line = self._line, None
            self._last_body = MALFORMED if len(line) > LINE_LIMIT else line.decode("latin-1")
            self._execute(self._last_body)
        elif byte == self._settings.registers[5]:
            del self._line[-1:]
        elif len(self._line) <= LINE_LIMIT:
            self._line.append(byte)

    def _type_on(self, line: bytearray, ahead: bytearray) -> None:
        """The characters of a command line up to the next that may do something else, at once."""
        ends = [ahead.find(self._settings.registers[register]) for register in (3, 5)]
        plain = ahead[: min((end for end in ends if end >= 0), default=len(ahead))]
        if plain.isascii():
            del ahead[: len(plain)]
            self._speech.echo(bytes(plain))
            line += plain[: max(0, LINE_LIMIT + 1 - len(line))]

    def _look_for_prefix(self, byte: int) -> None:
        """`AT` or `at` begins a line, `A/` or `a/` repeats the last one; all else is passed over."""
        match self._prefix + bytes([byte]):
            case b"AT" | b"at":
                self._line, self._prefix = bytearray(), b""
            case b"A/" | b"a/":
                self._prefix = b""
                self._execute(self._last_body)
            case _:
                self._prefix = bytes([byte]) if byte in b"Aa" else b""

    def _enter(self, entry: Entry, byte: int) -> None:
        """One byte of text."""
        self._speech.echo(bytes([byte]))
        if byte in {CTRL_Z, ESC}:
            self._entry = None
            entry.done(bytes(entry.text) if byte == CTRL_Z else None)
        elif entry.lines and byte == self._settings.registers[5]:
            del entry.text[-1:]
        elif len(entry.text) < TEXT_LIMIT:
            entry.text.append(byte)
            if entry.lines and byte == self._settings.registers[3]:
                self._speech.prompt()
