"""Options and result of the programs `run_kills.py` and `run_power_cuts.py`."""

import argparse
import random
import shutil

from crash import mutants

MAX_PRINTED_VIOLATIONS = 50


def parse_options(description, what, default_count):
    """Return the options `count`, `seed` and `mutant`. `what` is the name of the option for the count."""
    parser = argparse.ArgumentParser(description=description.splitlines()[0])
    parser.add_argument(f"--{what}", dest="count", type=int, default=default_count)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    parser.add_argument("--mutant", choices=mutants.MUTANT_NAMES, help="run with this mutant")
    return parser.parse_args()


def report(folder, summary, violations, repeat_command, seed):
    """Print the result and return the exit status. The folder is kept as evidence of a violation."""
    print(f"{summary} {len(violations)} violations")
    for sentence in violations[:MAX_PRINTED_VIOLATIONS]:
        print(f"  {sentence}")
    if violations:
        (folder / "violations").write_text("\n".join([f"seed {seed}", *violations, ""]))
        print(f"  evidence: {folder}; repeat: {repeat_command} SEED={seed}")
        return 1
    shutil.rmtree(folder)
    return 0
