"""Tests with strangers run in virtual time: a module that is slow costs no time."""

from virtual_time import VirtualTimeLoop


def pytest_asyncio_loop_factories(config, item):
    """Which loop runs a test of this folder."""
    return {"virtual": VirtualTimeLoop}
