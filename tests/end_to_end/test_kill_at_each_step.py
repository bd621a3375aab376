"""The agent is killed after each commit and after each write: nothing is lost and nothing runs twice."""

import asyncio

import pytest

MAX_STEPS = 60
"""Limit for the commits or writes of one start and one Command; the loop ends when no kill happens."""


async def _run_with_kill(sandbox_env, crash_point, number, command):
    """Send a Command to an agent that is killed, then start another. Return True if the first was killed."""
    first = await sandbox_env.start_crashing_agent(crash_point, number)
    sandbox_env.create_command(f"count {command}", IncludeSid="start")
    await sandbox_env.wait_idle(first, command)
    killed = await _has_ended(first)
    if not killed:
        first.terminate()
    await first.communicate()
    second = await sandbox_env.start_crashing_agent()
    await sandbox_env.wait_idle(second, command)
    await sandbox_env.wait_store_empty()
    second.terminate()
    await second.communicate()
    assert second.returncode == 0
    return killed


async def _has_ended(process):
    try:
        async with asyncio.timeout(0.3):
            await process.wait()
    except TimeoutError:
        return False
    return True


@pytest.mark.long
@pytest.mark.parametrize(("kind", "step", "least"), [("commit", 1, 3), ("write", 3, 9)])
async def test_promises_hold_when_killed_after_each_step(sandbox_env, kind, step, least):
    """Each Command runs and is answered at most once, its state is final, and the store is empty.

    All on one journal, a Command for each kill. Every third write is enough: most are queries.
    """
    commands = 0
    for number in range(1, MAX_STEPS, step):
        commands += 1
        if not await _run_with_kill(sandbox_env, kind, number, commands):
            break
    assert least <= commands - 1
    assert number < MAX_STEPS - step
    states, replies = sandbox_env.command_states(), sandbox_env.reply_states()
    runs = [line.split()[1] for line in sandbox_env.handler_log_lines()]
    answers = sandbox_env.sent_bodies()
    assert len(states) == len(replies) == commands
    assert len(runs) == len(set(runs)), "a Command ran twice"
    interrupted = 0
    for command, (state, reply) in enumerate(zip(states, replies, strict=True), 1):
        answer = f"counted {command}"
        if state == "done":
            assert str(command) in runs
        else:
            assert state == "failed"
            answer = "ERR interrupted"
            interrupted += 1
        if reply == "sent":
            assert answer in answers
        else:
            assert reply == "unknown"
    counted = [answer for answer in answers if answer != "ERR interrupted"]
    assert len(counted) == len(set(counted)), "an answer was sent twice"
    assert len(answers) - len(counted) <= interrupted
    assert interrupted <= commands // 2, "only a run that had begun may be interrupted"
