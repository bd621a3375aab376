"""Failures of the host while the service runs: each is logged once, nothing is lost, nothing runs twice."""

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

pytestmark = pytest.mark.long

FAILURE_PERIOD_S = 2.5
"""Duration of a failure: a log line that were repeated every second would be noticed."""
PAGE_BYTES = 4096
COMMAND_NAMES = ("zero", "one", "two")


async def run_first_command(sandbox_env):
    """Run one Command before the failure."""
    sandbox_env.create_command("count zero")
    await sandbox_env.wait_until(lambda: sandbox_env.sent_bodies() == ["counted zero"])
    await sandbox_env.wait_store_empty()


async def check_held_back(sandbox_env, service, message, max_lines=1):
    """Send two Commands during the failure: both stay in the module, and the reason is logged.

    `max_lines` is 2 if the first line has only the symptom and the second one the cause.
    """
    sandbox_env.create_command("count one")
    await service.wait_for_line(message)
    sandbox_env.create_command("count two")
    await asyncio.sleep(FAILURE_PERIOD_S)
    assert len(sandbox_env.sent_bodies()) == 1
    assert 1 <= len(service.lines_with(message)) <= max_lines
    assert sandbox_env.stored_count() >= 2


async def check_recovered(sandbox_env, service):
    """Check that each Command ran once and was answered once without a restart, and that the module is
    empty."""
    try:
        await sandbox_env.wait_until(lambda: len(sandbox_env.sent_bodies()) >= len(COMMAND_NAMES), 60)
    except TimeoutError:
        print("\n".join(service.lines))  # pytest shows the log if the test fails
        raise
    await sandbox_env.wait_store_empty(20)
    await asyncio.sleep(0.5)
    assert sorted(sandbox_env.sent_bodies()) == sorted(f"counted {name}" for name in COMMAND_NAMES)
    assert sorted(line.split()[-1] for line in sandbox_env.handler_log_lines()) == sorted(COMMAND_NAMES)
    assert service.lines_with("Traceback") == []
    assert service.process.returncode is None


def move_journal(sandbox_env, folder):
    """Configure the journal in this folder, and link the default path to it."""
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
    """Let all writes of a process fail, as on a broken disk. Reading works."""
    limits = resource.prlimit(pid, resource.RLIMIT_FSIZE)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (1000, limits[1]))
    yield
    resource.prlimit(pid, resource.RLIMIT_FSIZE, limits)


async def test_disk_error_without_free_file_descriptors(sandbox_env):
    """After an I/O error the journal must be opened again, which fails even when the disk works again."""
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
        # At most one line for the disk, and one because the journal cannot be opened.
        assert len(service.lines_with("journal cannot commit")) <= 2
        assert len(service.lines_with("journal commits again")) == 1
    assert len(journal_sids(sandbox_env)) == 3


@pytest.mark.parametrize("how", ["deleted", "replaced by an older copy", "moved with its folder"])
async def test_removed_journal_is_restored(sandbox_env, tmp_path, how):
    """It is restored from the open file, and one line is logged. The next start has all three Commands."""
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
            case "replaced by an older copy":
                (tmp_path / "before").rename(folder / "journal.db")
            case _:
                folder.rename(tmp_path / "moved")
                folder.mkdir()
        for name in COMMAND_NAMES[1:]:
            sandbox_env.create_command(f"count {name}")
        await check_recovered(sandbox_env, service)
        [line] = service.lines_with("deleted or replaced")
        assert "put back with all that it held" in line
        service.process.kill()
    assert len(journal_sids(sandbox_env)) == 3
    async with running_service(sandbox_env) as service:
        assert service.lines_with("damaged") == []


async def test_missing_journal_folder_holds_back_all_commands(sandbox_env, tmp_path):
    """Nothing is committed and nothing is deleted from the module until the folder is back."""
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
)  # a shortened log is valid: it cannot be known that it was longer
async def test_journal_damaged_between_two_runs(sandbox_env, how, tail):
    """The agent starts, logs at most one line, and runs the Commands in the module once."""
    async with running_service(sandbox_env) as service:
        await run_first_command(sandbox_env)
        service.process.kill()  # so that SQLite leaves the log
    path = sandbox_env.folder / f"journal.db{tail}"
    path.write_bytes(DAMAGE[how](path.read_bytes()))
    for name in COMMAND_NAMES[1:]:
        sandbox_env.create_command(f"count {name}")
    async with running_service(sandbox_env) as service:
        await check_recovered(sandbox_env, service)
        assert len(service.lines_with("journal damaged")) <= 1
    assert len(journal_sids(sandbox_env)) in {2, 3}


