"""Assembly of concatenated messages from their parts."""

from __future__ import annotations

import itertools
import random

import pytest

from pdu import Address, Alphabet, Assembled, Assembler, Concatenation, TypeOfNumber, UserData, join, segment

SENDER = Address("000")
TEXT = "The road of one Command, told in parts. " * 12
PARTS = segment(TEXT, reference=42)


def test_parts_join_in_any_order():
    """All orders of four parts give the same message."""
    assert len(PARTS) == 4
    for order in itertools.permutations(PARTS):
        assembler = Assembler()
        results = [assembler.add(part, SENDER) for part in order]
        assert results[:-1] == [None] * 3
        assert results[-1] == Assembled(PARTS)
        assert results[-1].text == TEXT
        assert len(assembler) == 0


def test_duplicate_part_counts_once():
    """The network may deliver a part again."""
    assembler = Assembler()
    for part in (PARTS[2], PARTS[2], PARTS[0], PARTS[0], PARTS[1]):
        assert assembler.add(part, SENDER) is None
    assert assembler.missing(PARTS[0], SENDER) == (4,)
    assert assembler.add(PARTS[3], SENDER).text == TEXT


def test_message_without_concatenation_is_complete():
    """The assembler stores nothing of it."""
    assembler = Assembler()
    assert assembler.add(UserData.of("ok"), SENDER) == Assembled((UserData.of("ok"),))
    assert assembler.add(UserData.of("ok"), SENDER).text == "ok"
    assert (len(assembler), assembler.missing(UserData.of("ok"), SENDER)) == (0, ())


def test_messages_differ_by_sender_reference_width_and_total():
    """The same number with another type is another sender."""
    assembler = Assembler()
    other = Address("000", TypeOfNumber.INTERNATIONAL)
    assert assembler.add(PARTS[0], SENDER) is None
    assert assembler.add(PARTS[1], other) is None
    assert assembler.add(segment(TEXT, reference=43)[1], SENDER) is None
    assert assembler.add(segment(TEXT, reference=42, wide=True)[1], SENDER) is None
    assert assembler.add(segment(TEXT[:300], reference=42)[1], SENDER) is None
    assert len(assembler) == 5
    assert assembler.missing(PARTS[0], SENDER) == (2, 3, 4)
    assert assembler.missing(PARTS[0], Address("1")) == (1, 2, 3, 4)


def test_part_with_other_content_starts_new_message():
    """References are used again; a part of an old message must not get into a new one."""
    assembler = Assembler()
    old = segment("old " * 60, reference=1)
    new = segment("new " * 60, reference=1)
    assert len(old) == len(new) == 2
    assert assembler.add(old[0], SENDER) is None
    assert assembler.add(new[0], SENDER) is None
    assert assembler.add(new[1], SENDER).text == "new " * 60
    assert len(assembler) == 0


def test_number_of_incomplete_messages_is_limited():
    """The least recently changed message is dropped first, so memory is limited."""
    assembler = Assembler(max_messages=3)
    for reference in range(3):
        assembler.add(segment(TEXT, reference=reference)[0], SENDER)
    assembler.add(segment(TEXT, reference=0)[1], SENDER)
    assembler.add(segment(TEXT, reference=3)[0], SENDER)
    assert len(assembler) == 3
    missing_parts = [
        assembler.missing(segment(TEXT, reference=reference)[0], SENDER) for reference in range(4)
    ]
    assert missing_parts == [(3, 4), (1, 2, 3, 4), (2, 3, 4), (2, 3, 4)]


def test_discard_before_returns_old_parts():
    """The caller gives the time; a message is as old as its newest part."""
    assembler = Assembler()
    assembler.add(PARTS[3], SENDER, time=10)
    assembler.add(PARTS[1], SENDER, time=20)
    assembler.add(PARTS[0], "other", time=15)
    assert assembler.discard_before(time=10) == ()
    assert assembler.discard_before(time=16) == ((PARTS[0],),)
    assert assembler.discard_before(time=21) == ((PARTS[1], PARTS[3]),)
    assert len(assembler) == 0


def test_split_surrogate_pair_is_joined():
    """Some senders cut UCS-2 anywhere, so octets are joined before they are decoded."""
    octets = "ab🚀cd".encode("utf-16-be")
    parts = [
        UserData.pack(octets[:6], Alphabet.UCS2, (Concatenation(1, 2, 1).element,)),
        UserData.pack(octets[6:], Alphabet.UCS2, (Concatenation(1, 2, 2).element,)),
    ]
    assert [part.text for part in parts] == ["ab\ufffd", "\ufffdcd"]
    assert join(parts).text == "ab🚀cd"


def test_each_part_has_its_own_alphabet():
    """A long text may change between GSM 7-bit and UCS-2."""
    parts = [
        UserData.of(text, header=(Concatenation(1, 4, number).element,))
        for number, text in enumerate(("plain ", "21 °C ", "ж ", "plain"), 1)
    ]
    assert join(parts).text == "plain 21 °C ж plain"


def test_binary_parts_join_as_octets():
    """8-bit parts have data; a mix of text and data has neither."""
    whole = join(segment(bytes(range(256)), reference=1))
    assert (whole.data, whole.text) == (bytes(range(256)), None)
    mixed = join(
        [
            UserData.of("text", header=(Concatenation(1, 2, 1).element,)),
            UserData.of(b"data", header=(Concatenation(1, 2, 2).element,)),
        ]
    )
    assert (mixed.data, mixed.text) == (None, None)
    assert [part.text or part.data for part in mixed.parts] == ["text", b"data"]


@pytest.mark.parametrize("seed", range(5))
def test_join_takes_any_order_with_duplicates(seed):
    """Parts of another message are ignored; the result is None while a part is missing."""
    rng = random.Random(seed)
    stranger = segment(TEXT, reference=1)
    parts = [*PARTS, *PARTS]
    rng.shuffle(parts)
    assert join(parts) == Assembled(PARTS)
    assert join([*parts, *stranger]) == Assembled(PARTS)
    assert join([part for part in parts if part != PARTS[2]]) is None
    assert join([]) is None
    assert join([UserData.of("ok")]).text == "ok"
