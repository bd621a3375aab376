"""Finds out whether the journal is on a disk, or on a file system that loses its content with the power.

The kernel lists the mounts in /proc/self/mountinfo (proc_pid_mountinfo(5)). Nothing here writes.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

from pdu.record import Record

MOUNTINFO = Path("/proc/self/mountinfo")
_MEMORY_TYPES = {"tmpfs", "ramfs", "devtmpfs", "rootfs"}
_MEMORY_DEVICE = re.compile(r"/dev/z?ram\d+")
"""A disk in memory, as log2ram and zram-config make it."""
_OCTAL_ESCAPE = re.compile(rb"\\([0-7]{3})")
"""The kernel writes blanks, commas and backslashes in names so."""


class _Mount(Record):
    mount_id: str
    parent_id: str
    mount_point: str
    fs_type: str
    source: str
    options: tuple[str, ...]
    """Options of the file system, for example `upperdir=/media/root-rw/overlay`."""

    def __str__(self) -> str:
        return f"{self.fs_type} at {self.mount_point}"


def explain_volatile(journal_path: Path, mountinfo: Path = MOUNTINFO) -> str:
    """Return a sentence that says why the journal does not survive a loss of power, and what to do.

    Returns "" if it is on a disk, or if the mounts are not known. The file and its directory need not exist.
    """
    try:
        mounts = list(_parse(mountinfo.read_bytes()))
    except OSError:
        return ""
    reason = _find_volatile(os.path.realpath(journal_path), mounts)
    if not reason:
        return ""
    return (
        f"journal {journal_path} is on {reason}: Commands and replies are lost with the power, and a Command "
        "may run twice; set [journal] path to a folder on a disk, or allow_volatile = true to accept this"
    )


def _find_volatile(path: str, mounts: list[_Mount]) -> str:
    """Return the file system of a path and why it is volatile, as part of a sentence; "" if it is not."""
    mount = _find_mount(path, mounts)
    if mount is None:
        return ""
    if mount.fs_type in _MEMORY_TYPES:
        return f"{mount}, which is in memory"
    if _MEMORY_DEVICE.fullmatch(mount.source):
        return f"{mount} on {mount.source}, which is in memory"
    upper = next((text.partition("=")[2] for text in mount.options if text.startswith("upperdir=")), None)
    if mount.fs_type != "overlay" or upper is None:
        return ""
    if "volatile" in mount.options:
        return f"{mount} with the option volatile, which does not wait for the disk"
    # The path of the upper directory is from the time before the overlay was mounted. That of raspi-config is
    # on a tmpfs that is no longer mounted anywhere.
    below = [each for each in mounts if each is not mount]
    if _find_mount(upper, below) is None:
        return f"{mount}, whose upper directory {upper} is on no mounted disk and may be in memory"
    reason = _find_volatile(upper, below)
    return f"{mount}, whose upper directory {upper} is on {reason}" if reason else ""


def _find_mount(path: str, mounts: list[_Mount]) -> _Mount | None:
    """Return the mount that a path leads to; None if it is not known.

    As in the kernel, each step leads to a mount on the present one: a mount that another one hides is never
    reached.
    """
    children = {(each.parent_id, each.mount_point): each for each in mounts}
    ids = {each.mount_id for each in mounts}
    roots = {each.mount_point: each for each in mounts if each.parent_id not in ids - {each.mount_id}}
    current: _Mount | None = None
    for prefix in map(str, (*reversed(Path(path).parents), path)):
        current = current or roots.get(prefix)
        while current and (child := children.get((current.mount_id, prefix))) and child is not current:
            current = child
    return current


def _parse(mountinfo: bytes) -> Iterator[_Mount]:
    for line in mountinfo.splitlines():
        fields = [_unescape(field) for field in line.split(b" ")]
        if "-" in fields[6:]:  # after the optional fields
            fs_type, source, *options = line[line.index(b" - ") + 3 :].split(b" ")
            yield _Mount(
                mount_id=fields[0],
                parent_id=fields[1],
                mount_point=fields[4],
                fs_type=_unescape(fs_type),
                source=_unescape(source),
                options=tuple(_unescape(option) for option in b" ".join(options).split(b",")),
            )


def _unescape(field: bytes) -> str:
    return os.fsdecode(_OCTAL_ESCAPE.sub(lambda match: bytes([int(match[1], 8)]), field))
