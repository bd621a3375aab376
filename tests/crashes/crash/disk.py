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

SIZE = 48 * 1024 * 1024
LOG_SIZE = 4 * 1024**3
"""Sparse: only what is written takes space."""
SECTOR = 512
FLUSH, FUA, DISCARD = 1, 2, 4
PROGRAMS = {
    "qemu-storage-daemon": "qemu-system-common qemu-utils",  # in the first on Debian 12
    "mkfs.ext4": "e2fsprogs",
    "losetup": "mount",
}
"""Program: the Debian package that brings it."""


def impossible():
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


def run(*command):
    """Run a command; what it says is shown when it fails."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(map(str, command))}: {done.stderr.strip()}")
    return done.stdout.strip()


@dataclass(frozen=True)
class Entry:
    """One write, flush or discard."""

    flags: int
    octet: int
    """Where on the disk."""
    place: int
    """Where its data stands in the log."""
    length: int


class LoggedDisk:
    """An ext4 file system below `folder`, mounted while it records.

    Mounts are those of this process: it should have a mount namespace of its own, so that none is left.
    """

    def __init__(self, folder):
        self.mounted = folder / "mounted"
        self.log = folder / "writes.log"
        self._fresh = folder / "fresh.img"
        self._image = folder / "disk.img"
        self._export = folder / "export"
        self._cut = folder / "cut.img"
        folder.mkdir()
        self.mounted.mkdir()

    @contextlib.contextmanager
    def recording(self):
        """Mounted inside; after that the log is complete."""
        with self._fresh.open("wb") as file:
            file.truncate(SIZE)
        run("mkfs.ext4", "-q", "-F", self._fresh)
        _copy(self._fresh, self._image)
        with self.log.open("wb") as file:
            file.truncate(LOG_SIZE)
        self._export.touch()
        with contextlib.ExitStack() as stack:
            self._serve(stack)
            loop = run("losetup", "--find", "--show", self._export)
            stack.callback(run, "losetup", "--detach", loop)
            run("mount", loop, self.mounted)
            stack.callback(run, "umount", self.mounted)
            yield
        self.entries = self._read()

    def _serve(self, stack):
        """Have qemu's storage daemon show the image as a file whose writes are logged."""
        logged = f"driver=blklogwrites,node-name=both,file=disk,log=log,log-sector-size={SECTOR}"
        daemon = subprocess.Popen(
            [
                "qemu-storage-daemon",
                *("--blockdev", f"driver=file,node-name=disk,filename={self._image}"),
                *("--blockdev", f"driver=file,node-name=log,filename={self.log}"),
                *("--blockdev", logged),
                *("--export", f"type=fuse,id=export,node-name=both,mountpoint={self._export},writable=on"),
            ]
        )
        stack.callback(daemon.wait)
        stack.callback(daemon.terminate)
        deadline = time.monotonic() + 10
        while self._export.stat().st_size != SIZE:
            if daemon.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError("qemu-storage-daemon does not show the disk")
            time.sleep(0.02)

    def mark(self):
        """How many entries the log has, as of the last flush."""
        with self.log.open("rb") as file:
            return struct.unpack("<QQQI", file.read(28))[2]

    def _read(self):
        entries = []
        with self.log.open("rb") as file:
            count = self.mark()
            place = SECTOR
            for _ in range(count):
                file.seek(place)
                sector, sectors, flags, _ = struct.unpack("<QQQQ", file.read(32))
                length = 0 if flags & DISCARD else sectors * SECTOR
                entries.append(Entry(flags, sector * SECTOR, place + SECTOR, length))
                place += SECTOR + length
        return entries

    def cut(self, at, rng, names, into):
        """The power fails when `at` entries were written: what is found on the disk then.

        All up to the last flush is on it; of what came after, only some, and some of it in part. Files that
        match `names` are copied to the folder `into`.
        """
        flushed = max((n for n in range(at) if self.entries[n].flags & FLUSH), default=-1)
        kept = rng.choice((0.0, 0.5, 0.9, rng.random()))
        _copy(self._fresh, self._cut)
        with self.log.open("rb") as log, self._cut.open("r+b") as disk:
            for number, entry in enumerate(self.entries[:at]):
                length = entry.length
                if number > flushed and not entry.flags & FUA:
                    if rng.random() > kept:
                        continue
                    if rng.random() < 0.1:
                        length = rng.randrange(0, length + 1, SECTOR)
                log.seek(entry.place)
                disk.seek(entry.octet)
                disk.write(log.read(length))
        run("mount", "-o", "loop", self._cut, self.mounted)
        try:
            for path in self.mounted.glob(names):
                shutil.copy(path, into)
        finally:
            run("umount", self.mounted)


def _copy(source, target):
    run("cp", "--sparse=always", source, target)
