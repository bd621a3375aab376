"""The disk becomes full while the agent runs, with a real file system of one megabyte and real handlers."""

import asyncio
import subprocess
from contextlib import suppress

import pytest

pytestmark = pytest.mark.system


@pytest.fixture
def small_disk(tmp_path):
    """A folder on a small file system of its own. Needs root."""
    folder = tmp_path / "small"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m,mode=755", "tmpfs", folder], check=True)
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)


def fill_disk(disk):
    """Use all free space."""
    with (disk / "ballast").open("ab", buffering=0) as file, suppress(OSError):
        while file.write(b"\0" * 4096):
            pass


async def wait_for_events(events, kind, count=1):
    async with asyncio.timeout(20):
        while sum(event.kind == kind for event in events) < count:  # noqa: ASYNC110  (a list)
            await asyncio.sleep(0.02)


async def test_full_disk_loses_nothing_and_runs_nothing_twice(sandbox_env, small_disk, tmp_path):
    """Messages stay in the module, and the result of a handler waits, until space is free again."""
    sandbox_env.config.write_text(
        sandbox_env.config.read_text().replace('"journal.db"', f'"{small_disk}/journal.db"')
    )
    (tmp_path / "journal.db").symlink_to(small_disk / "journal.db")
    wait = tmp_path / "go"
    sandbox_env.write_handler(
        "slow", f'while [ ! -e {wait} ]; do sleep 0.02; done; echo "slow" >> {tmp_path}/runs; echo ok'
    )
    async with sandbox_env.run_in_process() as events:
        sandbox_env.create_command("count zero")
        await sandbox_env.wait_until(lambda: sandbox_env.sent_bodies() == ["counted zero"])
        sandbox_env.create_command("slow")
        await wait_for_events(events, "running", 2)
        await sandbox_env.wait_store_empty()
        fill_disk(small_disk)
        count = 0
        while all(event.kind != "journal cannot commit" for event in events):
            sandbox_env.create_command(f"count {count}")  # the log may have room in its last block
            count += 1
            assert count <= 20
            await asyncio.sleep(0.3)
        wait.touch()
        for number in range(count, count + 3):
            sandbox_env.create_command(f"count {number}")
        count += 3
        await asyncio.sleep(1)
        assert sandbox_env.stored_count() >= 3  # one store may be counted under two names
        assert (tmp_path / "runs").read_text().split().count("slow") == 1
        assert "ok" not in sandbox_env.sent_bodies()
        (small_disk / "ballast").unlink()
        await sandbox_env.wait_until(lambda: len(sandbox_env.sent_bodies()) == count + 2, 40)
        await sandbox_env.wait_store_empty(20)
        warnings = [str(event) for event in events if event.kind == "journal cannot commit"]
        assert all("full" in warning for warning in warnings)
        assert len(warnings) <= 3  # at most one for each task
    texts = ["zero", *map(str, range(count))]
    assert sorted(sandbox_env.sent_bodies()) == sorted([*(f"counted {each}" for each in texts), "ok"])
    assert sorted(line.split()[-1] for line in sandbox_env.handler_log_lines()) == sorted([*texts, "slow"])
    assert set(sandbox_env.command_states()) == {"done"}
