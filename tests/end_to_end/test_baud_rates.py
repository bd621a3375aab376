"""Baud rates: a module with a fixed rate, and a module that detects the rate."""

import random
from datetime import UTC, datetime

import pytest

from crash.sandbox_env import SandboxEnv
from hardware.sim.sandbox import Sandbox
from hardware.sim.sandbox_sim import SimSpec


@pytest.mark.parametrize(("module", "agent"), [(9600, '"auto"'), (9600, "9600"), (0, "57600")])
async def test_agent_uses_the_rate_of_the_module(tmp_path, module, agent):
    """The agent finds the rate or has it configured, and a Command is answered."""
    (tmp_path / "handlers").mkdir(mode=0o755)
    sandbox = Sandbox(
        sims=[SimSpec(service="programmable-wireless", unique_name="sim", baud=module)],
        link_dir=tmp_path,
        wall_clock=lambda: datetime.now(UTC),
        rng=random.Random(7),
    )
    env = SandboxEnv(sandbox, tmp_path, "programmable-wireless")
    sandbox.add_observer(env.on_network_event)
    env.write_handler("count", 'echo "counted $1"')
    env.config.write_text(
        f'[modem]\nport = "{env.port}"\nbaud = {agent}\n[service]\nname = "programmable-wireless"\n'
        '[handlers]\ndirectory = "handlers"\n[journal]\npath = "journal.db"\nallow_volatile = true\n'
        '[control]\nsocket = "control.sock"\n'
    )
    await sandbox.start()
    try:
        env.create_command("count one")
        async with env.run_in_process():
            await env.wait_until(lambda: env.sent_bodies() == ["counted one"])
            await env.wait_store_empty()
    finally:
        await sandbox.stop()
