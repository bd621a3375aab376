"""The host under the real service: one line about it, nothing lost meanwhile, all done once afterwards."""

import asyncio
import resource
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing, contextmanager

import pytest

from crash.field import INSTALLED
from crash.service import serving

LASTS_S = 2.5
"""Of a trouble: long enough for a line a second to show."""
PAGE = 4096
NAMES = ("zero", "one", "two")


async def first(house):
    """One Command before anything happens."""
    house.create("count zero")
    await house.until(lambda: house.answers() == ["counted zero"])
    await house.emptied()


async def meets(house, service, says, lines=1):
    """Two Commands while it lasts: they stay in the module, unanswered, and one line tells why.

    Or two: how it showed first, and what it is.
    """
    house.create("count one")
    await service.says(says)
    house.create("count two")
    await asyncio.sleep(LASTS_S)
    assert len(house.answers()) == 1
    assert 1 <= len(service.said(says)) <= lines
    assert house.stored() >= 2


async def recovers(house, service):
    """Without a start: each Command was carried out once and answered once, the module is empty."""
    try:
        await house.until(lambda: len(house.answers()) >= len(NAMES), 60)
    except TimeoutError:
        print("\n".join(service.lines))  # pytest shows it
        raise
    await house.emptied(20)
    await asyncio.sleep(0.5)
    assert sorted(house.answers()) == sorted(f"counted {name}" for name in NAMES)
    assert sorted(line.split()[-1] for line in house.runs()) == sorted(NAMES)
    assert service.said("Traceback") == []
    assert service.process.returncode is None


def state(house, folder):
    """The journal stands in a folder of its own."""
    house.config.write_text(house.config.read_text().replace('"journal.db"', f'"{folder}/journal.db"'))
    (house.folder / "journal.db").symlink_to(folder / "journal.db")


def sids(house):
    with closing(sqlite3.connect(house.folder / "journal.db")) as journal:
        assert journal.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        return [sid for (sid,) in journal.execute("SELECT sid FROM commands ORDER BY id")]


@contextmanager
def no_writes(pid):
    """As a disk that fails: what is open can be read, and nothing written."""
    limits = resource.prlimit(pid, resource.RLIMIT_FSIZE)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (1000, limits[1]))
    yield
    resource.prlimit(pid, resource.RLIMIT_FSIZE, limits)


async def test_the_disk_fails_and_no_file_can_be_opened(house):
    """An I/O error asks for a new connection, and there is no file for it: also when the disk works again."""
    async with serving(house) as service:
        await first(house)
        with no_writes(service.pid):
            house.create("count one")
            await service.says("journal cannot commit")
            files = service.no_files()
            house.create("count two")
            await asyncio.sleep(LASTS_S)
        await asyncio.sleep(LASTS_S)
        service.files(files)
        await recovers(house, service)
        assert len(service.said("journal cannot commit")) <= 2  # and at most one that it cannot be opened
        assert len(service.said("journal commits again")) == 1
    assert len(sids(house)) == 3


@pytest.mark.parametrize("how", ["deleted", "replaced by a copy of before", "moved with its folder"])
async def test_the_journal_is_taken_away(house, tmp_path, how):
    """Put back from what is open, whole, and said once; a start after it knows all three."""
    folder = tmp_path / "state"
    folder.mkdir()
    state(house, folder)
    async with serving(house) as service:
        shutil.copy(folder / "journal.db", tmp_path / "before")
        await first(house)
        match how:
            case "deleted":
                for path in folder.iterdir():
                    path.unlink()
            case "replaced by a copy of before":
                (tmp_path / "before").rename(folder / "journal.db")
            case _:
                folder.rename(tmp_path / "moved")
                folder.mkdir()
        for name in NAMES[1:]:
            house.create(f"count {name}")
        await recovers(house, service)
        [said] = service.said("deleted or replaced")
        assert "put back with all that it held" in said
        service.process.kill()
    assert len(sids(house)) == 3
    async with serving(house) as service:
        assert service.said("damaged") == []


async def test_the_folder_is_away_for_a_while(house, tmp_path):
    """Nothing is committed into the blue, nothing deleted from the module; it comes back, and all goes on."""
    folder = tmp_path / "state"
    folder.mkdir()
    state(house, folder)
    async with serving(house) as service:
        await first(house)
        folder.rename(tmp_path / "away")
        await meets(house, service, "journal cannot commit: the journal is not where it was: its folder")
        (tmp_path / "away").rename(folder)
        await recovers(house, service)
        assert len(service.said("journal commits again")) == 1
    assert len(sids(house)) == 3


