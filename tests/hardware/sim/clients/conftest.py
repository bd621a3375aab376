"""Fixture: a simulated module for programs of other projects."""

from __future__ import annotations

import pytest

from client_bench import PortBench


@pytest.fixture
async def client_bench(request, tmp_path):
    """A plain module on a port, or the module that the test's parameter names."""
    bench = PortBench(tmp_path, getattr(request, "param", "generic"))
    await bench.start()
    yield bench
    bench.close()
