"""Split the input from the terminal into command lines and entered text (V.250 5.2, 27.005 3.5.1).

Bytes that arrive while a command is executed wait in a receive buffer and are echoed and processed
afterwards, so commands are executed strictly in order. The buffer is bounded; what exceeds it is lost and
counted.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from hardware.sim.module.response_writer import ResponseWriter
    from hardware.sim.module.settings import Settings

TYPE_AHEAD_BYTES = 4096
"""Size of the receive buffer."""

MAX_LINE_CHARACTERS = 1024
"""Longest command line; V.250 5.2.1 requires at least 40 characters."""

MALFORMED_LINE = "?"
"""Executed in place of a line that was too long, so that it gives ERROR when it ends (V.250 5.5)."""

MAX_TEXT_BYTES = 2048
"""Longest text entry; further bytes are dropped. The longest PDU has 2 x 176 digits."""

ESC, CTRL_Z = 0x1B, 0x1A


@dataclass(slots=True)
class TextEntry:
    """A text entry in progress."""

    on_done: Callable[[bytes | None], None]
    """Called with the text, or with None if ESC aborted the entry."""
    text_mode: bool
    """True in text mode: a carriage return gives another prompt and a backspace deletes."""
    text: bytearray


class CommandReader:
    """Collects and echoes input; `execute` gets each complete command line without its `AT`."""

    def __init__(self, settings: Settings, writer: ResponseWriter, execute: Callable[[str], None]) -> None:
        self._settings = settings
        self._writer = writer
        self._execute = execute
        self.overrun_bytes = 0
        self.busy = False
        """True while a command is executed."""
        self._type_ahead = bytearray()
        self._line: bytearray | None = None
        self._prefix = b""
        self._last_line = ""
        self._text_entry: TextEntry | None = None
        self._processing = False

    def reset(self) -> None:
        """Drop all input, the last line and a text entry, as at power-off."""
        self.busy = self._processing = False
        self._type_ahead = bytearray()
        self._line = self._text_entry = None
        self._prefix, self._last_line = b"", ""

    @property
    def is_text_entry_open(self) -> bool:
        """True while text is awaited after a prompt."""
        return self._text_entry is not None

    def receive(self, data: bytes) -> None:
        """Process bytes from the terminal."""
        free = TYPE_AHEAD_BYTES - len(self._type_ahead) if self.busy else len(data)
        self.overrun_bytes += max(0, len(data) - free)
        self._type_ahead += data[:free]
        self.process()

    def process(self) -> None:
        """Process the receive buffer; does nothing while a command is executed."""
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
        """Write the prompt and treat the following bytes as text."""
        self._text_entry = TextEntry(on_done, text_mode, bytearray())
        self._writer.write_prompt()

    def _read_command_byte(self, byte: int) -> None:
        """Process one byte in command state."""
        self._writer.write_echo(bytes([byte]))
        byte &= 0x7F  # V.250 5.1: the highest bit is ignored
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
        """Process the characters of a command line up to the next control character in one step."""
        ends = [ahead.find(self._settings.registers[register]) for register in (3, 5)]
        plain = ahead[: min((end for end in ends if end >= 0), default=len(ahead))]
        if plain.isascii():
            del ahead[: len(plain)]
            self._writer.write_echo(bytes(plain))
            line += plain[: max(0, MAX_LINE_CHARACTERS + 1 - len(line))]

    def _match_prefix(self, byte: int) -> None:
        """Detect `AT` or `at`, which begins a line, and `A/` or `a/`, which repeats the last one."""
        match self._prefix + bytes([byte]):
            case b"AT" | b"at":
                self._line, self._prefix = bytearray(), b""
            case b"A/" | b"a/":
                self._prefix = b""
                self._execute(self._last_line)
            case _:
                self._prefix = bytes([byte]) if byte in b"Aa" else b""

    def _read_text_byte(self, entry: TextEntry, byte: int) -> None:
        """Process one byte of a text entry."""
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
