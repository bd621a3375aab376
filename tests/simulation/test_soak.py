"""The soak: seeds without findings, the same trace on every Python, and mutants that are detected."""

import concurrent.futures
import multiprocessing
import os
import subprocess
import sys
from pathlib import Path

import pytest

from soak import mutants, seed

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
SEED_COUNT = 50
QUICK_MUTANTS = (
    "delete-before-commit",
    "dedup-by-slot",
    "interrupted-run-again",
    "sending-after-body",
    "bulk-delete",
)
"""Mutants that are quick to detect; `python -m soak --mutants` runs all of them."""


@pytest.mark.long
def test_seeds_have_no_findings():
    """Fifty short seeds have no findings; `make soak SEEDS=2000` runs more seeds and whole days."""
    context = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(os.cpu_count(), context) as pool:
        outcomes = list(
            pool.map(
                mutants.run_mutant, range(1000, 1000 + SEED_COUNT), [mutants.MUTANT_RUN_DAYS] * SEED_COUNT
            )
        )
    assert {each.seed: each.findings for each in outcomes if each.findings} == {}


@pytest.mark.long
def test_command_reports_findings_and_writes_trace(capfd, tmp_path, monkeypatch):
    """With a mutant the command exits with 1, writes the trace and prints how to repeat the seed."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", f"{ROOT}:{HERE}")
    arguments = [sys.executable, "-m", "soak", "--days", "0.35", "--seeds", "1"]
    assert subprocess.run(arguments, timeout=120, check=False).returncode == 0
    assert "1 of 1 seeds" in capfd.readouterr().out
    arguments += ["--mutant", "delete-before-commit"]
    assert subprocess.run(arguments, timeout=120, check=False).returncode == 1
    output = capfd.readouterr()
    assert "0 of 1 seeds" in output.out
    assert "make soak SEED=0" in output.err
    assert (tmp_path / "soak-0.trace").exists()


@pytest.mark.long
@pytest.mark.parametrize("hash_seed", ["0", "1"])
def test_trace_is_the_same_on_every_python(hash_seed):
    """The digest does not depend on the Python version or on the hash seed."""
    pythons = {sys.executable} | {str(path) for path in ROOT.glob(".venv*/bin/python")}
    usable = [each for each in sorted(pythons) if "bench" not in each]
    code = "from soak.seed import run_seed; print(*(run_seed(n, days=0.35).digest for n in (1001, 1002)))"
    environment = {
        **os.environ,
        "PYTHONPATH": f"{ROOT}:{HERE}",
        "PYTHONHASHSEED": hash_seed,
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    expected = " ".join(seed.run_seed(number, days=0.35).digest for number in (1001, 1002))
    for python in usable:
        done = subprocess.run(
            [python, "-c", code], env=environment, capture_output=True, text=True, timeout=120, check=False
        )
        assert done.stdout.strip() == expected, (python, done.stderr[-500:])


@pytest.mark.long
@pytest.mark.parametrize("name", QUICK_MUTANTS)
def test_mutant_is_detected(name):
    """The seed of a mutant finds it, and has no findings without the mutant."""
    assert mutants.find_violations(name)
    assert seed.run_seed(mutants.MUTANTS[name].detecting_seed, days=mutants.MUTANT_RUN_DAYS).findings == []


def test_table_lists_every_mutant():
    """`tests/README.md` has the description and the detecting seed of each mutant."""
    text = (ROOT / "tests" / "README.md").read_text()
    for name, mutant in mutants.MUTANTS.items():
        assert f"| `{name}` | {mutant.description} | {mutant.detecting_seed} |" in text
