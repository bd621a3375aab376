"""Cuts the power under the journal many times: `make powercuts CUTS=200 SEED=7`. Needs root.

Exits with status 1 if the journal lost something, and prints it, with the seed and the folder of the
evidence.
"""

import asyncio
import os
import random
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from crash import mutants
from crash.command_line import parse_options, report
from crash.logged_disk import explain_unavailable
from crash.power_cut import RUN_DURATIONS_S, PowerCutRecording

NAMESPACE_MARKER = "MODEM_AGENT_CUTS"
"""Set in the mount namespace of the disks, so that no mount is left however the program ends."""


def main():
    options = parse_options(__doc__, "cuts", 200)
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
    start = time.monotonic()
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
        cuts = options.count // len(RUN_DURATIONS_S) + (number < options.count % len(RUN_DURATIONS_S))
        for at in recording.choose_cut_positions(cuts, rng):
            found = recording.cut_power(at, rng)
            found += await recording.start_agent()
            violations += [f"{device}, {sentence}" for sentence in found]
            bad += bool(found)
            done += 1
            print(
                f"\r{done} of {options.count} cuts, seed {options.seed}",
                end="",
                file=sys.stderr,
                flush=True,
            )
    print(file=sys.stderr)
    observed = ", ".join(f"{count} {what}" for what, count in sorted(facts.items()))
    summary = (
        f"{done} cuts in {time.monotonic() - start:.0f} s, seed {options.seed}: observed {observed}; "
        f"{bad} cuts with"
    )
    return report(folder, summary, violations, f"make powercuts CUTS={options.count}", options.seed)


if __name__ == "__main__":
    sys.exit(main())
