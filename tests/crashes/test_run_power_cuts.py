"""After a power cut the journal has everything that was visible outside."""

import subprocess
import sys
from pathlib import Path

import pytest

from crash.logged_disk import explain_unavailable

PROGRAM = Path(__file__).with_name("run_power_cuts.py")
CUTS = 20


@pytest.mark.system
@pytest.mark.skipif(bool(explain_unavailable()), reason=explain_unavailable())
def test_power_cuts_lose_nothing_acknowledged():
    """Deletes, starts and sends before a cut are in the journal after it, and the agent starts with it."""
    done = subprocess.run(
        [sys.executable, PROGRAM, "--cuts", str(CUTS)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.startswith(f"{CUTS} cuts"), done.stdout
