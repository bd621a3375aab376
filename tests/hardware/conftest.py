"""Fixtures of the tests of hardware access."""

import pytest
from fake_host import FakeHost


@pytest.fixture
def fake_host(tmp_path):
    return FakeHost(tmp_path)
