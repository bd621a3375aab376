"""`python -m soak`: many seeds of one virtual day each, or one of them again with its trace."""

import argparse
import concurrent.futures
import multiprocessing
import os
import sys
import time
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from soak import mutants

SEEDS_PER_PROCESS = 100
"""Seeds that a process runs."""


def main(arguments=None):
    """Exit status 0 where no seed finds anything, 1 where one does."""
    parser = argparse.ArgumentParser(prog="python -m soak", description=__doc__)
    parser.add_argument("--seeds", type=int, default=50, metavar="N", help="how many seeds")
    parser.add_argument("--first", type=int, default=0, metavar="S", help="the first of them")
    parser.add_argument("--seed", type=int, metavar="S", help="this seed alone, with its findings")
    parser.add_argument("--days", type=float, default=1.0, help="virtual days a seed, 1 unless told")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="processes")
    parser.add_argument("--trace", type=Path, metavar="FILE", help="where the trace of a seed is written")
    parser.add_argument("--bug", choices=sorted(mutants.MUTANTS), help="plant this bug")
    parser.add_argument("--bugs", action="store_true", help="plant each bug and show the seed that finds it")
    options = parser.parse_args(arguments)
    if options.bugs:
        return _run_all_mutants()
    if options.seed is not None:
        return _run_one(options)
    return _run_many(options)


def _run_one(options):
    outcome = mutants.run_mutant(options.seed, options.days, options.bug, trace=True)
    for finding in outcome.findings:
        print(finding)
    print(_format_result(outcome))
    if options.trace:
        options.trace.write_text("\n".join(outcome.trace) + "\n")
    return bool(outcome.findings)


def _run_many(options):
    console = Console(stderr=True)
    began = time.perf_counter()
    failing, passed, commands, lives = [], 0, 0, 0
    columns = (TextColumn("soak"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    seeds = range(options.first, options.first + options.seeds)
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        bar = progress.add_task("", total=len(seeds))
        for number, outcome in _iter_results(seeds, options):
            if isinstance(outcome, Exception):
                failing.append(number)
                progress.console.print(f"seed {number}: {type(outcome).__name__}: {outcome}", markup=False)
            else:
                passed += not outcome.findings
                commands += outcome.counts["commands"]
                lives += outcome.counts["lives"]
                if outcome.findings:
                    failing.append(number)
                    _print_failure(progress.console, outcome, options)
            progress.advance(bar)
    seconds = time.perf_counter() - began
    print(
        f"{passed} of {len(seeds)} seeds of {options.days:g} virtual days without a finding, "
        f"{commands} Commands, {lives} lives of the agent, {seconds:.0f} s"
    )
    return bool(failing)


def _iter_results(seeds, options):
    """(seed, Outcome or the error that it ended with), as they come; from processes that live for a while."""
    context = multiprocessing.get_context("spawn")  # nothing of one seed reaches another
    size = SEEDS_PER_PROCESS * options.jobs  # with max_tasks_per_child Python 3.11 waits for ever [gh-115634]
    for first in range(0, len(seeds), size):
        with concurrent.futures.ProcessPoolExecutor(options.jobs, context) as pool:
            work = {
                pool.submit(mutants.run_mutant, number, options.days, options.bug): number
                for number in seeds[first : first + size]
            }
            for done in concurrent.futures.as_completed(work):
                yield work[done], done.exception() or done.result()


def _print_failure(console, outcome, options):
    trace = Path(f"soak-{outcome.seed}.trace")
    trace.write_text("\n".join(outcome.trace) + "\n")
    console.print(f"seed {_format_result(outcome)}", markup=False, highlight=False)
    for finding in outcome.findings[:10]:
        console.print(f"    {finding}", markup=False, highlight=False)
    again = f"python -m soak --seed {outcome.seed} --days {options.days:g} --trace {trace}"
    console.print(f"    again: make soak SEED={outcome.seed} DAYS={options.days:g}   ({again})", markup=False)
    console.print(f"    trace: {trace}", markup=False)


def _format_result(outcome):
    return (
        f"{outcome.seed} {outcome.digest}: {outcome.description}; {outcome.counts}; {outcome.seconds:.1f} s"
    )


def _run_all_mutants():
    missed = 0
    for name, bug in mutants.MUTANTS.items():
        findings = mutants.find_violations(name)
        missed += not findings
        print(f"{name:36} {bug.detecting_seed:9} {findings[0][:100] if findings else 'NOT CAUGHT'}")
    return bool(missed)


if __name__ == "__main__":
    sys.exit(main())
