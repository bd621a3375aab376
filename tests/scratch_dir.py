"""Prints the folder below which `make test` lets tests write: in memory where that goes, else the usual one.

A commit of a journal waits for its disk, and thousands of tests make some. A container's /dev/shm may be
small, and may forbid to run what is written there, which handlers need. Standard library only.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

SHARED_MEMORY_DIR = Path("/dev/shm")
REQUIRED_BYTES = 1024**3
"""Octets; all tests together leave less than a tenth of it."""


def main() -> None:
    print(
        SHARED_MEMORY_DIR
        if "TMPDIR" not in os.environ and is_usable(SHARED_MEMORY_DIR)
        else tempfile.gettempdir()
    )


def is_usable(folder: Path) -> bool:
    """Whether there is room, and programs written there run."""
    try:
        with tempfile.TemporaryDirectory(dir=folder) as place:
            program = Path(place, "program")
            program.write_text("#!/bin/sh\n")
            program.chmod(0o755)
            subprocess.run([program], check=True)
        return shutil.disk_usage(folder).free >= REQUIRED_BYTES
    except OSError:
        return False


if __name__ == "__main__":
    main()
