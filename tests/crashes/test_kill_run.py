"""The installed agent is killed again and again on one journal, and every promise holds."""

import random

from crash.kill_run import KillRun

KILLS = 20


async def test_killed_at_random_moments(tmp_path):
    """Each Command as often as its handler promises, answered once; nothing stays, nothing outlives."""
    seed = random.SystemRandom().randrange(10**6)
    print(f"again: make crashes KILLS={KILLS} SEED={seed}")
    run = KillRun(tmp_path, seed, KILLS)
    ledger = await run.run()
    assert run.errors + ledger.check() == []
    assert sum(row["state"] == "done" for row in ledger.inbox) > KILLS, ledger.summary()
