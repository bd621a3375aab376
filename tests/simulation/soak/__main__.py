"""`python -m soak`: runs many seeds of one virtual day each, or one seed with its trace."""

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
"""Number of seeds that a process runs before it is replaced."""


def main(arguments=None):
    """Run the command. Return exit status 1 if a seed has findings, otherwise 0."""
    parser = argparse.ArgumentParser(prog="python -m soak", description=__doc__)
    parser.add_argument("--seeds", type=int, default=50, metavar="N", help="number of seeds")
    parser.add_argument("--first", type=int, default=0, metavar="S", help="first seed")
    parser.add_argument("--seed", type=int, metavar="S", help="run only this seed and print its findings")
    parser.add_argument("--days", type=float, default=1.0, help="virtual days for each seed (default 1)")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="number of processes")
    parser.add_argument("--trace", type=Path, metavar="FILE", help="write the trace of the seed to this file")
    parser.add_argument("--mutant", choices=sorted(mutants.MUTANTS), help="run with this mutant")
    parser.add_argument(
        "--mutants", action="store_true", help="run each mutant with the seed that detects it"
    )
    options = parser.parse_args(arguments)
    if options.mutants:
        return _run_all_mutants()
    if options.seed is not None:
        return _run_one(options)
    return _run_many(options)


def _run_one(options):
    result = mutants.run_mutant(options.seed, options.days, options.mutant, trace=True)
    for finding in result.findings:
        print(finding)
    print(_format_result(result))
    if options.trace:
        options.trace.write_text("\n".join(result.trace) + "\n")
    return bool(result.findings)


def _run_many(options):
    console = Console(stderr=True)
    start = time.perf_counter()
    failing, passed, commands, agent_runs = [], 0, 0, 0
    columns = (TextColumn("soak"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    seeds = range(options.first, options.first + options.seeds)
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        bar = progress.add_task("", total=len(seeds))
        for number, result in _iter_results(seeds, options):
            if isinstance(result, Exception):
                failing.append(number)
                progress.console.print(f"seed {number}: {type(result).__name__}: {result}", markup=False)
            else:
                passed += not result.findings
                commands += result.counts["commands"]
                agent_runs += result.counts["agent runs"]
                if result.findings:
                    failing.append(number)
                    _print_failure(progress.console, result, options)
            progress.advance(bar)
    seconds = time.perf_counter() - start
    print(
        f"{passed} of {len(seeds)} seeds of {options.days:g} virtual days without findings, "
        f"{commands} Commands, {agent_runs} agent runs, {seconds:.0f} s"
    )
    return bool(failing)


def _iter_results(seeds, options):
    """Yield (seed, its SeedResult or the exception), in the order in which the processes finish."""
    context = multiprocessing.get_context("spawn")  # no state is shared between seeds
    size = SEEDS_PER_PROCESS * options.jobs  # with max_tasks_per_child Python 3.11 hangs [gh-115634]
    for first in range(0, len(seeds), size):
        with concurrent.futures.ProcessPoolExecutor(options.jobs, context) as pool:
            futures = {
                pool.submit(mutants.run_mutant, number, options.days, options.mutant): number
                for number in seeds[first : first + size]
            }
            for done in concurrent.futures.as_completed(futures):
                yield futures[done], done.exception() or done.result()


def _print_failure(console, result, options):
    trace = Path(f"soak-{result.seed}.trace")
    trace.write_text("\n".join(result.trace) + "\n")
    console.print(f"seed {_format_result(result)}", markup=False, highlight=False)
    for finding in result.findings[:10]:
        console.print(f"    {finding}", markup=False, highlight=False)
    command = f"python -m soak --seed {result.seed} --days {options.days:g} --trace {trace}"
    console.print(
        f"    repeat: make soak SEED={result.seed} DAYS={options.days:g}   ({command})", markup=False
    )
    console.print(f"    trace: {trace}", markup=False)


def _format_result(result):
    return f"{result.seed} {result.digest}: {result.description}; {result.counts}; {result.seconds:.1f} s"


def _run_all_mutants():
    missed = 0
    for name, mutant in mutants.MUTANTS.items():
        findings = mutants.find_violations(name)
        missed += not findings
        print(f"{name:36} {mutant.detecting_seed:9} {findings[0][:100] if findings else 'NOT CAUGHT'}")
    return bool(missed)


if __name__ == "__main__":
    sys.exit(main())
