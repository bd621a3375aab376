"""The host under the real service: one line about it, nothing lost meanwhile, all done once afterwards."""

import asyncio
import resource
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing, contextmanager

import pytest

from crash.sandbox_env import INSTALLED_COMMAND
from crash.service_process import running_service

FAILURE_PERIOD_S = 2.5
"""Of a trouble: long enough for a line a second to show."""
PAGE_BYTES = 4096
COMMAND_NAMES = ("zero", "one", "two")


async def run_first_command(sandbox_env):
    """One Command before anything happens."""
    sandbox_env.create_command("count zero")
    await sandbox_env.wait_until(lambda: sandbox_env.sent_bodies() == ["counted zero"])
    await sandbox_env.wait_store_empty()


async def check_held_back(sandbox_env, service, message, max_lines=1):
    """Two Commands while it lasts: they stay in the module, unanswered, and one line tells why.

    Or two: how it showed first, and what it is.
    """
    sandbox_env.create_command("count one")
    await service.wait_for_line(message)
    sandbox_env.create_command("count two")
    await asyncio.sleep(FAILURE_PERIOD_S)
    assert len(sandbox_env.sent_bodies()) == 1
    assert 1 <= len(service.lines_with(message)) <= max_lines
    assert sandbox_env.stored_count() >= 2


async def check_recovered(sandbox_env, service):
    """Without a start: each Command was carried out once and answered once, the module is empty."""
    try:
        await sandbox_env.wait_until(lambda: len(sandbox_env.sent_bodies()) >= len(COMMAND_NAMES), 60)
    except TimeoutError:
        print("\n".join(service.lines))  # pytest shows it
        raise
    await sandbox_env.wait_store_empty(20)
    await asyncio.sleep(0.5)
    assert sorted(sandbox_env.sent_bodies()) == sorted(f"counted {name}" for name in COMMAND_NAMES)
    assert sorted(line.split()[-1] for line in sandbox_env.handler_log_lines()) == sorted(COMMAND_NAMES)
    assert service.lines_with("Traceback") == []
    assert service.process.returncode is None


def move_journal(sandbox_env, folder):
    """The journal stands in a folder of its own."""
    sandbox_env.config.write_text(
        sandbox_env.config.read_text().replace('"journal.db"', f'"{folder}/journal.db"')
    )
    (sandbox_env.folder / "journal.db").symlink_to(folder / "journal.db")


def journal_sids(sandbox_env):
    with closing(sqlite3.connect(sandbox_env.folder / "journal.db")) as journal:
        assert journal.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        return [sid for (sid,) in journal.execute("SELECT sid FROM commands ORDER BY id")]


@contextmanager
def writes_forbidden(pid):
    """As a disk that fails: what is open can be read, and nothing written."""
    limits = resource.prlimit(pid, resource.RLIMIT_FSIZE)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (1000, limits[1]))
    yield
    resource.prlimit(pid, resource.RLIMIT_FSIZE, limits)


async def test_the_disk_fails_and_no_file_can_be_opened(sandbox_env):
    """An I/O error asks for a new connection, and there is no file for it: also when the disk works again."""
    async with running_service(sandbox_env) as service:
        await run_first_command(sandbox_env)
        with writes_forbidden(service.pid):
            sandbox_env.create_command("count one")
            await service.wait_for_line("journal cannot commit")
            files = service.forbid_opening_files()
            sandbox_env.create_command("count two")
            await asyncio.sleep(FAILURE_PERIOD_S)
        await asyncio.sleep(FAILURE_PERIOD_S)
        service.restore_file_limit(files)
        await check_recovered(sandbox_env, service)
        assert (
            len(service.lines_with("journal cannot commit")) <= 2
        )  # and at most one that it cannot be opened
        assert len(service.lines_with("journal commits again")) == 1
    assert len(journal_sids(sandbox_env)) == 3


