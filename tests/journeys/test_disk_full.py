"""A disk that fills up under the running agent: real files, real handlers, a file system of one megabyte."""

import asyncio
import subprocess
from contextlib import suppress

import pytest

pytestmark = pytest.mark.system


@pytest.fixture
def disk(tmp_path):
    """A folder on a small file system of its own; needs root."""
    folder = tmp_path / "small"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m,mode=755", "tmpfs", folder], check=True)
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)


def fill(disk):
    """Take all the room there is."""
    with (disk / "ballast").open("ab", buffering=0) as file, suppress(OSError):
        while file.write(b"\0" * 4096):
            pass


async def told(steps, what, count=1):
    async with asyncio.timeout(20):
        while len([step for step in steps if step.what == what]) < count:  # noqa: ASYNC110  (a list of steps)
            await asyncio.sleep(0.02)


async def test_it_fills_up_and_has_room_again(house, disk, tmp_path):
    """Said once a trouble; messages stay in the module, a handler's result waits; then all is done, once."""
    house.config.write_text(house.config.read_text().replace('"journal.db"', f'"{disk}/journal.db"'))
    (tmp_path / "journal.db").symlink_to(disk / "journal.db")
    wait = tmp_path / "go"
    house.handler(
        "slow", f'while [ ! -e {wait} ]; do sleep 0.02; done; echo "slow" >> {tmp_path}/runs; echo ok'
    )
    async with house.living() as steps:
        house.create("count zero")
        await house.until(lambda: house.answers() == ["counted zero"])
        house.create("slow")
        await told(steps, "running", 2)
        await house.emptied()
        fill(disk)
        wait.touch()
        for number in range(3):
            house.create(f"count {number}")
        await told(steps, "journal cannot commit")
        await asyncio.sleep(1)
        assert house.stored() >= 3  # a store may have two names
        assert (tmp_path / "runs").read_text().split().count("slow") == 1
        assert len(house.answers()) == 1
        (disk / "ballast").unlink()
        await house.until(lambda: len(house.answers()) == 5, 40)
        await house.emptied(20)
        said = [str(step) for step in steps if step.what == "journal cannot commit"]
        assert all("full" in line for line in said)
        assert len(said) <= 3  # each task says what it means for its own work
    assert sorted(house.answers()[1:]) == ["counted 0", "counted 1", "counted 2", "ok"]
    assert sorted(line.split()[-1] for line in house.runs()) == ["0", "1", "2", "slow", "zero"]
    assert set(house.states()) == {"done"}
