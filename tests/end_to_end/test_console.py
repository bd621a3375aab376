"""The console of a sandbox shows the part of an agent that it knows by its control socket only."""

import asyncio
import contextlib

import pytest

from agent.cli.sandbox_agents import following_agents
from hardware.sim.console.console import Console


class _ConsoleOnly:
    """A console without the REST API."""

    def __init__(self, sandbox):
        self.sandbox, self.console = sandbox, Console(sandbox)


@pytest.fixture
async def console(sandbox_env):
    server = _ConsoleOnly(sandbox_env.sandbox)
    server.console.start()
    yield server
    server.console.stop()


async def read_until(messages, condition):
    """Return all messages up to the first one that fulfils the condition."""
    seen = []
    async with asyncio.timeout(15):
        async for _, message in messages:
            seen.append(message)
            if condition(message):
                return seen
    raise AssertionError("the messages ended")


@pytest.mark.parametrize("sandbox_env", ["super-sim"], indirect=True)
async def test_agent_in_another_process_shows_its_part(sandbox_env, console):
    """From the reception to the reply; the Command is found although its message has no SID."""
    async with contextlib.AsyncExitStack() as stack:
        await stack.enter_async_context(
            following_agents(console, [sandbox_env.folder / "control.sock", sandbox_env.folder / "none.sock"])
        )
        await stack.enter_async_context(sandbox_env.run_in_process())
        messages = console.console.follow()
        await read_until(messages, lambda message: any(agent["sim"] for agent in message.get("agents", ())))
        sid = sandbox_env.create_command("count one")
        seen = await read_until(messages, lambda message: "answers" in message)
        seen += await read_until(
            messages, lambda message: any("sent" in s["title"] for s in message["steps"])
        )
    steps = [step for message in seen for step in message.get("steps", ()) if step["sid"] == sid]
    ours = [step["title"] for step in steps if step["stage"] in ("agent", "handler")]
    assert ours == ["Received and stored", "Handler started", "Handler finished"]
    replies = [(step["title"], step.get("text")) for step in steps if step["stage"] == "reply"]
    assert sorted(replies) == [
        ("Accepted by the service centre", "counted one"),
        ("Listed by the service", None),
        ("Reply passed to the module", "counted one"),
        ("Reply sent", None),
        ("Reply stored", "counted one"),
    ]
    [(_, answered)] = [answer for message in seen for answer in message.get("answers", ())]
    assert answered == sid
