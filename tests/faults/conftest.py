"""Faults in virtual time, or with real time and processes where virtual time cannot show them."""

import asyncio
import os
import tempfile
from pathlib import Path

import pytest

from virtual_time import VirtualTimeLoop


def pytest_asyncio_loop_factories(config, item):
    """Virtual time, unless the test is marked `real_time`."""
    if item.get_closest_marker("real_time"):
        return {"real": asyncio.SelectorEventLoop}
    return {"virtual": VirtualTimeLoop}


@pytest.fixture(params=["pdu", "text"])
def message_format(request):
    """The agent's `message_format`. A test for one of them only parametrizes it itself."""
    return request.param


@pytest.fixture(autouse=True)
def fast_pin_digests(monkeypatch):
    """A PIN's digest takes as long as it does so that guessing does, and every session makes some."""
    monkeypatch.setattr("agent.journal.sims.PBKDF2_ROUNDS", 1)


@pytest.fixture
def tmp_path():
    """In memory where there is such a place: a commit waits for no disk, of which nothing here is about."""
    memory = Path("/dev/shm")
    place = memory if memory.is_dir() and os.access(memory, os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix="faults-", dir=place) as folder:
        yield Path(folder)
