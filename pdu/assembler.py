"""Joins the parts of concatenated messages, in any order, with duplicates (23.040 9.2.3.24.1)."""

from __future__ import annotations

from pdu.coding import Alphabet
from pdu.record import Record
from pdu.user_data import UserData

TYPE_CHECKING = False  # see record
if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence


class Assembled(Record):
    """A complete message: its parts in order, and their joined text or data."""

    parts: tuple[UserData, ...]

    @property
    def text(self) -> str | None:
        """The text of all parts; None if one of them has no text.

        Parts in UCS-2 are joined as octets first, because a sender may split a surrogate pair.
        """
        if any(part.alphabet is Alphabet.OCTETS or part.compressed for part in self.parts):
            return None
        text: list[str] = []
        run = b""
        for part in self.parts:
            if part.alphabet is Alphabet.UCS2:
                run += part.octets[part.header_length :]
            else:
                text += (run.decode("utf-16-be", "replace"), part.text or "")
                run = b""
        return "".join(text) + run.decode("utf-16-be", "replace")

    @property
    def data(self) -> bytes | None:
        """The octets of all parts; None if one of them is text."""
        pieces = [part.data for part in self.parts]
        return None if None in pieces else b"".join(piece for piece in pieces if piece is not None)


def join(parts: Sequence[UserData]) -> Assembled | None:
    """Return the message of these parts, in any order and with duplicates; None while a part is missing.

    A part without concatenation is a complete message. Parts with another reference, width or total
    than the first are ignored.
    """
    if not parts:
        return None
    first = parts[0].concatenation
    if first is None:
        return Assembled((parts[0],))
    found: dict[int, UserData] = {}
    for part in parts:
        this = part.concatenation
        if this is not None and this.replace(number=first.number) == first:
            found.setdefault(this.number, part)
    if len(found) < first.total:
        return None
    return Assembled(tuple(found[number] for number in range(1, first.total + 1)))


class Assembler:
    """Keeps the parts of incomplete messages until the last part arrives.

    It keeps at most ``max_messages`` incomplete messages and drops the oldest. ``key`` identifies the sender:
    the originating address with its type, optionally with the service centre; reference, reference width and
    total are added to it. ``time`` is any increasing number. References are used again, so call
    ``discard_before`` from time to time.
    """

    def __init__(self, max_messages: int = 64) -> None:
        self._max_messages = max_messages
        self._incomplete: dict[tuple[Hashable, int, bool, int], tuple[dict[int, UserData], float]] = {}

    def __len__(self) -> int:
        """Return the number of incomplete messages."""
        return len(self._incomplete)

    def add(self, part: UserData, key: Hashable, time: float = 0.0) -> Assembled | None:
        """Add a part; return the complete message if it was the last missing part, else None.

        A duplicate part counts once. A part with the number of a stored one and other content belongs to a
        new message with the same reference: the stored parts are dropped. A part without concatenation is
        complete.
        """
        this = part.concatenation
        if this is None:
            return Assembled((part,))
        message_key = (key, this.reference, this.wide, this.total)
        found, _ = self._incomplete.pop(message_key, ({}, time))
        if found.get(this.number, part) != part:
            found = {}
        found[this.number] = part
        if len(found) == this.total:
            return Assembled(tuple(found[number] for number in range(1, this.total + 1)))
        self._incomplete[message_key] = found, time
        if len(self._incomplete) > self._max_messages:
            del self._incomplete[next(iter(self._incomplete))]
        return None

    def missing(self, part: UserData, key: Hashable) -> tuple[int, ...]:
        """Return the numbers of the missing parts of the message that this part belongs to."""
        this = part.concatenation
        if this is None:
            return ()
        found, _ = self._incomplete.get((key, this.reference, this.wide, this.total), ({}, 0.0))
        return tuple(number for number in range(1, this.total + 1) if number not in found)

    def discard_before(self, time: float) -> tuple[tuple[UserData, ...], ...]:
        """Drop incomplete messages whose newest part was added before ``time``; return their parts."""
        old = [message_key for message_key, (_, added) in self._incomplete.items() if added < time]
        dropped = [self._incomplete.pop(message_key)[0] for message_key in old]
        return tuple(tuple(found[number] for number in sorted(found)) for found in dropped)