@pytest.mark.parametrize("how", ["deleted", "replaced by a copy of before", "moved with its folder"])
async def test_the_journal_is_taken_away(sandbox_env, tmp_path, how):
    """Put back from what is open, whole, and said once; a start after it knows all three."""
    folder = tmp_path / "state"
    folder.mkdir()
    move_journal(sandbox_env, folder)
    async with running_service(sandbox_env) as service:
        shutil.copy(folder / "journal.db", tmp_path / "before")
        await run_first_command(sandbox_env)
        match how:
            case "deleted":
                for path in folder.iterdir():
                    path.unlink()
            case "replaced by a copy of before":
                (tmp_path / "before").rename(folder / "journal.db")
            case _:
                folder.rename(tmp_path / "moved")
                folder.mkdir()
        for name in COMMAND_NAMES[1:]:
            sandbox_env.create_command(f"count {name}")
        await check_recovered(sandbox_env, service)
        [said] = service.lines_with("deleted or replaced")
        assert "put back with all that it held" in said
        service.process.kill()
    assert len(journal_sids(sandbox_env)) == 3
    async with running_service(sandbox_env) as service:
        assert service.lines_with("damaged") == []


async def test_the_folder_is_away_for_a_while(sandbox_env, tmp_path):
    """Nothing is committed into the blue, nothing deleted from the module; it comes back, and all goes on."""
    folder = tmp_path / "state"
    folder.mkdir()
    move_journal(sandbox_env, folder)
    async with running_service(sandbox_env) as service:
        await run_first_command(sandbox_env)
        folder.rename(tmp_path / "away")
        await check_held_back(
            sandbox_env, service, "journal cannot commit: the journal is not where it was: its folder"
        )
        (tmp_path / "away").rename(folder)
        await check_recovered(sandbox_env, service)
        assert len(service.lines_with("journal commits again")) == 1
    assert len(journal_sids(sandbox_env)) == 3


DAMAGE = {
    "its first page": lambda octets: bytes(PAGE_BYTES) + octets[PAGE_BYTES:],
    "a page in the middle": lambda octets: (
        octets[: 2 * PAGE_BYTES] + b"\7" * PAGE_BYTES + octets[3 * PAGE_BYTES :]
    ),
    "half of it": lambda octets: octets[: len(octets) // 2],
    "all of it": lambda octets: b"\xa5" * len(octets),
}


@pytest.mark.parametrize(
    ("tail", "how"),
    [(tail, how) for tail in ("", "-wal") for how in DAMAGE if (tail, how) != ("-wal", "half of it")],
)  # a log that was cut off is whole as far as it goes: nothing tells that there was more
async def test_garbled_between_two_lives(sandbox_env, how, tail):
    """It starts, says so at most once, works on, and what the module still holds is carried out once."""
    async with running_service(sandbox_env) as service:
        await run_first_command(sandbox_env)
        service.process.kill()  # so that the log stays
    path = sandbox_env.folder / f"journal.db{tail}"
    path.write_bytes(DAMAGE[how](path.read_bytes()))
    for name in COMMAND_NAMES[1:]:
        sandbox_env.create_command(f"count {name}")
    async with running_service(sandbox_env) as service:
        await check_recovered(sandbox_env, service)
        assert len(service.lines_with("journal damaged")) <= 1
    assert len(journal_sids(sandbox_env)) in {2, 3}


async def test_garbled_while_it_runs(sandbox_env):
    """What is in memory goes on; where the damage shows, it is said once, and no Command is lost."""
    async with running_service(sandbox_env) as service:
        await run_first_command(sandbox_env)
        path = sandbox_env.folder / "journal.db"
        with path.open("r+b") as file:
            file.write(b"\7" * path.stat().st_size)
        sandbox_env.create_command("count one")
        await sandbox_env.wait_until(lambda: len(sandbox_env.sent_bodies()) == 2, 60)
        await sandbox_env.wait_store_empty()
        service.process.kill()
    sandbox_env.create_command("count two")
    async with running_service(sandbox_env) as service:
        await check_recovered(sandbox_env, service)
        assert len(service.lines_with("journal damaged")) == 1
    assert len(journal_sids(sandbox_env)) >= 1


SHIFTED_CLOCK_PROGRAM = """
import sys, time
from pathlib import Path
ahead, real = Path(sys.argv.pop(1)), time.time
time.time = lambda: real() + float(ahead.read_text())
from agent.cli import main
main()
"""


@pytest.mark.parametrize("years", [30, -40])
async def test_the_clock_is_set_by_years(sandbox_env, tmp_path, years):
    """Forward and back again: nothing expires, nothing runs twice, nothing waits for years."""
    ahead = tmp_path / "ahead"

    def clock(seconds):
        new = tmp_path / "new"
        new.write_text(str(seconds))
        new.replace(ahead)

    clock(0)
    program = (sys.executable, "-c", SHIFTED_CLOCK_PROGRAM, ahead)
    text = sandbox_env.config.read_text()
    sandbox_env.config.write_text(text.replace("timeout_s = 2", "timeout_s = 2\nmax_age_s = 90000"))
    async with running_service(sandbox_env, program) as service:
        await run_first_command(sandbox_env)
        clock(years * 365 * 86_400)
        sandbox_env.create_command("count one")
        await sandbox_env.wait_until(lambda: len(sandbox_env.sent_bodies()) == 2)
        clock(0)
        sandbox_env.create_command("count two")
        await check_recovered(sandbox_env, service)
    assert set(sandbox_env.command_states()) == {"done"}
    clock(-years * 365 * 86_400)
    async with running_service(sandbox_env, program) as service:
        await check_recovered(sandbox_env, service)


async def test_a_second_service_on_the_same_state(sandbox_env):
    """It ends with one sentence that names the first, which notices nothing."""
    async with running_service(sandbox_env) as service:
        await run_first_command(sandbox_env)
        second = await sandbox_env.start_agent()
        said = (await second.stderr.read()).decode().splitlines()
        assert await second.wait() == 1
        assert len(said) == 1
        assert f"process {service.pid}" in said[0]
        for name in COMMAND_NAMES[1:]:
            sandbox_env.create_command(f"count {name}")
        await check_recovered(sandbox_env, service)


# With a file system of their own


@pytest.fixture
def ext4_disk(tmp_path):
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


async def run_command(*command):
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.DEVNULL)
    await process.wait()


