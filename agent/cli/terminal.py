"""A full screen on a terminal that is drawn again and again, until the user types q or Ctrl-C."""

from __future__ import annotations

import os
import select
import signal
import socket
import sys
import termios
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from agent.cli.styled_text import Display, standard_display

_ENTER, _LEAVE = "\x1b[?1049h\x1b[?25l", "\x1b[?25h\x1b[?1049l"
"""Another screen without a cursor, and back (DEC private modes 1049 and 25)."""
_HOME, _CLEAR_LINE, _CLEAR_BELOW = "\x1b[H", "\x1b[K", "\x1b[J"
_QUIT_KEYS = b"qQ\x03\x04"


class UserQuit(KeyboardInterrupt):
    """The user has typed q or Ctrl-C, or the terminal is gone.

    An event loop passes KeyboardInterrupt on, and no other exception that a signal handler raises.
    """


class Terminal:
    """The terminal while it shows the screen. Use `full_screen`."""

    def __init__(self, keys: int | None, wakeup: socket.socket) -> None:
        """`keys`: the file descriptor of the keyboard. `wakeup` becomes readable after a signal."""
        self._keys = keys
        self._wakeup = wakeup

    @property
    def display(self) -> Display:
        """The present size and abilities."""
        return standard_display()

    def draw(self, lines: Sequence[str]) -> None:
        """Show the lines, as many as fit. Raises UserQuit if the terminal is gone."""
        rows = self.display.rows or len(lines)
        if len(lines) > rows:
            lines = [*lines[: rows - 1], f"({len(lines) - rows + 1} more lines: enlarge the window)"]
        body = f"{_CLEAR_LINE}\r\n".join(lines)
        try:
            sys.stdout.write(f"{_HOME}{body}{_CLEAR_LINE}{_CLEAR_BELOW}")
            sys.stdout.flush()
        except OSError:
            raise UserQuit from None

    def wait(self, timeout_s: float, *sources: socket.socket) -> bool:
        """Wait for data in one of the sources, for another size of the terminal, or for the timeout.

        Return True if a source has data. Raises UserQuit.
        """
        waited: list[Any] = [self._wakeup, *sources, *([] if self._keys is None else [self._keys])]
        ready: Iterable[Any] = select.select(waited, [], [], timeout_s)[0]
        if self._keys in ready and self._keys is not None:
            typed = os.read(self._keys, 100)
            if not typed or any(key in _QUIT_KEYS for key in typed):
                raise UserQuit
        if self._wakeup in ready:
            self._wakeup.recv(100)
        return any(source in ready for source in sources)


@contextmanager
def full_screen() -> Iterator[Terminal]:
    """Show a full screen; the terminal is as before afterwards, whatever happens."""
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    theirs.setblocking(False)
    restore_signals = _handle_signals(theirs.fileno())
    keys = sys.stdin.fileno() if sys.stdin is not None and sys.stdin.isatty() else None
    settings = None if keys is None else _read_keys_at_once(keys)
    sys.stdout.write(_ENTER)
    try:
        yield Terminal(keys, ours)
    finally:
        with suppress(OSError):
            sys.stdout.write(_LEAVE)
            sys.stdout.flush()
        if keys is not None and settings is not None:
            with suppress(termios.error):
                termios.tcsetattr(keys, termios.TCSADRAIN, settings)
        restore_signals()
        ours.close()
        theirs.close()


def _read_keys_at_once(keys: int) -> list[Any]:
    """Let each key be read without Enter and without its echo; Ctrl-C still interrupts."""
    settings = termios.tcgetattr(keys)
    changed = termios.tcgetattr(keys)
    changed[3] &= ~(termios.ICANON | termios.ECHO)
    termios.tcsetattr(keys, termios.TCSADRAIN, changed)
    return settings


def _handle_signals(wakeup: int) -> Callable[[], None]:
    """Let a change of the size wake the screen, and an end of the session leave it. Return the undo."""

    def leave(*_: object) -> None:
        raise UserQuit

    def ignore(*_: object) -> None:
        """Only the write to `wakeup` matters."""

    before = {
        signal.SIGINT: signal.signal(signal.SIGINT, leave),
        signal.SIGTERM: signal.signal(signal.SIGTERM, leave),
        signal.SIGHUP: signal.signal(signal.SIGHUP, leave),
        signal.SIGWINCH: signal.signal(signal.SIGWINCH, ignore),
    }
    old_wakeup = signal.set_wakeup_fd(wakeup, warn_on_full_buffer=False)

    def restore() -> None:
        signal.set_wakeup_fd(old_wakeup)
        for number, handler in before.items():
            signal.signal(number, handler)

    return restore