DAMAGE = {
    "its first page": lambda octets: bytes(PAGE) + octets[PAGE:],
    "a page in the middle": lambda octets: octets[: 2 * PAGE] + b"\7" * PAGE + octets[3 * PAGE :],
    "half of it": lambda octets: octets[: len(octets) // 2],
    "all of it": lambda octets: b"\xa5" * len(octets),
}


@pytest.mark.parametrize(
    ("tail", "how"),
    [(tail, how) for tail in ("", "-wal") for how in DAMAGE if (tail, how) != ("-wal", "half of it")],
)  # a log that was cut off is whole as far as it goes: nothing tells that there was more
async def test_garbled_between_two_lives(house, how, tail):
    """It starts, says so at most once, works on, and what the module still holds is carried out once."""
    async with serving(house) as service:
        await first(house)
        service.process.kill()  # so that the log stays
    path = house.folder / f"journal.db{tail}"
    path.write_bytes(DAMAGE[how](path.read_bytes()))
    for name in NAMES[1:]:
        house.create(f"count {name}")
    async with serving(house) as service:
        await recovers(house, service)
        assert len(service.said("journal")) <= 1
    assert len(sids(house)) in {2, 3}


async def test_garbled_while_it_runs(house):
    """What is in memory goes on; where the damage shows, it is said once, and no Command is lost."""
    async with serving(house) as service:
        await first(house)
        path = house.folder / "journal.db"
        with path.open("r+b") as file:
            file.write(b"\7" * path.stat().st_size)
        house.create("count one")
        await house.until(lambda: len(house.answers()) == 2, 60)
        await house.emptied()
        service.process.kill()
    house.create("count two")
    async with serving(house) as service:
        await recovers(house, service)
        assert len(service.said("journal damaged")) == 1
    assert len(sids(house)) >= 1


CLOCK = """
import sys, time
from pathlib import Path
ahead, real = Path(sys.argv.pop(1)), time.time
time.time = lambda: real() + float(ahead.read_text())
from agent.cli import main
main()
"""


@pytest.mark.parametrize("years", [30, -40])
async def test_the_clock_is_set_by_years(house, tmp_path, years):
    """Forward and back again: nothing expires, nothing runs twice, nothing waits for years."""
    ahead = tmp_path / "ahead"

    def clock(seconds):
        new = tmp_path / "new"
        new.write_text(str(seconds))
        new.replace(ahead)

    clock(0)
    program = (sys.executable, "-c", CLOCK, ahead)
    text = house.config.read_text()
    house.config.write_text(text.replace("timeout_s = 2", "timeout_s = 2\nmax_age_s = 90000"))
    async with serving(house, program) as service:
        await first(house)
        clock(years * 365 * 86_400)
        house.create("count one")
        await house.until(lambda: len(house.answers()) == 2)
        clock(0)
        house.create("count two")
        await recovers(house, service)
    assert set(house.states()) == {"done"}
    clock(-years * 365 * 86_400)
    async with serving(house, program) as service:
        await recovers(house, service)


async def test_a_second_service_on_the_same_state(house):
    """It ends with one sentence that names the first, which notices nothing."""
    async with serving(house) as service:
        await first(house)
        second = await house.run()
        said = (await second.stderr.read()).decode().splitlines()
        assert await second.wait() == 1
        assert len(said) == 1
        assert f"process {service.pid}" in said[0]
        for name in NAMES[1:]:
            house.create(f"count {name}")
        await recovers(house, service)


# With a file system of their own


@pytest.fixture
def disk(tmp_path):
    """A small ext4 of its own, mounted; and how to mount it again. Needs root."""
    image, folder = tmp_path / "image", tmp_path / "small"
    with image.open("wb") as file:
        file.truncate(16 << 20)
    subprocess.run(["mkfs.ext4", "-q", image], check=True)
    folder.mkdir()
    subprocess.run(["mount", "-o", "loop", image, folder], check=True)
    yield image, folder
    while subprocess.run(["umount", "-l", folder], check=False, stderr=subprocess.DEVNULL).returncode == 0:
        pass


async def done(*command):
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.DEVNULL)
    await process.wait()


@pytest.mark.system
async def test_the_file_system_turns_read_only(house, disk):
    """As the kernel does it on an error of the disk, and takes it back only when nobody has a file open: the
    agent stops at once when it is asked, and after the check of the disk the next one does what was left.
    """
    image, folder = disk
    state(house, folder)
    async with serving(house) as service:
        await first(house)
        await done("mount", "-o", "remount,abort", folder)
        await meets(house, service, "journal cannot commit", 2)
    assert service.process.returncode == 0
    await done("umount", folder)
    await done("fsck.ext4", "-y", image)
    await done("mount", "-o", "loop", image, folder)
    async with serving(house) as service:
        await recovers(house, service)
    assert len(sids(house)) == 3


@pytest.mark.system
@pytest.mark.parametrize("what", ["the folder", "the file"])
async def test_the_right_is_taken_away(house, tmp_path, what):
    """What is open goes on; after a disk error it is waited for, and comes back. Not root's own rights."""
    folder = tmp_path / "state"
    folder.mkdir()
    state(house, folder)
    caps = "-dac_override,-dac_read_search"  # what lets root pass by all rights
    user = ("setpriv", f"--bounding-set={caps}", f"--inh-caps={caps}", INSTALLED)
    async with serving(house, user) as service:
        await first(house)
        taken = folder if what == "the folder" else folder / "journal.db"
        mode = taken.stat().st_mode
        taken.chmod(0)
        house.create("count one")
        await house.until(lambda: len(house.answers()) == 2)
        with no_writes(service.pid):
            house.create("count two")
            await service.says("journal cannot commit")
        await asyncio.sleep(LASTS_S)
        assert len(service.said("journal cannot commit")) <= 2
        taken.chmod(mode)
        await recovers(house, service)
    assert len(sids(house)) == 3