@pytest.mark.system
async def test_the_file_system_turns_read_only(sandbox_env, ext4_disk):
    """As the kernel does it on an error of the disk, and takes it back only when nobody has a file open: the
    agent stops at once when it is asked, and after the check of the disk the next one does what was left.
    """
    image, folder = ext4_disk
    move_journal(sandbox_env, folder)
    async with running_service(sandbox_env) as service:
        await run_first_command(sandbox_env)
        await run_command("mount", "-o", "remount,abort", folder)
        await check_held_back(sandbox_env, service, "journal cannot commit", 2)
    assert service.process.returncode == 0
    await run_command("umount", folder)
    await run_command("fsck.ext4", "-y", image)
    await run_command("mount", "-o", "loop", image, folder)
    async with running_service(sandbox_env) as service:
        await check_recovered(sandbox_env, service)
    assert len(journal_sids(sandbox_env)) == 3


@pytest.mark.system
@pytest.mark.parametrize("what", ["the folder", "the file"])
async def test_the_right_is_taken_away(sandbox_env, tmp_path, what):
    """What is open goes on; after a disk error it is waited for, and comes back. Not root's own rights."""
    folder = tmp_path / "state"
    folder.mkdir()
    move_journal(sandbox_env, folder)
    caps = "-dac_override,-dac_read_search"  # what lets root pass by all rights
    user = ("setpriv", f"--bounding-set={caps}", f"--inh-caps={caps}", INSTALLED_COMMAND)
    async with running_service(sandbox_env, user) as service:
        await run_first_command(sandbox_env)
        taken = folder if what == "the folder" else folder / "journal.db"
        mode = taken.stat().st_mode
        taken.chmod(0)
        sandbox_env.create_command("count one")
        await sandbox_env.wait_until(lambda: len(sandbox_env.sent_bodies()) == 2)
        with writes_forbidden(service.pid):
            sandbox_env.create_command("count two")
            await service.wait_for_line("journal cannot commit")
        await asyncio.sleep(FAILURE_PERIOD_S)
        assert len(service.lines_with("journal cannot commit")) <= 2
        taken.chmod(mode)
        await check_recovered(sandbox_env, service)
    assert len(journal_sids(sandbox_env)) == 3
