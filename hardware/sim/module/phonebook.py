"""Phonebooks on the SIM: the subscriber's contacts (EF_ADN) and own numbers (EF_MSISDN)."""

from __future__ import annotations

from dataclasses import dataclass, field

INTERNATIONAL, UNKNOWN_TYPE = 145, 129
"""`<type>` of a number, 24.008 10.5.4.7."""
MAX_NUMBER_DIGITS = 40
"""Longest number of an entry; beyond 20 digits the SIM has an extension record."""
MAX_NAME_CHARACTERS = 16


@dataclass(frozen=True, slots=True)
class PhonebookEntry:
    """One entry; `number` has no `+`."""

    number: str
    number_type: int = UNKNOWN_TYPE
    name: str = ""

    @property
    def written_number(self) -> str:
        """The number with `+` if it is international."""
        return f"+{self.number}" if self.number_type == INTERNATIONAL else self.number


@dataclass(slots=True)
class Phonebook:
    """Entries by their index, from 1 to `capacity`."""

    capacity: int
    entries: dict[int, PhonebookEntry] = field(default_factory=dict)

    def find_free_index(self) -> int | None:
        """Return the first free index; None if the book is full."""
        return next((index for index in range(1, self.capacity + 1) if index not in self.entries), None)
