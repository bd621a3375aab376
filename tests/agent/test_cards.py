"""What the modem remembers of SIMs, where the journal is in trouble."""

import random
import sqlite3

import pytest

from agent.cards import CardBook
from agent.journal.skin import Inline
from agent.modem.error import ModemUnusable


class Full:
    """Cards on a disk that takes nothing."""

    def attempt(self, *_, **__):
        raise sqlite3.OperationalError("database or disk is full")

    settle = service_centre = met = attempt


@pytest.fixture
def book():
    """A book on that disk; `told` are its steps."""
    told = []
    book = CardBook(Inline(), Full(), random.Random(1), told.append)
    book.told = told
    return book


async def test_no_pin_is_tried_that_cannot_be_kept(book):
    """One sentence says why."""
    with pytest.raises(
        ModemUnusable, match="not tried while the journal cannot be written: database or disk"
    ):
        await book.attempt("1", "1234", untouched=True)


async def test_an_outcome_that_cannot_be_kept_is_told(book):
    """What is on disk says that it is being tried, which keeps it from being tried again."""
    await book.settle("1", refused=True)
    (step,) = book.told
    assert str(step) == "sim: the outcome of the PIN is not kept: database or disk is full"


async def test_the_session_goes_on_without_the_rest(book):
    """Service centre and change of card are no reason to end it."""
    assert await book.service_centre("1") == ""
    await book.met("1", "")
    assert book.told == []
