"""Fixtures of the end-to-end tests: a sandbox on real pseudo-terminals and the folder of an agent."""

import pytest

from crash.sandbox_env import build_sandbox_env


@pytest.fixture
def message_format():
    """Message format of the agent; tests parametrize it."""
    return "pdu"


@pytest.fixture(params=["programmable-wireless"])
async def sandbox_env(request, tmp_path, message_format):
    """A module in a sandbox, and the folder of its agent with a handler `count` that records its runs."""
    service = request.param
    env = build_sandbox_env(tmp_path, service)
    env.write_handler("count", f'echo "$COMMAND_SID $1" >> {tmp_path}/runs; echo "counted $1"')
    env.config.write_text(
        f'[modem]\nport = "{env.port}"\nmessage_format = "{message_format}"\n'
        f'[service]\nname = "{service}"\nmax_per_minute = 1000\n'
        '[handlers]\ndirectory = "handlers"\ntimeout_s = 2\n'
        '[journal]\npath = "journal.db"\nallow_volatile = true\n[control]\nsocket = "control.sock"\n'
    )
    await env.sandbox.start()
    yield env
    await env.sandbox.stop()
