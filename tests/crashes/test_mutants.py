"""The mistakes that can be planted still fit the agent; a plant without soil would prove nothing."""

import os
import subprocess
import sys
from pathlib import Path

from crash import mutants

APPLY_ALL_MUTANTS = "from crash import planted; [planted.PLANTS[name]() for name in sorted(planted.NAMES)]"


def test_plants_fit():
    """What each of them replaces is there."""
    places = os.pathsep.join([str(Path(mutants.__file__).parents[1]), *filter(None, sys.path)])
    done = subprocess.run(
        [sys.executable, "-c", APPLY_ALL_MUTANTS],
        env={**os.environ, "PYTHONPATH": places},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
