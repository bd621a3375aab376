"""A disk that remembers every write and every flush, so that its power can be cut at any of them afterwards.

The log has the form of the kernel's dm-log-writes: a header sector (magic, version, number of entries, sector
size), then each entry with a sector of its own (sector, count, flags, length) and its data. The header is
renewed at each flush, before that is acknowledged: what the outside has seen by a moment was acknowledged
within the number of entries that the header names in that moment.
"""

import contextlib
import os
import shutil
import struct
import subprocess
import time
from dataclasses import dataclass

DISK_BYTES = 48 * 1024 * 1024
LOG_BYTES = 4 * 1024**3
"""Sparse: only what is written takes space."""
SECTOR_BYTES = 512
FLUSH, FUA, DISCARD = 1, 2, 4
PROGRAMS = {
    "qemu-storage-daemon": "qemu-system-common qemu-utils",  # in the first on Debian 12
    "mkfs.ext4": "e2fsprogs",
    "losetup": "mount",
}
"""Program: the Debian package that brings it."""


def explain_unavailable():
    """Why power cannot be cut here, in one sentence; empty where it can."""
    path = os.pathsep.join((os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"))
    if missing := sorted(
        {package for program, package in PROGRAMS.items() if not shutil.which(program, path=path)}
    ):
        return f"cutting the power needs Debian packages: apt install {' '.join(missing)}"
    if os.geteuid() != 0:
        return "cutting the power needs root, to mount the disk that is cut"
    for device in ("/dev/fuse", "/dev/loop-control"):
        if not os.access(device, os.R_OK | os.W_OK):
            return f"cutting the power needs {device}, which this machine does not give"
    return ""


def run_command(*command):
    """Run a command; what it says is shown when it fails."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(map(str, command))}: {done.stderr.strip()}")
    return done.stdout.strip()


@dataclass(frozen=True)
class LogEntry:
    """One write, flush or discard."""

    flags: int
    disk_offset: int
    """Where on the disk."""
    log_offset: int
    """Where its data stands in the log."""
    length: int


class LoggedDisk:
    """An ext4 file system below `folder`, mounted while it records.

    Mounts are those of this process: it should have a mount namespace of its own, so that none is left.
    """

    def __init__(self, folder):
        self.mount_point = folder / "mounted"
        self.log_path = folder / "writes.log"
        self._fresh_image = folder / "fresh.img"
        self._disk_image = folder / "disk.img"
        self._export_path = folder / "export"
        self._cut_image = folder / "cut.img"
        folder.mkdir()
        self.mount_point.mkdir()

    @contextlib.contextmanager
    def record(self):
        """Mounted inside; after that the log is complete."""
        with self._fresh_image.open("wb") as file:
            file.truncate(DISK_BYTES)
        run_command("mkfs.ext4", "-q", "-F", self._fresh_image)
        _copy_image(self._fresh_image, self._disk_image)
        with self.log_path.open("wb") as file:
            file.truncate(LOG_BYTES)
        self._export_path.touch()
        with contextlib.ExitStack() as stack:
            self._start_logging_daemon(stack)
            loop = run_command("losetup", "--find", "--show", self._export_path)
            stack.callback(run_command, "losetup", "--detach", loop)
            run_command("mount", loop, self.mount_point)
            stack.callback(run_command, "umount", self.mount_point)
            yield
        self.entries = self._read_entries()

    def _start_logging_daemon(self, stack):
        """Have qemu's storage daemon show the image as a file whose writes are logged."""
        logged = f"driver=blklogwrites,node-name=both,file=disk,log=log,log-sector-size={SECTOR_BYTES}"
        daemon = subprocess.Popen(
            [
                "qemu-storage-daemon",
                *("--blockdev", f"driver=file,node-name=disk,filename={self._disk_image}"),
                *("--blockdev", f"driver=file,node-name=log,filename={self.log_path}"),
                *("--blockdev", logged),
                *(
                    "--export",
                    f"type=fuse,id=export,node-name=both,mountpoint={self._export_path},writable=on",
                ),
            ]
        )
        stack.callback(daemon.wait)
        stack.callback(daemon.terminate)
        deadline = time.monotonic() + 10
        while self._export_path.stat().st_size != DISK_BYTES:
            if daemon.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError("qemu-storage-daemon does not show the disk")
            time.sleep(0.02)

    def log_position(self):
        """How many entries the log has, as of the last flush."""
        with self.log_path.open("rb") as file:
            return struct.unpack("<QQQI", file.read(28))[2]

    def _read_entries(self):
        entries = []
        with self.log_path.open("rb") as file:
            count = self.log_position()
            place = SECTOR_BYTES
            for _ in range(count):
                file.seek(place)
                sector, sectors, flags, _ = struct.unpack("<QQQQ", file.read(32))
                length = 0 if flags & DISCARD else sectors * SECTOR_BYTES
                entries.append(LogEntry(flags, sector * SECTOR_BYTES, place + SECTOR_BYTES, length))
                place += SECTOR_BYTES + length
        return entries

    def restore_at(self, position, rng, pattern, target):
        """The power fails when `at` entries were written: what is found on the disk then.

        All up to the last flush is on it; of what came after, only some, and some of it in part. Files that
        match `names` are copied to the folder `into`.
        """
        flushed = max((n for n in range(position) if self.entries[n].flags & FLUSH), default=-1)
        kept = rng.choice((0.0, 0.5, 0.9, rng.random()))
        _copy_image(self._fresh_image, self._cut_image)
        with self.log_path.open("rb") as log, self._cut_image.open("r+b") as disk:
            for number, entry in enumerate(self.entries[:position]):
                length = entry.length
                if number > flushed and not entry.flags & FUA:
                    if rng.random() > kept:
                        continue
                    if rng.random() < 0.1:
                        length = rng.randrange(0, length + 1, SECTOR_BYTES)
                log.seek(entry.log_offset)
                disk.seek(entry.disk_offset)
                disk.write(log.read(length))
        run_command("mount", "-o", "loop", self._cut_image, self.mount_point)
        try:
            for path in self.mount_point.glob(pattern):
                shutil.copy(path, target)
        finally:
            run_command("umount", self.mount_point)


def _copy_image(source, target):
    run_command("cp", "--sparse=always", source, target)
