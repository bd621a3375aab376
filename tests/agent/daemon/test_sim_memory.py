"""What the modem remembers of SIMs, where the journal is in trouble."""

import sqlite3

import pytest

from agent.daemon.sim_memory import JournalSimMemory
from agent.modem.error import ModemUnusable


class FullDiskSimStore:
    """Cards on a disk that takes nothing."""

    def reserve_pin_attempt(self, *_, **__):
        raise sqlite3.OperationalError("database or disk is full")

    record_pin_result = service_centre = record_sim_seen = reserve_pin_attempt


@pytest.fixture
def sim_memory(pipeline):
    """A memory of SIMs on that disk."""
    return JournalSimMemory(runtime=pipeline.runtime, sim_store=FullDiskSimStore())


async def test_no_pin_is_tried_that_cannot_be_kept(sim_memory):
    """One sentence says why."""
    with pytest.raises(
        ModemUnusable, match="not tried while the journal cannot be written: database or disk"
    ):
        await sim_memory.reserve_pin_attempt("1", "1234", no_tries_lost=True)


async def test_an_outcome_that_cannot_be_kept_is_told(sim_memory, pipeline):
    """What is on disk says that it is being tried, which keeps it from being tried again."""
    await sim_memory.record_pin_result("1", refused=True)
    (step,) = pipeline.events
    assert str(step) == "sim: the outcome of the PIN is not kept: database or disk is full"


async def test_the_session_goes_on_without_the_rest(sim_memory, pipeline):
    """Service centre and change of card are no reason to end it."""
    assert await sim_memory.service_centre("1") == ""
    await sim_memory.record_sim_seen("1", "")
    assert pipeline.events == []
