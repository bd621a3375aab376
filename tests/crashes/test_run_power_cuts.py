"""Power cuts under the journal forget nothing that the outside has seen."""

import subprocess
import sys
from pathlib import Path

import pytest

from crash.logged_disk import explain_unavailable

PROGRAM = Path(__file__).with_name("run_power_cuts.py")
CUTS = 20


@pytest.mark.system
@pytest.mark.skipif(bool(explain_unavailable()), reason=explain_unavailable())
def test_nothing_acknowledged_is_forgotten():
    """What was deleted, begun or sent stands in the journal after every cut, and the agent starts on it."""
    done = subprocess.run(
        [sys.executable, PROGRAM, "--cuts", str(CUTS)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.startswith(f"{CUTS} cuts"), done.stdout
