"""Every mutant still fits the agent: a mutant that patches nothing would prove nothing."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from crash import mutants

APPLY_ALL_MUTANTS = (
    "from crash import mutants; [mutants.MUTANTS[name]() for name in sorted(mutants.MUTANT_NAMES)]"
)


@pytest.mark.long
def test_every_mutant_can_be_applied():
    """The function that a mutant replaces exists and takes the same arguments."""
    places = os.pathsep.join([str(Path(mutants.__file__).parents[1]), *filter(None, sys.path)])
    done = subprocess.run(
        [sys.executable, "-c", APPLY_ALL_MUTANTS],
        env={**os.environ, "PYTHONPATH": places},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
