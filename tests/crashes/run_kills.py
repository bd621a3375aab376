"""Kills the agent many times and checks the invariants: `make crashes KILLS=500 SEED=7`.

Exits with status 1 after a violation and prints it, with the seed and the folder of the evidence.
"""

import asyncio
import sys
import tempfile
import time
from pathlib import Path

from crash import mutants
from crash.command_line import parse_options, report
from crash.kill_run import KillRun


def main():
    options = parse_options(__doc__, "kills", 500)
    folder = Path(tempfile.mkdtemp(prefix="modem-agent-kills-"))
    start = time.monotonic()

    def show(planned_run):
        text = f"\r{planned_run.number} of {options.count} kills, seed {options.seed}"
        print(text, end="", file=sys.stderr, flush=True)

    run = KillRun(folder, options.seed, options.count, mutants.mutant_program(options.mutant), show)
    invariants = asyncio.run(run.run())
    violations = run.errors + invariants.check()
    print(file=sys.stderr)
    summary = (
        f"{options.count} kills and {run.handler_kills} by handlers in {time.monotonic() - start:.0f} s, "
        f"seed {options.seed}: {invariants.summary()}; processes of a killed agent were gone after "
        f"{run.slowest_cleanup_s:.2f} s;"
    )
    return report(folder, summary, violations, f"make crashes KILLS={options.count}", options.seed)


if __name__ == "__main__":
    sys.exit(main())
