"""What a Command writes to the disk: octets, commits and the size of the journal.

    make bench PART=disk
    make bench PART=disk ARGS="--quick --folder /mnt/sd"

The kernel counts what the agent hands to the disk in /proc/PID/io; a folder in memory counts nothing. With
strace installed, the writes and the fsyncs of the journal are counted as well, in a second run.
"""

from __future__ import annotations

import argparse
import collections
import json
import re
import shutil
import sqlite3
import subprocess
import tempfile
import time
from pathlib import Path
from statistics import median

from footprint.device import Device, install, process_tree, stop

COMMANDS_PER_DAY = 100
LIMIT_KIB = 12


def read_written(pid: int) -> int:
    """Return the octets that a process tree has handed to the disk."""
    return sum(
        int(re.findall(r"^write_bytes: (\d+)", Path(f"/proc/{each}/io").read_text(), re.MULTILINE)[0])
        for each in process_tree(pid)
    )


def run_commands(device: Device, pid: int, count: int) -> dict[str, object]:
    """Run Commands one after another; return what each wrote, and the sizes of the journal."""
    written = []
    sizes = []
    log = device.folder / "journal.db-wal"
    for _ in range(count):
        before = read_written(pid)
        device.run_command("stamp")
        time.sleep(0.1)  # the commit of the result of the send
        written.append(read_written(pid) - before)
        sizes.append(log.stat().st_size)
    return {
        "written_kib": sum(written) / count / 1024,
        "median_kib": median(written) / 1024,
        "largest_kib": max(written) / 1024,
        "wal_kib": max(sizes) / 1024,
        "journal_kib": (device.folder / "journal.db").stat().st_size / 1024,
        "mib_per_year": sum(written) / count * COMMANDS_PER_DAY * 365 / 1024**2,
    }


def trace(device: Device, pid: int, count: int) -> dict[str, float]:
    """Return the writes, octets and fsyncs of a Command in the files of the journal, as strace sees them."""
    output = device.folder / "strace"
    words = ["strace", "-f", "-y", "-e", "trace=pwrite64,write,fsync,fdatasync,ftruncate", "-o", str(output)]
    tracer = subprocess.Popen([*words, "-p", str(pid)], stderr=subprocess.DEVNULL)
    time.sleep(1)
    for _ in range(count):
        device.run_command("stamp")
    time.sleep(0.5)
    tracer.terminate()
    tracer.wait()
    totals: collections.Counter[str] = collections.Counter()
    for name, path, size in re.findall(r"(\w+)\(\d+<([^>]*)>.*= (\d+)", output.read_text()):
        if "journal.db" in path:
            file = "WAL" if path.endswith("-wal") else "database"
            totals[f"{name} {file}"] += 1
            totals[f"octets {file}"] += int(size)
    return {name: total / count for name, total in sorted(totals.items())}


def main() -> None:
    """Print the figures; end with status 1 if a Command hands more than the limit to the file system."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--commands", type=int, default=1000)
    parser.add_argument("--quick", action="store_true", help="200 Commands: a minute")
    parser.add_argument("--folder", type=Path, default=Path("/var/tmp"), help="on the disk to be measured")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    wanted = parser.parse_args()
    count = 200 if wanted.quick else wanted.commands
    with tempfile.TemporaryDirectory(dir=wanted.folder) as folder:
        device = Device(install(Path(folder) / "env"), Path(folder) / "device", with_python_handler=True)
        try:
            process = device.start()
            device.run_command("stamp")
            found = run_commands(device, process.pid, count)
            traced = trace(device, process.pid, 20) if shutil.which("strace") else {}
            stop(process)
            left = {path.name: path.stat().st_size / 1024 for path in device.folder.glob("journal.db*")}
        finally:
            device.close()
    print(f"{count} Commands with a reply; journal in {wanted.folder}, SQLite {sqlite3.sqlite_version}")
    print(
        f"written a Command      {found['written_kib']:>9.1f} KiB   in blocks of the file system (median "
        f"{found['median_kib']:.1f}, largest {found['largest_kib']:.1f})"
    )
    print(f"written in a year      {found['mib_per_year']:>9.0f} MiB   at {COMMANDS_PER_DAY} Commands a day")
    print(f"journal                {found['journal_kib']:>9.0f} KiB   ({left['journal.db']:.0f} after it)")
    print(f"write-ahead log        {found['wal_kib']:>9.0f} KiB   at most")
    for name, value in traced.items():
        print(f"{name:<22} {value:>9.1f}   a Command")
    if wanted.json:
        wanted.json.write_text(json.dumps({**found, "traced": traced}, indent=1))
    octets = traced.get("octets WAL", 0) + traced.get("octets database", 0)
    raise SystemExit(octets > 1024 * LIMIT_KIB)


if __name__ == "__main__":
    main()