async def test_journal_damaged_while_the_agent_runs(sandbox_env):
    """The agent continues with its cache. The damage is logged once when it is found; no Command is lost."""
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
offset, real = Path(sys.argv.pop(1)), time.time
time.time = lambda: real() + float(offset.read_text())
from agent.cli import main
main()
"""


@pytest.mark.parametrize("years", [30, -40])
async def test_clock_jump_of_years_changes_nothing(sandbox_env, tmp_path, years):
    """The clock jumps and jumps back: no Command expires, runs twice or waits."""
    offset = tmp_path / "offset"

    def set_clock(offset_s):
        new = tmp_path / "new"
        new.write_text(str(offset_s))
        new.replace(offset)

    set_clock(0)
    program = (sys.executable, "-c", SHIFTED_CLOCK_PROGRAM, offset)
    text = sandbox_env.config.read_text()
    sandbox_env.config.write_text(text.replace("timeout_s = 2", "timeout_s = 2\nmax_age_s = 90000"))
    async with running_service(sandbox_env, program) as service:
        await run_first_command(sandbox_env)
        set_clock(years * 365 * 86_400)
        sandbox_env.create_command("count one")
        await sandbox_env.wait_until(lambda: len(sandbox_env.sent_bodies()) == 2)
        set_clock(0)
        sandbox_env.create_command("count two")
        await check_recovered(sandbox_env, service)
    assert set(sandbox_env.command_states()) == {"done"}
    set_clock(-years * 365 * 86_400)
    async with running_service(sandbox_env, program) as service:
        await check_recovered(sandbox_env, service)


async def test_second_service_on_the_same_journal_ends(sandbox_env):
    """It ends with one sentence that names the first service, which is not disturbed."""
    async with running_service(sandbox_env) as service:
        await run_first_command(sandbox_env)
        second = await sandbox_env.start_agent()
        [line] = (await second.stderr.read()).decode().splitlines()
        assert await second.wait() == 1
        assert f"process {service.pid}" in line
        for name in COMMAND_NAMES[1:]:
            sandbox_env.create_command(f"count {name}")
        await check_recovered(sandbox_env, service)


# Tests that mount a file system


@pytest.fixture
def ext4_disk(tmp_path):
    """The image of a small ext4 file system and the folder where it is mounted. Needs root."""
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
async def test_file_system_becomes_read_only(sandbox_env, ext4_disk):
    """The kernel does this after a disk error, and makes it writable only after all files are closed.

    The agent stops at once on SIGTERM. After fsck the next agent runs the remaining Commands.
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
async def test_permission_is_withdrawn(sandbox_env, tmp_path, what):
    """Open files still work. After a disk error the agent waits until it may open the journal again."""
    folder = tmp_path / "state"
    folder.mkdir()
    move_journal(sandbox_env, folder)
    caps = "-dac_override,-dac_read_search"  # by these root ignores permissions
    user = ("setpriv", f"--bounding-set={caps}", f"--inh-caps={caps}", INSTALLED_COMMAND)
    async with running_service(sandbox_env, user) as service:
        await run_first_command(sandbox_env)
        path = folder if what == "the folder" else folder / "journal.db"
        mode = path.stat().st_mode
        path.chmod(0)
        sandbox_env.create_command("count one")
        await sandbox_env.wait_until(lambda: len(sandbox_env.sent_bodies()) == 2)
        with writes_forbidden(service.pid):
            sandbox_env.create_command("count two")
            await service.wait_for_line("journal cannot commit")
        await asyncio.sleep(FAILURE_PERIOD_S)
        assert len(service.lines_with("journal cannot commit")) <= 2
        path.chmod(mode)
        await check_recovered(sandbox_env, service)
    assert len(journal_sids(sandbox_env)) == 3
