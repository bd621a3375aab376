"""Fixtures of the end-to-end tests: a sandbox on real pseudo-terminals and the folder of an agent."""

import random
from datetime import UTC, datetime

import pytest

from crash.sandbox_env import SandboxEnv
from hardware.sim.sandbox import Sandbox
from hardware.sim.sandbox_sim import SimSpec


@pytest.fixture
def message_format():
    """Message format of the agent; tests parametrize it."""
    return "pdu"


@pytest.fixture(params=["programmable-wireless"])
async def sandbox_env(request, tmp_path, message_format):
    """A module in a sandbox, and the folder of its agent with a handler `count` that records its runs."""
    service = request.param
    (tmp_path / "handlers").mkdir(mode=0o755)
    sandbox = Sandbox(
        sims=[SimSpec(service=service, unique_name="sim")],
        link_dir=tmp_path,
        wall_clock=lambda: datetime.now(UTC),
        rng=random.Random(7),
    )
    env = SandboxEnv(sandbox, tmp_path, service)
    sandbox.add_observer(env.on_network_event)
    env.write_handler("count", f'echo "$COMMAND_SID $1" >> {tmp_path}/runs; echo "counted $1"')
    env.config.write_text(
        f'[modem]\nport = "{env.port}"\nmessage_format = "{message_format}"\n'
        f'[service]\nname = "{service}"\nmax_per_minute = 1000\n'
        '[handlers]\ndirectory = "handlers"\ntimeout_s = 2\n[journal]\npath = "journal.db"\nallow_volatile = true\n'
        '[control]\nsocket = "control.sock"\n'
    )
    await sandbox.start()
    yield env
    await sandbox.stop()
