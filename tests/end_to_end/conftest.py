"""A sandbox on real pseudo-terminals, and agents that live, are killed and start again on one journal."""

import random
from datetime import UTC, datetime

import pytest

from crash.sandbox_env import SandboxEnv
from hardware.sim.sandbox import Sandbox, SimSpec


@pytest.fixture
def message_format():
    """The format in which agent and module speak of messages; a test may name another."""
    return "pdu"


@pytest.fixture(params=["programmable-wireless"])
async def sandbox_env(request, tmp_path, message_format):
    """A module in a sandbox, and an agent's folder with a handler `count` that notes each of its runs."""
    service = request.param
    (tmp_path / "handlers").mkdir(mode=0o755)
    sandbox = Sandbox(
        [SimSpec(service=service, unique_name="sim")],
        ("127.0.0.1", 0),
        link_dir=tmp_path,
        wall_clock=lambda: datetime.now(UTC),
        rng=random.Random(7),
    )
    house = SandboxEnv(sandbox, tmp_path, service)
    sandbox.add_observer(house.on_network_event)
    house.write_handler("count", f'echo "$COMMAND_SID $1" >> {tmp_path}/runs; echo "counted $1"')
    house.config.write_text(
        f'[modem]\nport = "{house.port}"\nmessage_format = "{message_format}"\n'
        f'[service]\nname = "{service}"\nmax_per_minute = 1000\n'
        '[handlers]\ndirectory = "handlers"\ntimeout_s = 2\n[journal]\npath = "journal.db"\n'
        '[control]\nsocket = "control.sock"\n'
    )
    await sandbox.start()
    yield house
    await sandbox.stop()
