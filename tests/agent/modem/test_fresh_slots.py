"""Which slots are known to hold what was read from them, after deletes of others."""

import pytest

from agent.modem.fresh_slots import SUFFICIENT_READS, FreshSlots
from agent.modem.stored_message import UNKNOWN_SLOT, Slot

SLOTS = [Slot("ME", index) for index in range(1, 12)]


@pytest.fixture
def slots():
    """All slots were read."""
    fresh = FreshSlots()
    fresh.add(SLOTS)
    return fresh


def fresh_of(slots):
    return [slot for slot in SLOTS if slot in slots]


def delete_and_read_again(slots, unchanged=(True,) * SUFFICIENT_READS):
    """Delete the first slots one by one, and read the next one after each delete."""
    for at, is_unchanged in enumerate(unchanged):
        slots.on_delete(SLOTS[at])
        slots.on_read_again(SLOTS[at + 1], unchanged=is_unchanged)
        slots.add([SLOTS[at + 1]])


def test_no_slot_is_fresh_after_the_first_delete(slots):
    slots.on_delete(SLOTS[0])
    assert fresh_of(slots) == []


def test_others_stay_fresh_when_enough_slots_were_unchanged(slots):
    """That holds for the slots that were doubtful before, too, and for later deletes."""
    delete_and_read_again(slots)
    assert fresh_of(slots) == SLOTS[SUFFICIENT_READS:]
    slots.on_delete(SLOTS[SUFFICIENT_READS])
    assert fresh_of(slots) == SLOTS[SUFFICIENT_READS + 1 :]


def test_one_changed_slot_ends_the_trust_for_the_session(slots):
    delete_and_read_again(slots, (True, False, *(True,) * 5))
    slots.add(SLOTS)
    slots.on_delete(SLOTS[9])
    assert fresh_of(slots) == []


def test_slot_that_was_announced_again_says_nothing_about_deletes(slots):
    """It is not fresh, and that another message is in it is no sign of a module that frees several slots."""
    slots.on_delete(SLOTS[0])
    slots.forget(SLOTS[1])
    slots.on_read_again(SLOTS[1], unchanged=False)
    slots.add(SLOTS[1:])
    for at in range(1, 1 + SUFFICIENT_READS):
        slots.on_delete(SLOTS[at])
        slots.on_read_again(SLOTS[at + 1], unchanged=True)
        slots.add([SLOTS[at + 1]])
    assert fresh_of(slots) == SLOTS[1 + SUFFICIENT_READS :]


@pytest.mark.parametrize("changed", [Slot("SM", 9), UNKNOWN_SLOT])
def test_second_name_of_a_slot_is_not_fresh(slots, changed):
    """Stores may be one memory with two names; without an index any slot may have changed."""
    delete_and_read_again(slots)
    slots.forget(changed)
    assert SLOTS[8] not in slots


def test_deleted_slot_is_not_fresh_under_its_second_name(slots):
    delete_and_read_again(slots)
    slots.add([Slot("SM", 9)])
    slots.on_delete(SLOTS[8])
    assert Slot("SM", 9) not in slots
