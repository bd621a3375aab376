"""Searches for octets that a part of the product cannot handle: `make fuzz TARGET=codec RUNS=1000000`.

With atheris (libFuzzer for Python) the search is guided by code coverage. Where atheris cannot be installed,
a seeded mutator changes, cuts and joins the seeds instead, and the program prints so. An undeclared
exception, an input that takes more than five seconds, and memory above 1 GiB end the program with status 1.
The input is then printed and written to `.fuzz/`, and `--replay FILE` runs it again. Each finding becomes a
seed or a test.
"""

import argparse
import contextlib
import importlib
import random
import resource
import signal
import sys
import time
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
TARGETS = sorted(path.stem.removeprefix("fuzz_") for path in HERE.glob("fuzz_*.py"))
MAX_RUN_S = 5
MAX_INPUT_OCTETS = 4096
"""Longest input in octets, unless the target has a limit of its own."""
MAX_MEMORY_BYTES = 1 << 30
SPLICES = (*(bytes((octet,)) for octet in b'\r\n\0",=;\x1a\x1b\xfe'), b"\r\n", b"0" * 40, b"[" * 99)


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("target", choices=TARGETS)
    parser.add_argument("--runs", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--found", type=Path, default=ROOT / ".fuzz", help="folder for inputs")
    parser.add_argument("--replay", type=Path, help="run only this input")
    parser.add_argument("--plain", action="store_true", help="use the mutator even if atheris is installed")
    return parser.parse_args()


def run_guided(atheris, name, args):
    """Run the target with atheris; does not return."""
    with atheris.instrument_imports(include=["pdu", "agent", "hardware"]):
        target = importlib.import_module(f"fuzz_{name}")
    corpus = args.found / name
    corpus.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(target.SEEDS):
        (corpus / f"seed-{number}").write_bytes(seed)
    options = {
        "runs": args.runs,
        "seed": args.seed,
        "timeout": MAX_RUN_S,
        "rss_limit_mb": MAX_MEMORY_BYTES >> 20,
        "max_len": getattr(target, "LONGEST_INPUT", MAX_INPUT_OCTETS),
        "artifact_prefix": f"{args.found}/{name}-",
        "print_final_stats": 1,
    }
    arguments = [sys.argv[0], *(f"-{key}={value}" for key, value in options.items()), str(corpus)]
    atheris.Setup(arguments, target.run)
    atheris.Fuzz()


def mutate(rng, seeds):
    """Return a seed with a few random changes."""
    data = bytearray(rng.choice(seeds))
    for _ in range(rng.choice((1, 1, 2, 3, 5, 9))):
        at, end = sorted(rng.randrange(len(data) + 1) for _ in range(2))
        match rng.randrange(6):
            case 0 if at < len(data):
                data[at] ^= 1 << rng.randrange(8)
            case 1:
                data[at:at] = rng.randbytes(rng.randrange(1, 4))
            case 2:
                del data[at : at + rng.randrange(1, 9)]
            case 3:
                data[at:at] = rng.choice(SPLICES)
            case 4:
                data[at:at] = data[at:end] * rng.choice((1, 1, 2, 8))
            case _:
                other = rng.choice(seeds)
                begin = rng.randrange(len(other) + 1)
                data[at:end] = other[begin : begin + rng.randrange(1, 99)]
        del data[MAX_INPUT_OCTETS:]
    return bytes(data)


def _on_alarm(_signal, _frame):
    raise TimeoutError(f"more than {MAX_RUN_S} s")


def run_unguided(name, args):
    """Run the target with mutated seeds."""
    target = importlib.import_module(f"fuzz_{name}")
    signal.signal(signal.SIGALRM, _on_alarm)
    resource.setrlimit(resource.RLIMIT_AS, (2 * MAX_MEMORY_BYTES, 2 * MAX_MEMORY_BYTES))
    rng, start = random.Random(args.seed), time.monotonic()
    for number in range(args.runs):
        data = mutate(rng, target.SEEDS)
        signal.alarm(MAX_RUN_S)
        try:
            target.run(data)
        except BaseException:
            args.found.mkdir(exist_ok=True)
            file = args.found / f"{name}-seed{args.seed}-{number}"
            file.write_bytes(data)
            print(f"input {number} of seed {args.seed} is in {file}: {data!r}")
            raise
        finally:
            signal.alarm(0)
    seconds = time.monotonic() - start
    print(f"{name}: {args.runs} inputs in {seconds:.0f} s, seed {args.seed}, nothing found")
    print(f"memory at most {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10} MiB")


def main():
    arguments = parse_arguments()
    sys.path[:0] = [str(ROOT), str(ROOT / "tests/simulation")]
    if arguments.replay:
        importlib.import_module(f"fuzz_{arguments.target}").run(arguments.replay.read_bytes())
        print("nothing found")
        return
    with contextlib.suppress(ImportError):
        import atheris  # noqa: PLC0415  (only a separate environment has it)

        if not arguments.plain:
            run_guided(atheris, arguments.target, arguments)
            return
    if not arguments.plain:
        print("atheris is not installed: a seeded mutator runs, which is not guided by code coverage.")
    run_unguided(arguments.target, arguments)


if __name__ == "__main__":
    main()
