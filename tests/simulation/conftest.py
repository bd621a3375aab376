"""Tests of the whole agent run in virtual time."""

from hardware.sim.virtual_time import VirtualTimeLoop


def pytest_asyncio_loop_factories(config, item):
    """Run the tests of this folder in virtual time."""
    return {"virtual": VirtualTimeLoop}
