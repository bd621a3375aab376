"""The installed agent is killed repeatedly on one journal, and every promise holds."""

import random

import pytest

from crash.kill_run import KillRun

KILLS = 20


@pytest.mark.long
async def test_promises_hold_when_killed_at_random_times(tmp_path):
    """Each Command runs as often as promised and is answered once; no item stays open and no process
    survives."""
    seed = random.SystemRandom().randrange(10**6)
    print(f"repeat: make crashes KILLS={KILLS} SEED={seed}")
    run = KillRun(tmp_path, seed, KILLS)
    invariants = await run.run()
    assert run.errors + invariants.check() == []
    assert sum(row["state"] == "done" for row in invariants.inbox) > KILLS, invariants.summary()
