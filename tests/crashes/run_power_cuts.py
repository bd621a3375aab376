"""Cuts the power under the journal many times: `make powercuts CUTS=200 SEED=7`. Needs root.

Exits with status 1 if the journal lost something, and prints it, with the seed and the folder of the
evidence.
"""

import argparse
import asyncio
import os
import random
import shutil
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from crash import mutants
from crash.logged_disk import explain_unavailable
from crash.power_cut import RUN_DURATIONS_S, PowerCutRecording

NAMESPACE_MARKER = "MODEM_AGENT_CUTS"
"""Set in the mount namespace of the disks, so that no mount is left however the program ends."""


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cuts", type=int, default=200)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    parser.add_argument("--mutant", choices=mutants.MUTANT_NAMES, help="run with this mutant")
    options = parser.parse_args()
    if reason := explain_unavailable():
        print(f"skipped: {reason}")
        return 0
    if NAMESPACE_MARKER not in os.environ:
        os.environ[NAMESPACE_MARKER] = "1"
        again = ["unshare", "--mount", sys.executable, *sys.argv]
        os.execvp(again[0], again)  # noqa: S606  (this very program, in its own mount namespace)
    return asyncio.run(run_cuts(options))


async def run_cuts(options):
    """Record, cut the power and print the result. Return the exit status."""
    folder = Path(tempfile.mkdtemp(prefix="modem-agent-cuts-"))
    begun = time.monotonic()
    rng = random.Random(options.seed)
    violations, facts, bad, done = [], Counter(), 0, 0
    for number, device in enumerate(RUN_DURATIONS_S):
        (folder / device).mkdir()
        recording = PowerCutRecording(
            folder / device, options.seed, device, mutants.mutant_program(options.mutant)
        )
        await recording.record()
        violations += recording.errors
        facts.update(fact.kind for fact in recording.facts)
        cuts = options.cuts // len(RUN_DURATIONS_S) + (number < options.cuts % len(RUN_DURATIONS_S))
        for at in recording.choose_cut_positions(cuts, rng):
            found = recording.cut_power(at, rng)
            found += await recording.start_agent()
            violations += [f"{device}, {sentence}" for sentence in found]
            bad += bool(found)
            done += 1
            print(
                f"\r{done} of {options.cuts} cuts, seed {options.seed}",
                end="",
                file=sys.stderr,
                flush=True,
            )
    print(file=sys.stderr)
    print(
        f"{done} cuts in {time.monotonic() - begun:.0f} s, seed {options.seed}: observed "
        f"{', '.join(f'{count} {what}' for what, count in sorted(facts.items()))}; "
        f"{bad} cuts with {len(violations)} violations"
    )
    for sentence in violations[:20]:
        print(f"  {sentence}")
    if violations:
        (folder / "violations").write_text("\n".join([f"seed {options.seed}", *violations, ""]))
        print(f"  evidence: {folder}; repeat: make powercuts CUTS={options.cuts} SEED={options.seed}")
        return 1
    shutil.rmtree(folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
