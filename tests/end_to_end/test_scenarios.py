"""The agent in the scenarios that are shipped: every Command runs once, whatever the network does."""

from pathlib import Path

import pytest

from hardware.sim.client_activity import SettleTimes
from hardware.sim.scenario.player import ScenarioPlayer
from hardware.sim.scenario.steps import parse_scenario

EXAMPLES = Path(__file__).parents[2] / "config" / "scenarios"


@pytest.mark.long
@pytest.mark.parametrize(
    ("name", "commands"), [("outage", 7), ("bad-network", 100), ("impatient-cloud", 5), ("strangers", 5)]
)
async def test_every_command_runs_once(sandbox_env, name, commands):
    """Hours pass in seconds; strangers' messages and duplicates run nothing."""
    for handler in ("before", "meanwhile", "afterwards", "open", "status"):
        sandbox_env.write_handler(handler, f'echo "$COMMAND_SID $1" >> {sandbox_env.folder}/runs; echo done')
    scenario = parse_scenario((EXAMPLES / f"{name}.toml").read_text(), sandbox_env.sandbox.sims.keys())
    player = ScenarioPlayer(sandbox_env.sandbox)
    async with sandbox_env.run_in_process():
        player.start(scenario)
        await sandbox_env.sandbox.pass_time(2 * 86400, until_idle=True, settle_times=SettleTimes(quiet_s=0.1))
        assert player.to_json()["state"] == "over"
        await sandbox_env.wait_until(lambda: len(sandbox_env.handler_log_lines()) >= commands, timeout_s=60)
        await sandbox_env.wait_store_empty()
    assert len(sandbox_env.handler_log_lines()) == commands
    assert set(sandbox_env.command_states()) == {"done"}
