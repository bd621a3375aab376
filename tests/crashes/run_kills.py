"""Kill the agent many times and draw up the ledger: `make crashes KILLS=500 SEED=7`.

Exit status 1 when a promise was broken; it is then said which, with the seed and where the evidence is kept.
"""

import argparse
import asyncio
import random
import shutil
import sys
import tempfile
import time
from pathlib import Path

from crash import mutants
from crash.kill_run import KillRun


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=500)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    parser.add_argument("--plant", choices=mutants.MUTANT_NAMES, help="a mistake that the ledger must find")
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="modem-agent-kills-"))
    begun = time.monotonic()

    def show(life):
        text = f"\r{life.number} of {options.kills} kills, seed {options.seed}"
        print(text, end="", file=sys.stderr, flush=True)

    run = KillRun(folder, options.seed, options.kills, mutants.mutant_program(options.plant), show)
    ledger = asyncio.run(run.run())
    violations = run.errors + ledger.check()
    print(file=sys.stderr)
    print(
        f"{options.kills} kills and {run.handler_kills} by handlers in {time.monotonic() - begun:.0f} s, "
        f"seed {options.seed}: {ledger.summary()}; nothing of a killed agent was left after "
        f"{run.slowest_cleanup_s:.2f} s; {len(violations)} violations"
    )
    for sentence in violations[:50]:
        print(f"  {sentence}")
    if violations:
        (folder / "violations").write_text("\n".join([f"seed {options.seed}", *violations, ""]))
        print(f"  evidence: {folder}; again: make crashes KILLS={options.kills} SEED={options.seed}")
        return 1
    shutil.rmtree(folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
