"""Checks the journal and the clock. The journal is only read, also while an agent writes it."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Mapping
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from agent.diagnosis.finding import Check, Finding, Level
from agent.journal import row_recovery, schema
from agent.journal.connection import DbFailure, classify_error
from agent.journal.files import JournalLocked, check_lock
from agent.journal.mounts import explain_volatile
from agent.journal.queries import SELECT_NEWEST_TIMESTAMP, JournalUnreadable, fetch_newest
from hardware.port_users import SystemUser

MIN_FREE_BYTES = 16 * 1024 * 1024
"""Free space below which the journal may soon be unable to commit."""
MAX_CLOCK_DIFFERENCE_S = 3600.0
"""Difference between the clocks of device and module from which one of them is wrong."""
DiskReader = Callable[[Path], os.statvfs_result]
"""Returns free space and flags of the file system of a folder. Raises OSError."""
EARLIEST_TIME_S = datetime(2026, 1, 1, tzinfo=UTC).timestamp()
"""This program is newer; a device without a battery for its clock starts at 1970 or at its last shutdown."""
TIMESTAMP_TOLERANCE_S = 60.0
"""The clock of the service centre may be ahead by this much."""


def check_journal(
    path: Path,
    *,
    allow_volatile: bool,
    mountinfo: Path,
    read_disk: DiskReader,
    agent_user: SystemUser | None,
    status: Mapping[str, Any] | None,
) -> Finding:
    """Check where the journal is, whether it can be written and whether it is damaged."""
    folder = path.parent
    if status is not None and status.get("journal_error"):
        reason = f"the journal cannot commit: {status['journal_error']}"
        return Finding(Check.JOURNAL, Level.WRONG, reason, f"df -h {folder}; then journalctl -u modem-agent")
    try:
        if status is None:
            check_lock(path)
            if agent_user is not None and path.exists() and not agent_user.may_use(str(path)):
                reason = f"the agent's user may not write journal {path}: it was created by another user"
                step = f"sudo chown -R --reference={folder} {folder}; start the agent by systemctl only"
                return Finding(Check.JOURNAL, Level.WRONG, reason, step)
        disk, damage = read_disk(folder), find_damage(path)
        too_new = "" if damage else find_newer_version(path)
    except JournalLocked as error:
        return Finding(Check.JOURNAL, Level.WRONG, str(error), "ps -ef | grep modem-agent")
    except FileNotFoundError:
        if not folder.is_dir():
            return Finding(Check.JOURNAL, Level.OK, f"{folder} does not exist yet; systemd creates it")
        raise
    except (OSError, sqlite3.Error) as error:
        reason = f"journal {path} cannot be examined: {getattr(error, 'strerror', None) or error}"
        level = (
            Level.WRONG if status is None else Level.WARNING
        )  # a running agent reports what is wrong with it
        return Finding(Check.JOURNAL, level, reason, "sudo modem-agent doctor")
    if disk.f_flag & os.ST_RDONLY:
        reason = f"journal {path} is on a file system that is mounted read-only: nothing can be committed"
        step = (
            "set [journal] path to a folder on a disk that can be written; dmesg shows whether the disk fails"
        )
        return Finding(Check.JOURNAL, Level.WRONG, reason, step)
    if damage:
        step = "start the agent, which sets the damaged file aside and keeps the rows that can be read"
        return Finding(Check.JOURNAL, Level.WRONG, f"journal {path} is damaged: {damage}", step)
    if too_new:
        return Finding(Check.JOURNAL, Level.WRONG, too_new, "sudo apt upgrade modem-agent")
    free = disk.f_bavail * disk.f_frsize
    if free < MIN_FREE_BYTES:
        reason = f"the disk of journal {path} is full: {free >> 10} KiB are left"
        step = f"df -h {folder}; delete something, for example sudo journalctl --vacuum-size=50M"
        return Finding(Check.JOURNAL, Level.WRONG if free < 1 << 20 else Level.WARNING, reason, step)
    if (volatile := explain_volatile(path, mountinfo)) and not allow_volatile:
        return Finding(Check.JOURNAL, Level.WARNING, volatile, "set [journal] path in agent.toml")
    if status is not None and status.get("damaged_journals"):
        names = ", ".join(status["damaged_journals"])
        reason = f"the journal was damaged before; copies: {names}"
        step = f"check the disk (dmesg); then delete the copies in {folder}"
        return Finding(Check.JOURNAL, Level.WARNING, reason, step)
    return Finding(Check.JOURNAL, Level.OK, f"the journal {path} can be written, {free >> 20} MiB are free")


def find_damage(path: Path) -> str:
    """Return why the file is damaged, as a clause; "" if it is sound or missing.

    Raises OSError, and sqlite3.Error if it cannot be read now.
    """
    if not path.is_file():
        return ""
    if path.stat().st_size == 0:
        return "it is empty"
    if row_recovery.ends_in_page(path):
        return "it ends in the middle of a page"
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as connection:
            found = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
    except sqlite3.Error as error:
        if classify_error(error) is DbFailure.FILE:
            return str(error)
        raise
    return "" if found == "ok" else str(found)


def find_newer_version(path: Path) -> str:
    """Return a sentence if a newer modem-agent has written the file; "" if not. Raises sqlite3.Error."""
    if not path.is_file():
        return ""
    with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as connection:
        version = connection.execute("PRAGMA user_version").fetchone()[0]
    return str(schema.too_new_error(version)) if version > len(schema.MIGRATIONS) else ""


def check_clock(path: Path, now: float, module_clock: datetime | None) -> Finding:
    """Compare the device's clock with the newest message in the journal and with the module's clock.

    `now`: the device's clock, seconds since 1970.
    """
    shown = datetime.fromtimestamp(now, UTC).isoformat(timespec="seconds")
    step = "timedatectl; sudo timedatectl set-ntp true"
    try:
        rows = fetch_newest(path, SELECT_NEWEST_TIMESTAMP, 1)
    except (JournalUnreadable, OSError):
        rows = []
    newest = rows[0]["newest_timestamp"] if rows else 0.0
    if now < EARLIEST_TIME_S:
        return Finding(Check.CLOCK, Level.WRONG, f"the clock is wrong: it shows {shown}", step)
    if now < newest - TIMESTAMP_TOLERANCE_S:
        sent = datetime.fromtimestamp(newest, UTC).isoformat(timespec="seconds")
        reason = f"the clock is wrong: it shows {shown}, and a Command was sent at {sent}"
        return Finding(Check.CLOCK, Level.WRONG, reason, step)
    if module_clock is not None:
        difference_s = now - module_clock.timestamp()
        if abs(difference_s) > MAX_CLOCK_DIFFERENCE_S:
            other = module_clock.isoformat(timespec="seconds")
            reason = f"the clock shows {shown}, and that of the module {other}: one of them is wrong"
            return Finding(Check.CLOCK, Level.WARNING, reason, step)
    return Finding(Check.CLOCK, Level.OK, f"the clock shows {shown}")
