"""Kills the agent many times and checks the invariants: `make crashes KILLS=500 SEED=7`.

Exits with status 1 after a violation and prints it, with the seed and the folder of the evidence.
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
    parser.add_argument("--mutant", choices=mutants.MUTANT_NAMES, help="run with this mutant")
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="modem-agent-kills-"))
    begun = time.monotonic()

    def show(planned_run):
        text = f"\r{planned_run.number} of {options.kills} kills, seed {options.seed}"
        print(text, end="", file=sys.stderr, flush=True)

    run = KillRun(folder, options.seed, options.kills, mutants.mutant_program(options.mutant), show)
    invariants = asyncio.run(run.run())
    violations = run.errors + invariants.check()
    print(file=sys.stderr)
    print(
        f"{options.kills} kills and {run.handler_kills} by handlers in {time.monotonic() - begun:.0f} s, "
        f"seed {options.seed}: {invariants.summary()}; processes of a killed agent were gone after "
        f"{run.slowest_cleanup_s:.2f} s; {len(violations)} violations"
    )
    for sentence in violations[:50]:
        print(f"  {sentence}")
    if violations:
        (folder / "violations").write_text("\n".join([f"seed {options.seed}", *violations, ""]))
        print(f"  evidence: {folder}; repeat: make crashes KILLS={options.kills} SEED={options.seed}")
        return 1
    shutil.rmtree(folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
