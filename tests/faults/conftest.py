"""Faults in virtual time, or with real time and processes where virtual time cannot show them."""

import asyncio

import pytest

from soak.virtual import VirtualLoop


def pytest_asyncio_loop_factories(config, item):
    """Virtual time, unless the test is marked `real_time`."""
    if item.get_closest_marker("real_time"):
        return {"real": asyncio.SelectorEventLoop}
    return {"virtual": VirtualLoop}


@pytest.fixture(params=["pdu", "text"])
def mode(request):
    """The agent's `message_format`. A test for one of them only parametrizes it itself."""
    return request.param
