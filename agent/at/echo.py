"""The echo of what was written last, which the module may send back in pieces."""

from __future__ import annotations


class Echo:
    """Recognises the echo of command lines and bodies. Blanks do not count: some modules change them."""

    def __init__(self) -> None:
        self._expected = self._remaining = ""
        self.seen = False
        """True if the module echoed the last command line or its body."""

    def expect(self, text: str) -> None:
        """Expect the echo of this text from now on, and no other."""
        self._expected = self._remaining = text.replace(" ", "")

    def end(self) -> None:
        """Expect no echo any more: an answer has come."""
        self._remaining = ""

    def consume(self, text: str) -> bool:
        """Return True if this line is a piece of the expected echo.

        The first piece must be longer than one character.
        """
        piece = text.replace(" ", "")
        if not self._remaining or not self._remaining.startswith(piece):
            return False
        if len(piece) < 2 and self._remaining is self._expected:
            return False
        self._remaining = self._remaining[len(piece) :]
        self.seen = True
        return True
