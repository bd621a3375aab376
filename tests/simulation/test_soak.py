"""The soak: seeds without a finding, the same trace everywhere, and planted bugs that are caught."""

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
QUICK_MUTANTS = ("delete-before-commit", "dedup-by-slot", "run-again", "sending-after-body", "bulk-delete")
"""Of the planted bugs; `python -m soak --bugs` shows all of them."""


def test_fifty_seeds():
    """No seed finds anything; `make soak SEEDS=2000` runs whole days and more of them."""
    context = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(os.cpu_count(), context) as pool:
        outcomes = list(
            pool.map(
                mutants.run_mutant, range(1000, 1000 + SEED_COUNT), [mutants.MUTANT_RUN_DAYS] * SEED_COUNT
            )
        )
    assert {each.seed: each.findings for each in outcomes if each.findings} == {}


def test_the_command(capfd, tmp_path, monkeypatch):
    """A seed with a bug ends it with 1, its findings, its trace and how to run it again."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", f"{ROOT}:{HERE}")
    arguments = [sys.executable, "-m", "soak", "--days", "0.35", "--seeds", "1"]
    assert subprocess.run(arguments, timeout=120, check=False).returncode == 0
    assert "1 of 1 seeds" in capfd.readouterr().out
    arguments += ["--bug", "delete-before-commit"]
    assert subprocess.run(arguments, timeout=120, check=False).returncode == 1
    said = capfd.readouterr()
    assert "0 of 1 seeds" in said.out
    assert "make soak SEED=0" in said.err
    assert (tmp_path / "soak-0.trace").exists()


@pytest.mark.parametrize("hash_seed", ["0", "1"])
def test_the_same_trace_everywhere(hash_seed):
    """Python's version and the order of its sets change nothing."""
    pythons = {sys.executable} | {str(path) for path in ROOT.glob(".venv*/bin/python")}
    usable = [each for each in sorted(pythons) if "bench" not in each]
    code = "from soak.seed import run_seed; print(*(run_seed(n, days=0.35).digest for n in (1001, 1002)))"
    environment = {
        **os.environ,
        "PYTHONPATH": f"{ROOT}:{HERE}",
        "PYTHONHASHSEED": hash_seed,
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    here = " ".join(seed.run_seed(number, days=0.35).digest for number in (1001, 1002))
    for python in usable:
        done = subprocess.run(
            [python, "-c", code], env=environment, capture_output=True, text=True, timeout=120, check=False
        )
        assert done.stdout.strip() == here, (python, done.stderr[-500:])


@pytest.mark.parametrize("name", QUICK_MUTANTS)
def test_a_planted_bug_is_caught(name):
    """Its seed finds it, and finds nothing without it."""
    assert mutants.find_violations(name)
    assert seed.run_seed(mutants.MUTANTS[name].detecting_seed, days=mutants.MUTANT_RUN_DAYS).findings == []


def test_the_table_of_planted_bugs():
    """`tests/README.md` says of each what is changed and which seed finds it."""
    text = (ROOT / "tests" / "README.md").read_text()
    for name, bug in mutants.MUTANTS.items():
        assert f"| `{name}` | {bug.description} | {bug.detecting_seed} |" in text
