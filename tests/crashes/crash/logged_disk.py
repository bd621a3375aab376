"""A disk that logs every write and every flush, so that a power cut at any of them can be simulated
afterwards.

The log has the format of the kernel's dm-log-writes: a header sector (magic, version, number of entries,
sector size), then for each entry one sector (sector, count, flags, length) and its data. The header is
written again at each flush, before the flush is acknowledged. So everything that the agent knows to be on the
disk at a moment is within the number of entries that the header has at that moment.
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
"""The file is sparse: only written data takes space."""
SECTOR_BYTES = 512
FLUSH, FUA, DISCARD = 1, 2, 4
PROGRAMS = {
    "qemu-storage-daemon": "qemu-system-common qemu-utils",  # in the first on Debian 12
    "mkfs.ext4": "e2fsprogs",
    "losetup": "mount",
}
"""Debian package of each program."""


def explain_unavailable():
    """Return a sentence why power cuts are impossible on this machine; empty if they are possible."""
    path = os.pathsep.join((os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"))
    if missing := sorted(
        {package for program, package in PROGRAMS.items() if not shutil.which(program, path=path)}
    ):
        return f"cutting the power needs Debian packages: apt install {' '.join(missing)}"
    if os.geteuid() != 0:
        return "cutting the power needs root, to mount the disk"
    for device in ("/dev/fuse", "/dev/loop-control"):
        if not os.access(device, os.R_OK | os.W_OK):
            return f"cutting the power needs {device}, which this machine does not have"
    return ""


def run_command(*command):
    """Run a command and return its output. Raises RuntimeError with its error output if it fails."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(map(str, command))}: {done.stderr.strip()}")
    return done.stdout.strip()


@dataclass(frozen=True)
class LogEntry:
    """One write, flush or discard."""

    flags: int
    disk_offset: int
    """In octets."""
    log_offset: int
    """Offset of its data in the log, in octets."""
    length: int


class LoggedDisk:
    """An ext4 file system in `folder`, mounted while it records.

    The process should have its own mount namespace, so that no mount is left.
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
        """Return a context in which the disk is mounted. After it `entries` has the whole log."""
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
        """Let qemu's storage daemon export the image as a file whose writes are logged."""
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
                raise RuntimeError("qemu-storage-daemon does not export the disk")
            time.sleep(0.02)

    def log_position(self):
        """Return the number of entries in the log at the last flush."""
        with self.log_path.open("rb") as file:
            return struct.unpack("<QQQI", file.read(28))[2]

    def _read_entries(self):
        entries = []
        with self.log_path.open("rb") as file:
            count = self.log_position()
            offset = SECTOR_BYTES
            for _ in range(count):
                file.seek(offset)
                sector, sectors, flags, _ = struct.unpack("<QQQQ", file.read(32))
                length = 0 if flags & DISCARD else sectors * SECTOR_BYTES
                entries.append(LogEntry(flags, sector * SECTOR_BYTES, offset + SECTOR_BYTES, length))
                offset += SECTOR_BYTES + length
        return entries

    def restore_at(self, position, rng, pattern, target):
        """Restore the disk as after a power cut when `position` entries were written.

        It has all entries up to the last flush. Of the later ones it has some, and some of these in part.
        Files that match `pattern` are copied to the folder `target`.
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
