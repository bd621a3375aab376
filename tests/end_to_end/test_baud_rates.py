"""Baud rates: a module with a fixed rate, and a module that detects the rate."""

import pytest

from crash.sandbox_env import build_sandbox_env


@pytest.mark.parametrize(("module", "agent"), [(9600, '"auto"'), (9600, "9600"), (0, "57600")])
async def test_agent_uses_the_rate_of_the_module(tmp_path, module, agent):
    """The agent finds the rate or has it configured, and a Command is answered."""
    env = build_sandbox_env(tmp_path, sim={"baud": module})
    env.write_handler("count", 'echo "counted $1"')
    env.config.write_text(
        f'[modem]\nport = "{env.port}"\nbaud = {agent}\n[service]\nname = "programmable-wireless"\n'
        '[handlers]\ndirectory = "handlers"\n[journal]\npath = "journal.db"\nallow_volatile = true\n'
        '[control]\nsocket = "control.sock"\n'
    )
    await env.sandbox.start()
    try:
        env.create_command("count one")
        async with env.run_in_process():
            await env.wait_until(lambda: env.sent_bodies() == ["counted one"])
            await env.wait_store_empty()
    finally:
        await env.sandbox.stop()
