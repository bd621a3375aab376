"""Runs each fuzz target with its seeds, with mutated seeds and with random octets."""

import importlib

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from run_fuzzer import TARGETS, mutate

EXAMPLES = 60


@pytest.fixture(scope="module", params=TARGETS)
def target(request):
    return importlib.import_module(f"fuzz_{request.param}")


def test_seeds_raise_nothing(target):
    """This holds for the seeds and for their beginnings."""
    for seed in target.SEEDS[:40]:
        for end in {len(seed), len(seed) // 2, len(seed) - 1, 1, 0}:
            target.run(seed[:end])


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rng=st.randoms(use_true_random=False))
def test_mutated_seeds_raise_nothing(target, rng):
    """A target raises only its declared exceptions."""
    target.run(mutate(rng, target.SEEDS))


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.binary(max_size=300))
def test_random_octets_raise_nothing(target, data):
    """A target raises only its declared exceptions."""
    target.run(data)
