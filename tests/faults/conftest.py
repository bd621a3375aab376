"""Fixtures of the fault tests, which run in virtual time unless a test needs real time and processes."""

import asyncio
import os
import tempfile
from pathlib import Path

import pytest

from fault import combinations
from hardware.sim.virtual_time import VirtualTimeLoop

HERE = Path(__file__).parent


@pytest.hookimpl(trylast=True)  # of the cases that -k and -m have selected
def pytest_collection_modifyitems(config, items):
    """Leave out combinations of parameters whose pairs run in other cases."""
    if os.environ.get("EVERY_COMBINATION"):
        return
    _, left_out = combinations.split_items([item for item in items if HERE in item.path.parents])
    if left_out:
        unneeded = set(left_out)
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in unneeded]


def pytest_asyncio_loop_factories(config, item):
    """Use virtual time unless the test is marked `real_time`."""
    if item.get_closest_marker("real_time"):
        return {"real": asyncio.SelectorEventLoop}
    return {"virtual": VirtualTimeLoop}


@pytest.fixture(params=["pdu", "text"])
def message_format(request):
    """The agent's `message_format`. A test for only one format parametrizes it itself."""
    return request.param


@pytest.fixture(autouse=True)
def fast_pin_digests(monkeypatch):
    """Compute PIN digests with one round: the real number makes guessing slow."""
    monkeypatch.setattr("agent.journal.sims.PBKDF2_ROUNDS", 1)


@pytest.fixture
def tmp_path():
    """A directory in memory where possible, so that commits do not wait for a disk."""
    memory = Path("/dev/shm")
    parent = memory if memory.is_dir() and os.access(memory, os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix="faults-", dir=parent) as folder:
        yield Path(folder)
