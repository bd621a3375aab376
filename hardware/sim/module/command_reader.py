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

    from hardware.sim.module.response_writer import ResponseWriter
    from hardware.sim.module.settings import Settings

TYPE_AHEAD_BYTES = 4096
"""Bytes of the receive buffer."""

MAX_LINE_CHARACTERS = 1024
"""Characters of a command line; V.250 5.2.1 asks for 40 at least."""

MALFORMED_LINE = "?"
"""What stands for a line that was too long: it gets its ERROR when it ends (V.250 5.5)."""

MAX_TEXT_BYTES = 2048
"""Bytes of one text entry; what is beyond is not kept. The longest PDU has 2 x 176 digits."""

ESC, CTRL_Z = 0x1B, 0x1A


@dataclass(slots=True)
class TextEntry:
    """An open text entry."""

    on_done: Callable[[bytes | None], None]
    """Called with the text, or with None when it was given up by ESC."""
    text_mode: bool
    """Text mode: a carriage return draws another prompt and a backspace deletes."""
    text: bytearray


class CommandReader:
    """The line layer: collects, echoes, and hands on."""

    def __init__(self, settings: Settings, writer: ResponseWriter, execute: Callable[[str], None]) -> None:
        self._settings = settings
        self._writer = writer
        self._execute = execute
        self.overrun_bytes = 0
        self.reset()

    def reset(self) -> None:
        """As after power-on: nothing typed, nothing repeated, no text entry."""
        self.busy = False
        self._type_ahead = bytearray()
        self._line: bytearray | None = None
        self._prefix = b""
        self._last_line = ""
        self._text_entry: TextEntry | None = None
        self._processing = False

    @property
    def is_text_entry_open(self) -> bool:
        """Whether the prompt has been given and text is awaited."""
        return self._text_entry is not None

    def receive(self, data: bytes) -> None:
        """Bytes from the terminal."""
        room = TYPE_AHEAD_BYTES - len(self._type_ahead) if self.busy else len(data)
        self.overrun_bytes += max(0, len(data) - room)
        self._type_ahead += data[:room]
        self.process()

    def process(self) -> None:
        """Go on with what has been received; does nothing while a command is being executed."""
        if self._processing:
            return
        self._processing = True
        ahead = self._type_ahead
        try:
            while ahead and not self.busy and ahead is self._type_ahead:
                if self._text_entry is None and self._line is not None:
                    self._read_plain_characters(self._line, ahead)
                    if not ahead:
                        break
                byte = ahead[0]
                del ahead[0]
                if self._text_entry is not None:
                    self._read_text_byte(self._text_entry, byte)
                else:
                    self._read_command_byte(byte)
        finally:
            self._processing = False

    def open_text_entry(self, on_done: Callable[[bytes | None], None], *, text_mode: bool) -> None:
        """Give the prompt and take everything that follows as text."""
        self._text_entry = TextEntry(on_done, text_mode, bytearray())
        self._writer.write_prompt()

    def _read_command_byte(self, byte: int) -> None:
        """One byte in command state."""
        self._writer.write_echo(bytes([byte]))
        byte &= 0x7F  # V.250 5.1: only the low seven bits count
        if self._line is None:
            self._match_prefix(byte)
        elif byte == self._settings.registers[3]:
            line, self._line = self._line, None
            self._last_line = MALFORMED_LINE if len(line) > MAX_LINE_CHARACTERS else line.decode("latin-1")
            self._execute(self._last_line)
        elif byte == self._settings.registers[5]:
            del self._line[-1:]
        elif len(self._line) <= MAX_LINE_CHARACTERS:
            self._line.append(byte)

    def _read_plain_characters(self, line: bytearray, ahead: bytearray) -> None:
        """The characters of a command line up to the next that may do something else, at once."""
        ends = [ahead.find(self._settings.registers[register]) for register in (3, 5)]
        plain = ahead[: min((end for end in ends if end >= 0), default=len(ahead))]
        if plain.isascii():
            del ahead[: len(plain)]
            self._writer.write_echo(bytes(plain))
            line += plain[: max(0, MAX_LINE_CHARACTERS + 1 - len(line))]

    def _match_prefix(self, byte: int) -> None:
        """`AT` or `at` begins a line, `A/` or `a/` repeats the last one; all else is passed over."""
        match self._prefix + bytes([byte]):
            case b"AT" | b"at":
                self._line, self._prefix = bytearray(), b""
            case b"A/" | b"a/":
                self._prefix = b""
                self._execute(self._last_line)
            case _:
                self._prefix = bytes([byte]) if byte in b"Aa" else b""

    def _read_text_byte(self, entry: TextEntry, byte: int) -> None:
        """One byte of text."""
        self._writer.write_echo(bytes([byte]))
        if byte in {CTRL_Z, ESC}:
            self._text_entry = None
            entry.on_done(bytes(entry.text) if byte == CTRL_Z else None)
        elif entry.text_mode and byte == self._settings.registers[5]:
            del entry.text[-1:]
        elif len(entry.text) < MAX_TEXT_BYTES:
            entry.text.append(byte)
            if entry.text_mode and byte == self._settings.registers[3]:
                self._writer.write_prompt()
