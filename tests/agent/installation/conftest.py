"""The fake gateway of tests/hardware, as the root of the device that `setup` changes."""

import importlib.util
from pathlib import Path

import pytest

_spec = importlib.util.spec_from_file_location(
    "hardware_conftest", Path(__file__).parents[2] / "hardware" / "conftest.py"
)
_hardware = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_hardware)


@pytest.fixture
def fake_host(tmp_path):
    (tmp_path / "root").mkdir()
    return _hardware.FakeHost(tmp_path / "root")
