"""A disk that fills up under the running agent: real files, real handlers, a file system of one megabyte."""

import asyncio
import subprocess
from contextlib import suppress

import pytest

pytestmark = pytest.mark.system


@pytest.fixture
def small_disk(tmp_path):
    """A folder on a small file system of its own; needs root."""
    folder = tmp_path / "small"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m,mode=755", "tmpfs", folder], check=True)
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)


def fill_disk(disk):
    """Take all the room there is."""
    with (disk / "ballast").open("ab", buffering=0) as file, suppress(OSError):
        while file.write(b"\0" * 4096):
            pass


async def wait_for_events(steps, kind, count=1):
    async with asyncio.timeout(20):
        while len([step for step in steps if step.kind == kind]) < count:  # noqa: ASYNC110  (a list of steps)
            await asyncio.sleep(0.02)


async def test_it_fills_up_and_has_room_again(sandbox_env, small_disk, tmp_path):
    """Said once a trouble; messages stay in the module, a handler's result waits; then all is done, once."""
    sandbox_env.config.write_text(
        sandbox_env.config.read_text().replace('"journal.db"', f'"{small_disk}/journal.db"')
    )
    (tmp_path / "journal.db").symlink_to(small_disk / "journal.db")
    wait = tmp_path / "go"
    sandbox_env.write_handler(
        "slow", f'while [ ! -e {wait} ]; do sleep 0.02; done; echo "slow" >> {tmp_path}/runs; echo ok'
    )
    async with sandbox_env.run_in_process() as steps:
        sandbox_env.create_command("count zero")
        await sandbox_env.wait_until(lambda: sandbox_env.sent_bodies() == ["counted zero"])
        sandbox_env.create_command("slow")
        await wait_for_events(steps, "running", 2)
        await sandbox_env.wait_store_empty()
        fill_disk(small_disk)
        wait.touch()
        for number in range(3):
            sandbox_env.create_command(f"count {number}")
        await wait_for_events(steps, "journal cannot commit")
        await asyncio.sleep(1)
        assert sandbox_env.stored_count() >= 3  # a store may have two names
        assert (tmp_path / "runs").read_text().split().count("slow") == 1
        assert len(sandbox_env.sent_bodies()) == 1
        (small_disk / "ballast").unlink()
        await sandbox_env.wait_until(lambda: len(sandbox_env.sent_bodies()) == 5, 40)
        await sandbox_env.wait_store_empty(20)
        said = [str(step) for step in steps if step.kind == "journal cannot commit"]
        assert all("full" in line for line in said)
        assert len(said) <= 3  # each task says what it means for its own work
    assert sorted(sandbox_env.sent_bodies()[1:]) == ["counted 0", "counted 1", "counted 2", "ok"]
    assert sorted(line.split()[-1] for line in sandbox_env.handler_log_lines()) == [
        "0",
        "1",
        "2",
        "slow",
        "zero",
    ]
    assert set(sandbox_env.command_states()) == {"done"}
