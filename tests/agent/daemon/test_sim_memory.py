"""The memory of SIMs while the journal cannot be written."""

import sqlite3

import pytest

from agent.daemon.sim_memory import JournalSimMemory
from agent.modem.error import ModemUnusable


class FullDiskSimStore:
    """A store whose disk is full."""

    def reserve_pin_attempt(self, *_, **__):
        raise sqlite3.OperationalError("database or disk is full")

    record_pin_result = service_centre = record_sim_seen = reserve_pin_attempt


@pytest.fixture
def sim_memory(pipeline):
    """A memory of SIMs whose disk is full."""
    return JournalSimMemory(runtime=pipeline.runtime, sim_store=FullDiskSimStore())


async def test_pin_is_not_entered_without_a_commit(sim_memory):
    """The error has the reason."""
    with pytest.raises(
        ModemUnusable, match="not entered while the journal cannot be written: database or disk"
    ):
        await sim_memory.reserve_pin_attempt("1", "1234", no_tries_lost=True)


async def test_unstored_pin_result_is_logged(sim_memory, pipeline):
    """The attempt stays unfinished in the journal, so the PIN is not entered again."""
    await sim_memory.record_pin_result("1", refused=True)
    (event,) = pipeline.events
    assert str(event) == "sim: the result of the PIN attempt cannot be stored: database or disk is full"


async def test_other_failures_are_ignored(sim_memory, pipeline):
    """An unknown service centre number or SIM does not end the session."""
    assert await sim_memory.service_centre("1") == ""
    await sim_memory.record_sim_seen("1", "")
    assert pipeline.events == []
