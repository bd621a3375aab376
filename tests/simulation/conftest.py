"""Tests of the whole agent run in virtual time."""

from virtual_time import VirtualTimeLoop


def pytest_asyncio_loop_factories(config, item):
    """Which loop runs a test of this folder."""
    return {"virtual": VirtualTimeLoop}
