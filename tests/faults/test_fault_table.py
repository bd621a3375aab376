"""The table of faults in tests/README.md."""

import subprocess
import sys
from pathlib import Path


def test_the_table_is_that_of_the_tests():
    """Who adds a test of a fault runs tests/faults/fault_table.py."""
    script = Path(__file__).with_name("fault_table.py")
    done = subprocess.run([sys.executable, script, "--check"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
