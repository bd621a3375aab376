"""A fleet of real agents with simulated modules, in virtual time."""

import asyncio

import pytest

from agent.fleet.fleet import COVERAGE_BACK, FleetFailed, open_fleet, simulate_fleet
from agent.fleet.load import LoadKind
from agent.fleet.options import FleetOptions, FleetScenario
from agent.fleet.report import make_document
from hardware.sim.virtual_time import run_virtual

SIMS = 12
"""Enough for the order of events to matter. The run with 50 is `test_cell_that_returns_loses_no_command`."""


def simulate(folder, reply_spread_s=0.0, **options):
    options = FleetOptions(**({"sims": SIMS, "search_s": 20.0, "outage_s": 60.0} | options))
    steps = []
    return run_virtual(simulate_fleet(options, reply_spread_s, folder, steps.append))


def test_cell_that_returns_loses_no_command(tmp_path):
    """Each of 50 agents re-attaches once, and runs and answers the Command of the outage once."""
    load = simulate(tmp_path, sims=50, scenario=FleetScenario.OUTAGE)
    assert (load.commands, load.lost, load.doubled, load.unanswered, load.repeats) == (50, 0, 0, 0, 0)
    assert load.is_sound
    assert sum(load.per_second[LoadKind.ATTACHMENT]) == 50
    assert sum(load.per_second[LoadKind.REPLY]) == 50
    before = int(load.marks[COVERAGE_BACK])
    for kind in LoadKind:
        assert not any(load.per_second[kind][:before]), kind


def test_lost_acknowledgements_are_recognised(tmp_path):
    """The network delivers each message again, and no handler runs twice."""
    load = simulate(tmp_path, scenario=FleetScenario.RETRY, loss=1.0)
    assert load.is_sound
    assert load.duplicates == SIMS
    assert sum(load.per_second[LoadKind.DELIVERY]) == 2 * SIMS


def test_spread_flattens_the_replies_and_makes_an_impatient_back_end_repeat(tmp_path):
    """The replies of one second become those of a minute; a back end with a shorter time limit repeats."""
    options = {"scenario": FleetScenario.RETRY, "loss": 0.0, "repeat_after_s": 30.0, "jitter_s": 0.0}
    at_once, spread = (simulate(tmp_path, reply_spread_s, **options) for reply_spread_s in (0.0, 120.0))
    assert (at_once.peak(LoadKind.REPLY), at_once.repeats) == (SIMS, 0)
    assert spread.peak(LoadKind.REPLY) < SIMS / 3
    assert spread.is_sound
    assert spread.repeats > 0
    assert spread.answer_s[100] <= 120.0 + at_once.answer_s[100]


def test_seed_determines_the_result(tmp_path):
    """The same seed gives the same document to the last digit, another seed another one."""
    documents = [
        str(make_document(FleetOptions(), [simulate(tmp_path, scenario=FleetScenario.OUTAGE, seed=seed)]))
        for seed in (7, 7, 8)
    ]
    assert documents[0] == documents[1] != documents[2]


@pytest.mark.parametrize("service", ["programmable-wireless", "super-sim-beta"])
def test_each_service_can_be_simulated(tmp_path, service):
    """Also the one that lists no messages from a SIM: they count as answers all the same."""
    assert simulate(tmp_path, service=service, sims=2).is_sound


def test_commands_that_the_network_gives_up_are_not_lost(tmp_path):
    """The first beta stores nothing: what is created during the outage reaches no module."""
    load = simulate(tmp_path, sims=3, service="super-sim-beta", scenario=FleetScenario.OUTAGE)
    assert (load.given_up, load.lost, load.unanswered) == (3, 0, 0)
    assert load.is_sound
    assert load.answer_s == {}
    assert sum(load.per_second[LoadKind.ATTACHMENT]) == 3


def test_agent_that_ends_is_reported(tmp_path):
    """The simulation does not go on without it."""

    async def stop_one():
        async with open_fleet(FleetOptions(sims=2), 0.0, tmp_path) as fleet:
            await fleet.start_agents()
            fleet.devices[0].agent.stop()
            await asyncio.sleep(10)
            await fleet.run_scenario()

    with pytest.raises(FleetFailed, match="an agent has ended"):
        run_virtual(stop_one())
