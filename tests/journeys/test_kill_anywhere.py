"""Kill the agent after each commit and after each write; start it again: nothing lost, nothing twice."""

import asyncio

import pytest


async def _journey(house, kind, number):
    """One Command, an agent killed on the way, a second agent; returns whether the first was killed."""
    first = await house.agent(kind, number)
    house.create("count once", IncludeSid="start")
    await house.idle(first)
    killed = first.returncode is not None or await _ended(first)
    if not killed:
        first.terminate()
    await first.wait()
    second = await house.agent()
    await house.idle(second)
    second.terminate()
    await second.communicate()
    assert second.returncode == 0
    return killed


async def _ended(process):
    try:
        async with asyncio.timeout(0.5):
            await process.wait()
    except TimeoutError:
        return False
    return True


def _ledger(house):
    """The promises, whatever was killed when."""
    assert len(house.runs()) <= 1
    [state] = house.states()
    [reply] = house.replies()
    answers = house.answers()
    assert len(answers) <= 1
    if state == "done":
        assert len(house.runs()) == 1
        assert answers in ([], ["counted once"])
    else:
        assert state == "failed"
        assert answers in ([], ["ERR interrupted"])
    if reply == "sent":
        assert len(answers) == 1
    else:
        assert reply == "unknown"
    assert not house.sandbox.sim("sim").module.stored()


@pytest.mark.parametrize("number", range(1, 7))
async def test_killed_after_each_commit(house, number):
    """After the Nth commit has returned: at most one run, at most one answer, its fate known, the store empty."""
    await _journey(house, "commit", number)
    _ledger(house)


@pytest.mark.parametrize("number", range(1, 31))
async def test_killed_after_each_write(house, number):
    """After the Nth write to the module, be it a read, a delete, a send or the body of the answer."""
    await _journey(house, "write", number)
    _ledger(house)
