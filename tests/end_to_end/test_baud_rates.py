"""A module whose line has a rate of its own: one that is fixed, and one that learns it."""

import random
from datetime import UTC, datetime

import pytest

from crash.sandbox_env import SandboxEnv
from hardware.sim.sandbox import Sandbox, SimSpec


@pytest.mark.parametrize(("module", "agent"), [(9600, '"auto"'), (9600, "9600"), (0, "57600")])
async def test_they_understand_each_other(tmp_path, module, agent):
    """The agent finds the rate, or is told; a Command comes and is answered slowly."""
    (tmp_path / "handlers").mkdir(mode=0o755)
    sandbox = Sandbox(
        [SimSpec(service="programmable-wireless", unique_name="sim")],
        ("127.0.0.1", 0),
        link_dir=tmp_path,
        wall_clock=lambda: datetime.now(UTC),
        rng=random.Random(7),
        baud=module,
    )
    house = SandboxEnv(sandbox, tmp_path, "programmable-wireless")
    sandbox.add_observer(house.on_network_event)
    house.write_handler("count", 'echo "counted $1"')
    house.config.write_text(
        f'[modem]\nport = "{house.port}"\nbaud = {agent}\n[service]\nname = "programmable-wireless"\n'
        '[handlers]\ndirectory = "handlers"\n[journal]\npath = "journal.db"\n'
        '[control]\nsocket = "control.sock"\n'
    )
    await sandbox.start()
    try:
        house.create_command("count one")
        async with house.run_in_process():
            await house.wait_until(lambda: house.sent_bodies() == ["counted one"])
            await house.wait_store_empty()
    finally:
        await sandbox.stop()
