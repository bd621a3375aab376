"""Joining the parts of long messages, in any order, with doubles and gaps (23.040 9.2.3.24.1)."""

from __future__ import annotations

from pdu.coding import Alphabet
from pdu.record import Record
from pdu.user_data import UserData

TYPE_CHECKING = False  # as in record
if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence


class Assembled(Record):
    """A whole message: its parts in order, and what they say together."""

    parts: tuple[UserData, ...]

    @property
    def text(self) -> str | None:
        """The text of all parts, None when one of them has none.

        Parts in UCS-2 are joined as octets first: a sender may have split a surrogate pair.
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
        """The octets of all parts, None when one of them is text."""
        pieces = [part.data for part in self.parts]
        return None if None in pieces else b"".join(piece for piece in pieces if piece is not None)


def join(parts: Sequence[UserData]) -> Assembled | None:
    """Return the message that these parts make, in any order and with doubles; None while one is missing.

    A part without concatenation is a message of its own. Parts that do not belong together (another
    reference, width or total than the first) are left out.
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
    """Keeps the parts of unfinished messages until the last one comes; ``most`` messages, the oldest go
    first.

    ``key`` tells whose message it is: the originating address, with its type (and the service centre, if you
    like). Reference, width and total are added to it. The clock is yours: ``at`` is any number that grows,
    given back to ``forget``, since references are used again.
    """

    def __init__(self, max_messages: int = 64) -> None:
        self._max_messages = max_messages
        self._incomplete: dict[tuple[Hashable, int, bool, int], tuple[dict[int, UserData], float]] = {}

    def __len__(self) -> int:
        """Return the number of unfinished messages."""
        return len(self._incomplete)

    def add(self, part: UserData, key: Hashable, time: float = 0.0) -> Assembled | None:
        """Take a part; return the whole message if it was the last one missing, else None.

        The same part twice counts once. Another content under a number that is there already is a new message
        with the same reference: what was kept of the old one is dropped. A part without concatenation is
        whole.
        """
        this = part.concatenation
        if this is None:
            return Assembled((part,))
        place = (key, this.reference, this.wide, this.total)
        found, _ = self._incomplete.pop(place, ({}, time))
        if found.get(this.number, part) != part:
            found = {}
        found[this.number] = part
        if len(found) == this.total:
            return Assembled(tuple(found[number] for number in range(1, this.total + 1)))
        self._incomplete[place] = found, time
        if len(self._incomplete) > self._max_messages:
            del self._incomplete[next(iter(self._incomplete))]
        return None

    def missing(self, part: UserData, key: Hashable) -> tuple[int, ...]:
        """Return the numbers still missing of the message that this part belongs to."""
        this = part.concatenation
        if this is None:
            return ()
        found, _ = self._incomplete.get((key, this.reference, this.wide, this.total), ({}, 0.0))
        return tuple(number for number in range(1, this.total + 1) if number not in found)

    def discard_before(self, time: float) -> tuple[tuple[UserData, ...], ...]:
        """Drop unfinished messages whose newest part came before this time; return what there was of them."""
        old = [place for place, (_, at) in self._incomplete.items() if at < time]
        dropped = [self._incomplete.pop(place)[0] for place in old]
        return tuple(tuple(found[number] for number in sorted(found)) for found in dropped)
